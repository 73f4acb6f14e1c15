"""Questions about traffic that a world model answers by what it finds likelier: which way time runs, what comes next.

As in Cosmos-Reason1 (Azzolini et al. 2025, sec. 5) answers can be checked and need no judge; here the model answers by
its denoising loss, not in words. Scenes are exact boxes, so that nothing but motion tells the answers apart, and all
choices of a question are shown with the same map and the same noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.occupancy import MOVERS, among
from worldloom.geometry.plane import chained, seen_from
from worldloom.geometry.rigid import invert
from worldloom.occupancy.motions import TrafficBatch, expected_motions, motions_from_poses
from worldloom.occupancy.scene_state import HISTORY, PICTURE, PIXEL, ground_picture, plane_poses
from worldloom.occupancy.static_map import StaticMap
from worldloom.occupancy.traffic import TrafficNet
from worldloom.synth.dataset.clips import DrivingClip
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT

_LEVELS = (0.6, 0.8, 1.0)
_DRAWS = 4  # of noise at each level
_MOVES = 2.0  # metres that somebody must go in a window for it to be asked about
_REACH = PICTURE * PIXEL / 2


@dataclass(frozen=True)
class QuizScore:
    """Right answers of those that were asked."""

    right: int
    asked: int
    chance: float

    @property
    def share(self) -> float:
        return self.right / self.asked if self.asked else float("nan")


@dataclass(frozen=True)
class Window:
    """Consecutive frames of a drive: HISTORY of them are shown, the others are what comes."""

    labels: Tensor  # n
    sizes: Float[Tensor, "n 3"]
    users: Float[Tensor, "n t 3"]  # x, y, yaw of all who are there throughout, in the ego's frame of any one frame
    ego: Float[Tensor, "t 3"]
    map: StaticMap
    map_from_plane: Float[Tensor, "4 4"]  # the frame of `users` in the map's


def windows_of(clip: DrivingClip, frames: int, stride: int = 6) -> list[Window]:
    """Windows in which somebody else moves, all with the map that the whole clip has seen."""
    occupancy, tracks = clip.occupancy, clip.tracks
    world = StaticMap.of(occupancy)
    mover = among(tracks.labels, MOVERS)
    found = []
    for start in range(0, len(occupancy) - frames + 1, stride):
        part = slice(start, start + frames)
        there = tracks.present[:, part].all(1) & mover
        poses = torch.cat([tracks.centres[there, part, :2], tracks.yaws[there, part, None]], -1).double()
        here = plane_poses(occupancy.world_from_ego[start : start + 1].double())
        users = seen_from(poses, here[None]).float()
        near = (users[:, :, :2].abs() < _REACH).all(-1).all(-1)
        way = (users[:, -1, :2] - users[:, 0, :2]).norm(dim=-1)
        if not bool((near & (way > _MOVES)).any()):
            continue
        ego = seen_from(plane_poses(occupancy.world_from_ego[part].double()), here).float()
        map_from_plane = invert(world.world_from_grid) @ occupancy.world_from_ego[start].double()
        sizes, labels = tracks.extents[there][near], tracks.labels[there][near]
        found.append(Window(labels, sizes, users[near], ego, world, map_from_plane))
    return found


def arrow_of_time(model: TrafficNet, windows: Sequence[Window], seed: int = 0) -> QuizScore:
    """Was the drive filmed forwards or backwards? Chance is a half."""
    right = 0
    for number, window in enumerate(windows):
        backwards = _Told(window.users.flip(1), window.ego.flip(0))
        right += _chosen(model, window, [_Told(window.users, window.ego), backwards], seed + number) == 0
    return QuizScore(right, len(windows), 0.5)


def what_comes_next(model: TrafficNet, windows: Sequence[Window], choices: int = 4, seed: int = 0) -> QuizScore:
    """Which future follows this past: the true one, or one whose users have exchanged their ways?

    In a wrong choice each user goes the way of another from its own place. Chance is one in `choices`; a window needs
    as many users.
    """
    right, asked = 0, 0
    for number, window in enumerate(windows):
        n = len(window.users)
        if n < choices:
            continue
        now = window.users[:, HISTORY - 1 : HISTORY]
        ways = seen_from(window.users[:, HISTORY:], now)
        told = []
        for shift in range(choices):
            future = chained(now.expand_as(ways), ways.roll(shift, 0))
            told.append(_Told(torch.cat([window.users[:, :HISTORY], future], 1), window.ego))
        right += _chosen(model, window, told, seed + number) == 0
        asked += 1
    return QuizScore(right, asked, 1 / choices)


@dataclass(frozen=True)
class _Told:
    """One choice: everybody's poses, shown and to come."""

    users: Float[Tensor, "n t 3"]
    ego: Float[Tensor, "t 3"]


@torch.no_grad()
def _chosen(model: TrafficNet, window: Window, choices: Sequence[_Told], seed: int) -> int:
    """The choice whose motions the model denoises best; of equal ones any."""
    losses = [_loss(model, window, told, torch.Generator().manual_seed(seed)) for told in choices]
    order = torch.randperm(len(losses), generator=torch.Generator().manual_seed(seed)).tolist()
    return min(order, key=losses.__getitem__)


def _loss(model: TrafficNet, window: Window, told: _Told, dice: torch.Generator) -> float:
    """Mean denoising error of the others' motions, in units of what is expected to be uncertain; the ego is given."""
    count = min(len(told.users), model.config.max_users)
    here = told.ego[HISTORY - 1 : HISTORY]
    users, ego = seen_from(told.users[:count], here[None]), seen_from(told.ego, here)
    poses = torch.cat([ego[None], users])[:, : HISTORY + model.config.future]
    m = count + 1
    plane = torch.eye(4, dtype=torch.float64)
    yaw = here[0, 2].double()
    plane[:2, :2] = torch.stack([torch.stack([yaw.cos(), -yaw.sin()]), torch.stack([yaw.sin(), yaw.cos()])])
    plane[:2, 3] = here[0, :2].double()
    seen = ground_picture(
        window.map.labels, window.map.known, window.map.grid, invert(window.map_from_plane @ plane)
    )  # fmt: skip
    batch = TrafficBatch(
        torch.cat([window.labels.new_zeros(1), window.labels[:count]])[None],
        torch.cat([torch.tensor([EGO_EXTENT]), window.sizes[:count]])[None],
        torch.cat([torch.tensor([[EGO_CENTRE, 0.0]]), torch.zeros(count, 2)])[None],
        poses[None, :, :HISTORY],
        torch.ones(1, m, HISTORY, dtype=torch.bool),
        seen[None],
    )
    truth = motions_from_poses(poses[None, :, HISTORY:], batch.history[:, :, -1:], 1)
    mean, spread = expected_motions(batch)
    features, total = model.features(batch), 0.0
    for level in _LEVELS:
        for _ in range(_DRAWS):
            noise = mean + spread * torch.randn(truth.shape, generator=dice)
            levels = torch.full(truth.shape[:-1], level)
            levels[:, 0] = 0
            noisy = (1 - levels[..., None]) * truth + levels[..., None] * noise
            guess, _ = model(batch, noisy, levels, features)
            total += float(((guess - truth) / spread)[:, 1:, :, :2].abs().clamp(max=4.0).mean())
    return total
