"""Questions that only motion answers: who knows that cars drive ahead is right, who knows nothing is at chance."""

import torch
from torch import Tensor

from tests.occupancy.moving_world import CAR, straight_street
from worldloom.geometry import EgoPath
from worldloom.occupancy.motions import TrafficBatch, expected_motions
from worldloom.occupancy.physics_quiz import arrow_of_time, what_comes_next, windows_of
from worldloom.occupancy.scene_state import HISTORY
from worldloom.occupancy.traffic import SceneFeatures, TrafficConfig, TrafficNet
from worldloom.synth.dataset.clips import DrivingClip, Tracks
from worldloom.synth.traffic.risk import Risk

FUTURE = 4
CARS = ((12.0, 2.0, 6.0), (-15.0, 2.0, 3.0), (-20.0, -3.0, 8.0), (5.0, -6.0, 1.5))  # x, y, m/s along x


TINY = TrafficConfig(width=64, blocks=1, max_users=8, future=FUTURE, map_width=16, context_layers=1)


class DrivesAhead(TrafficNet):
    """Takes everybody to keep its speed, ahead."""

    def __init__(self) -> None:
        super().__init__(TINY)

    def forward(
        self, batch: TrafficBatch, motions: Tensor, level: Tensor, features: SceneFeatures | None = None
    ) -> tuple[Tensor, Tensor]:
        mean, _ = expected_motions(batch)
        return mean.abs().expand_as(motions), motions[:, 0, :, :2]


def drive() -> DrivingClip:
    frames = HISTORY + FUTURE
    clip = straight_street(frames, ego_speed=4.0, users=tuple((CAR, *car) for car in CARS))
    centres = torch.zeros(len(CARS), frames, 3)
    for i, (x, y, speed) in enumerate(CARS):
        centres[i, :, 0], centres[i, :, 1] = x + 0.5 * speed * torch.arange(frames), y
    n = len(CARS)
    tracks = Tracks(
        tuple("abcd"),
        torch.full((n,), CAR, dtype=torch.uint8),
        torch.zeros(n, dtype=torch.bool),
        torch.tensor([[4.0, 1.6, 1.6]]).expand(n, 3),
        torch.ones(n, frames, dtype=torch.bool),
        centres,
        torch.zeros(n, frames),
        torch.zeros(n, frames, 3),
    )
    never = torch.zeros(frames, dtype=torch.bool)
    risk = Risk(torch.full((frames,), 10.0), torch.full((frames,), torch.inf), never, never)
    return DrivingClip(
        clip, clip.observed, EgoPath(clip.world_from_ego.float(), 0.5), torch.full((frames,), 4.0), tracks, risk
    )


def test_windows_hold_who_is_there_in_the_egos_frame() -> None:
    (window,) = windows_of(drive(), HISTORY + FUTURE)
    assert window.users.shape == (len(CARS), HISTORY + FUTURE, 3)
    assert torch.allclose(window.users[0, :, 0], 12 + 3.0 * torch.arange(HISTORY + FUTURE), atol=1e-4)
    assert torch.allclose(window.ego[:, 0], 2.0 * torch.arange(HISTORY + FUTURE), atol=1e-4)


def test_where_nobody_moves_nothing_is_asked() -> None:
    clip = drive()
    standing = torch.zeros_like(clip.tracks.centres) + clip.tracks.centres[:, :1]
    still = DrivingClip(**{**vars(clip), "tracks": Tracks(**{**vars(clip.tracks), "centres": standing})})
    assert windows_of(still, HISTORY + FUTURE) == []
    score = arrow_of_time(DrivesAhead(), [])
    assert score.asked == 0
    assert score.share != score.share


def test_who_knows_that_cars_drive_ahead_answers_right() -> None:
    windows, model = windows_of(drive(), HISTORY + FUTURE), DrivesAhead()
    assert arrow_of_time(model, windows).share == 1
    assert what_comes_next(model, windows).share == 1
    assert what_comes_next(model, windows, choices=len(CARS) + 1).asked == 0


def test_who_knows_nothing_is_at_chance() -> None:
    """A net before training: it expects everybody to go on, backwards too."""
    (window,) = windows_of(drive(), HISTORY + FUTURE)
    torch.manual_seed(0)
    net = TrafficNet(TINY).eval()
    rights = arrow_of_time(net, [window] * 24).right
    assert 4 <= rights <= 20
