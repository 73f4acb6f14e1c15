"""Who is there in a past: road users taken away, and others put in, before a model looks at it.

Both happen in the labels, so that any model, and any picture, sees the same past.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from scipy.spatial import KDTree
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.occupancy import FREE, GROUND, MOVERS, OCC3D_CLASSES, Occupancy, VoxelGrid, among
from worldloom.geometry.rigid import apply, compose, invert, rotz
from worldloom.occupancy.bodies import CELL, draw_tracks
from worldloom.occupancy.metrics.groups import OBSTACLES
from worldloom.occupancy.tracks import Track, find_tracks

# Length, width and height in metres, as SUMO has them for its vehicle classes.
EXTENTS = {
    "car": (5.0, 1.8, 1.5),
    "truck": (7.1, 2.4, 2.4),
    "bus": (12.0, 2.5, 3.4),
    "trailer": (16.5, 2.55, 4.0),
    "construction_vehicle": (6.5, 2.5, 3.0),
    "motorcycle": (2.2, 0.9, 1.5),
    "bicycle": (1.6, 0.65, 1.7),
    "pedestrian": (0.5, 0.6, 1.75),
}
MAX_SPEED = 60.0  # m/s
_REACH = 60.0  # metres: the grid's corner
_NEAR = 3.0  # metres around an agent in which its ground is looked for


@dataclass(frozen=True)
class AddedAgent:
    """Somebody put into the past, who has come at constant velocity."""

    kind: str  # of EXTENTS
    ahead: float  # metres from the ego's origin to its middle, in the ego's present frame
    left: float
    heading_deg: float = 0.0  # 0 drives as the ego does, 90 crosses from right to left, 180 comes towards it
    speed: float = 0.0  # m/s along its heading

    def __post_init__(self) -> None:
        if self.kind not in EXTENTS:
            raise InputError(f"expected an agent {', '.join(EXTENTS)}, got {self.kind!r}")
        if not (math.hypot(self.ahead, self.left) <= _REACH and abs(self.heading_deg) <= 360):
            raise InputError(
                f"expected an agent within {_REACH:g} m, its heading within ±360 degrees, got {self.ahead:g} m ahead, "
                f"{self.left:g} m to the left, {self.heading_deg:g} degrees"
            )
        if not 0 <= self.speed <= MAX_SPEED:
            raise InputError(f"expected an agent's speed from 0 to {MAX_SPEED:g} m/s, got {self.speed:g}")


@dataclass(frozen=True)
class Agents:
    """Which of those that were seen stay, and who is added."""

    keep: int | None = None  # the so many nearest to the ego in the present frame; None: all
    add: tuple[AddedAgent, ...] = ()

    def __post_init__(self) -> None:
        if self.keep is not None and self.keep < 0:
            raise InputError(f"expected agents to keep, 0 or more, got {self.keep}")


@dataclass(frozen=True)
class CastPast:
    """A past with the road users that were asked for."""

    past: Occupancy  # what is seen now: those who stay, and those who were added
    seen: Occupancy  # without those who were added
    added: tuple[Track, ...]  # over the frames of the past, exactly
    overlaps: tuple[float, ...]  # of each added agent, the share of its present voxels that an obstacle had taken


def with_agents(past: Occupancy, agents: Agents) -> CastPast:
    """The past with other road users.

    Who is taken away leaves voxels that nobody has looked at: what is behind them is not known. Who is put in stands on
    the ground around it, and is observed. Where they have come from is not left to be found in the voxels: a tracker
    cannot tell how far something long has moved along itself.

    Args:
        past: labels t x y z of Occ3D's classes.
    """
    seen = past if agents.keep is None else _kept(past, agents.keep)
    past, added, overlaps = seen, [], []
    for agent in agents.add:
        past, track, share = _added(past, agent)
        added.append(track)
        overlaps.append(share)
    return CastPast(past, seen, tuple(added), tuple(overlaps))


def _kept(past: Occupancy, count: int) -> Occupancy:
    tracks = find_tracks(past)
    here = past.world_from_ego[-1, :3, 3].double()
    # Who is not there in the last frame is farther than anybody who is.
    order = sorted(
        range(len(tracks)),
        key=lambda i: (
            not bool(tracks[i].present[-1]),
            float((tracks[i].world_from_object[tracks[i].present][-1, :3, 3] - here).norm()),
        ),
    )
    stays = set(order[:count])
    labels, observed = past.labels.clone(), past.observed.clone()
    for frame in range(len(past)):
        gone = _cells_of(past, frame, tracks, [i not in stays for i in range(len(tracks))])
        labels[frame][gone] = FREE
        observed[frame][gone] = False
    return replace(past, labels=labels, observed=observed)


def _cells_of(past: Occupancy, frame: int, tracks: Sequence[Track], chosen: Sequence[bool]) -> Bool[Tensor, "x y z"]:
    """Voxels of movers whose nearest track, of those of their class in this frame, is a chosen one.

    Movers that are of no track go where all go: away, where any of their class does.
    """
    mask = torch.zeros(past.grid.shape, dtype=torch.bool)
    origin = torch.tensor(past.grid.origin, dtype=torch.float64)
    for label in MOVERS:
        cells = (past.labels[frame] == label).nonzero()
        if not len(cells):
            continue
        places = apply(past.world_from_ego[frame].double(), (cells + 0.5) * past.grid.voxel_size + origin)
        there = [i for i, track in enumerate(tracks) if track.label == label and bool(track.present[frame])]
        if not there:
            mask[tuple(cells.T)] = any(chosen)
            continue
        points = [apply(tracks[i].world_from_object[frame].double(), tracks[i].points.double()) for i in there]
        owner = torch.cat([torch.full((len(p),), i) for i, p in zip(there, points, strict=True)])
        _, nearest = KDTree(torch.cat(points).numpy()).query(places.numpy())
        goes = torch.tensor(list(chosen))[owner[torch.from_numpy(nearest)]]
        mask[tuple(cells[goes].T)] = True
    return mask


def _added(past: Occupancy, agent: AddedAgent) -> tuple[Occupancy, Track, float]:
    label = OCC3D_CLASSES.index(agent.kind)
    poses = past.world_from_ego.double()
    yaw = torch.tensor(math.radians(agent.heading_deg), dtype=torch.float64)
    labels, observed = past.labels.clone(), past.observed.clone()
    ways = []
    for frame, pose in enumerate(poses):
        behind = agent.speed * past.dt * (len(past) - 1 - frame)
        place = [agent.ahead - behind * math.cos(yaw), agent.left - behind * math.sin(yaw), 0.0]
        ego_from_agent = invert(pose) @ poses[-1] @ compose(rotz(yaw), torch.tensor(place, dtype=torch.float64))
        ego_from_agent[2, 3] = _ground_at(past.labels[frame], past.grid, ego_from_agent[:2, 3])
        ways.append(pose @ ego_from_agent)
    present = torch.ones(len(past), dtype=torch.bool)
    # A body to be drawn by, and the voxels that would show it, by whose reach models tell its size.
    shown, body = _filled(agent, past.grid.voxel_size), _filled(agent, CELL)
    track = Track(label, torch.stack(ways), present, shown, body)
    share = 0.0
    for frame, (pose, way) in enumerate(zip(poses, ways, strict=True)):
        empty = torch.full_like(labels[frame], FREE)
        taken = draw_tracks(empty, past.grid, (invert(pose) @ way)[None], [track]) == label
        if frame == len(past) - 1 and bool(taken.any()):
            share = float(among(labels[frame][taken], OBSTACLES).double().mean())
        labels[frame][taken], observed[frame][taken] = label, True
    return replace(past, labels=labels, observed=observed), track, share


def _filled(agent: AddedAgent, spacing: float) -> Float[Tensor, "n 3"]:
    """Middles of cells of that side, at most, that fill the agent's box; it stands at z = 0."""
    axes = []
    for extent, middle in zip(EXTENTS[agent.kind], (0.0, 0.0, EXTENTS[agent.kind][2] / 2), strict=True):
        half = max(0.0, extent - spacing) / 2
        axes.append(middle + torch.linspace(-half, half, math.ceil(extent / spacing)))
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def _ground_at(labels: UInt8[Tensor, "x y z"], grid: VoxelGrid, place: Float[Tensor, " 2"]) -> float:
    """Top of the ground around a place of the ego frame, metres; of the whole frame where there is none near."""
    ground = among(labels, GROUND)
    if not bool(ground.any()):
        return grid.origin[2] + grid.voxel_size
    layer = torch.arange(1, labels.shape[2] + 1)
    top = (ground * layer).amax(2)  # 0: none
    reach = math.ceil(_NEAR / grid.voxel_size)
    i, j = ((place - torch.tensor(grid.origin[:2], dtype=torch.float64)) / grid.voxel_size).floor().long().tolist()
    around = top[max(0, i - reach) : max(0, i + reach + 1), max(0, j - reach) : max(0, j + reach + 1)]
    tops = around[around > 0]
    tops = tops if len(tops) else top[top > 0]
    return grid.origin[2] + grid.voxel_size * float(tops.median())
