"""PDMS-occ: what the driving scores' parts are on a generated grid, without boxes and identities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.occupancy import DRIVEABLE, GROUND, MOVERS, STANDING, Occupancy, among
from worldloom.geometry.rigid import apply, invert
from worldloom.occupancy.metrics.groups import OBSTACLES
from worldloom.occupancy.metrics.planning.formulas import pdms

LATTICE = 0.1  # metres between the points of a footprint
BAND = (0.3, 1.8)  # metres above the ground in which an obstacle is met
TTC_SECONDS = (0.0, 0.5, 1.0)  # 2 Hz cannot tell 0.3 s
LEAST_KNOWN = 0.9  # share of known corner columns below which DAC-occ abstains


@dataclass(frozen=True)
class EgoBox:
    """The car's rectangle; nuScenes' ego origin is the rear axle, not the middle."""

    length: float = 4.08
    width: float = 1.73
    ahead: float = 1.40  # metres from the ego origin forward to the middle


@dataclass(frozen=True)
class GridSafety:
    """What the grids of one future say about one path."""

    contact: Float[Tensor, " t"]  # share of the footprint on obstacles
    with_movers: Float[Tensor, " t"]  # share on movers
    no_collision: float  # NC-occ: fault cannot be told without identities
    ttc: float  # TTC-occ
    min_ttc: float  # seconds, by the swept footprint up to 3 s; inf if none
    driveable: float | None  # DAC-occ; None: abstained
    driveable_tolerant: float | None  # the same with 0.4 m of tolerance
    known: float  # share of corner columns whose ground is known

    @property
    def collided(self) -> bool:
        """For the raw collision rate."""
        return self.no_collision < 1


def judge_on_grids(
    future: Occupancy,
    world_from_ego: Float[Tensor, "t 4 4"],
    ego_box: EgoBox = EgoBox(),
    tau: float = 0.05,
    ground: Occupancy | None = None,
) -> GridSafety:
    """Drive a path through generated frames.

    contact_t = share of the footprint's lattice points whose column holds an obstacle in BAND above the ground there;
    a collision where it exceeds tau, which `choose_tau` calibrates against boxes.

    Args:
        future: one frame for each pose; each in its own grid, placed by its `world_from_ego`.
        world_from_ego: the poses to judge; not necessarily those the frames were made for.
        ground: the static world accumulated over time, for the road below vehicles; `future` itself if not given.
    Raises:
        ValueError: another number of poses than frames.
    """
    if future.labels.ndim != 4 or len(future) != len(world_from_ego):
        raise ValueError(f"one frame for each pose, got {tuple(future.labels.shape)} and {tuple(world_from_ego.shape)}")
    maps = [_ObstacleMap(future, frame) for frame in range(len(future))]
    lattice = _lattice(ego_box)
    contact = torch.stack([m.share(pose, lattice, OBSTACLES) for m, pose in zip(maps, world_from_ego, strict=True)])
    movers = torch.stack([m.share(pose, lattice, MOVERS) for m, pose in zip(maps, world_from_ego, strict=True)])
    hit = contact > tau
    worst = 1.0
    if hit.any():
        first = int(hit.to(torch.uint8).argmax())
        worst = 0.0 if movers[first] > 0 else 0.5
    ttc, min_ttc = _times_to_collision(maps, world_from_ego, future.dt, lattice, tau)
    known, driveable, tolerant = _on_road(ground or future, world_from_ego, ego_box)
    return GridSafety(contact, movers, worst, ttc, min_ttc, driveable, tolerant, known)


def contact_shares(
    occupancy: Occupancy, frame: int, world_from_ego: Float[Tensor, "n 4 4"], ego_box: EgoBox = EgoBox()
) -> Float[Tensor, " n"]:
    """Share of the footprint that stands on obstacles, for many poses in one and the same frame."""
    obstacles, lattice = _ObstacleMap(occupancy, frame), _lattice(ego_box)
    return torch.stack([obstacles.share(pose, lattice, OBSTACLES) for pose in world_from_ego])


def pdms_occ(safety: GridSafety, progress: float, comfort: float) -> float | None:
    """PDMS-occ = NC-occ DAC-occ (5 TTC-occ + 5 EP + 2 C) / 12; None where DAC-occ abstained: those are counted."""
    if safety.driveable is None:
        return None
    return pdms(safety.no_collision, safety.driveable, safety.ttc, progress, comfort)


class _ObstacleMap:
    """Obstacles of one frame by column: the band above each column's own ground."""

    def __init__(self, occupancy: Occupancy, frame: int) -> None:
        labels, self.grid = occupancy.labels[frame], occupancy.grid
        self.ego_from_world = invert(occupancy.world_from_ego[frame].double())
        size, low = self.grid.voxel_size, self.grid.origin[2]
        top = low + size * (torch.arange(labels.shape[2], dtype=torch.float64) + 1)
        ground = among(labels, GROUND)
        # Columns without ground, below vehicles, take the height that the frame's road has where the ego stands.
        height = torch.where(ground, top, -math.inf).amax(2)
        usual = height[height.isfinite()].median() if height.isfinite().any() else torch.tensor(low + size)
        height = torch.where(height.isfinite(), height, usual)[:, :, None]
        middle = (top - size / 2)[None, None]
        band = (middle > height + BAND[0] - size / 2) & (middle < height + BAND[1] + size / 2)
        self.columns: dict[tuple[int, ...], Tensor] = {
            classes: (among(labels, classes) & band).any(2) for classes in (OBSTACLES, MOVERS)
        }

    def share(
        self, world_from_ego: Float[Tensor, "4 4"], points: Float[Tensor, "n 3"], classes: tuple[int, ...]
    ) -> Float[Tensor, ""]:
        """Share of points of the ego frame that stand on columns of the classes."""
        at = apply(self.ego_from_world @ world_from_ego.double(), points)[:, :2]
        cells = ((at - torch.tensor(self.grid.origin[:2], dtype=torch.float64)) / self.grid.voxel_size).floor().long()
        n_x, n_y = self.grid.shape[:2]
        inside = (cells >= 0).all(1) & (cells[:, 0] < n_x) & (cells[:, 1] < n_y)
        x, y = cells[inside].unbind(1)
        return self.columns[classes][x, y].double().sum() / len(points)


def _lattice(box: EgoBox) -> Float[Tensor, "n 3"]:
    """Points LATTICE apart in the footprint, each in the middle of its little square."""
    nx, ny = (max(1, round(extent / LATTICE)) for extent in (box.length, box.width))
    x = box.ahead + box.length * ((torch.arange(nx, dtype=torch.float64) + 0.5) / nx - 0.5)
    y = box.width * ((torch.arange(ny, dtype=torch.float64) + 0.5) / ny - 0.5)
    grid = torch.stack(torch.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    return torch.nn.functional.pad(grid, (0, 1))


def _times_to_collision(
    maps: Sequence[_ObstacleMap],
    poses: Float[Tensor, "t 4 4"],
    dt: float,
    lattice: Float[Tensor, "n 3"],
    tau: float,
) -> tuple[float, float]:
    """TTC-occ of whole path, and the least time to contact by the footprint carried on at constant speed, up to 3 s."""
    n = len(maps)
    steps = (poses[1:, :2, 3] - poses[:-1, :2, 3]).double().norm(dim=-1)
    speed = (torch.cat([steps, steps[-1:]]) if n > 1 else torch.zeros(n, dtype=torch.float64)) / dt
    nose = lattice[:, 0].max()
    least = math.inf
    for t in range(n):
        if speed[t] < 0.005:
            continue
        for later in range(t, min(n, t + round(3 / dt) + 1)):
            seconds = (later - t) * dt
            carried = lattice + torch.tensor([float(speed[t]) * seconds, 0.0, 0.0], dtype=torch.float64)
            # Only what lies ahead counts: columns beyond where the nose is now, or the nose's own.
            ahead = carried[carried[:, 0] > nose - 0.5]
            if len(ahead) and float(maps[later].share(poses[t], ahead, OBSTACLES)) > tau:
                least = min(least, seconds)
                break
    return (0.0 if least <= max(TTC_SECONDS) + 1e-9 else 1.0), least


def _on_road(ground: Occupancy, poses: Float[Tensor, "t 4 4"], box: EgoBox) -> tuple[float, float | None, float | None]:
    """Known share of the corner columns, and whether all known ones hold road, exactly and with 0.4 m of tolerance.

    None in place of both where too little is known.
    """
    states = [_columns(ground, frame) for frame in range(min(len(ground), len(poses)))]
    shares, whole = [], []
    for tolerance in (0.0, 0.4):
        length, width = max(box.length - 2 * tolerance, 0.0), max(box.width - 2 * tolerance, 0.0)
        corners = torch.tensor(
            [[box.ahead + a * length / 2, b * width / 2, 0.0] for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))],
            dtype=torch.float64,
        )
        known, road = [], []
        for t, pose in enumerate(poses):
            frame = min(t, len(states) - 1)
            at = apply(invert(ground.world_from_ego[frame].double()) @ pose.double(), corners)[:, :2]
            cells = ((at - torch.tensor(ground.grid.origin[:2], dtype=torch.float64)) / ground.grid.voxel_size).floor()
            for x, y in cells.long().tolist():
                inside = 0 <= x < ground.grid.shape[0] and 0 <= y < ground.grid.shape[1]
                known.append(inside and bool(states[frame][0][x, y]))
                road.append(inside and bool(states[frame][1][x, y]))
        shares.append(sum(known) / len(known))
        whole.append(float(all(r for k, r in zip(known, road, strict=True) if k)))
    return (shares[0], whole[0], whole[1]) if shares[0] >= LEAST_KNOWN else (shares[0], None, None)


def _columns(ground: Occupancy, frame: int) -> tuple[Bool[Tensor, "x y"], Bool[Tensor, "x y"]]:
    """Which columns have a ground that somebody saw, or something static where it would be; and which hold road."""
    labels, seen = ground.labels[frame], ground.observed[frame]
    static = (among(labels, GROUND) | among(labels, STANDING)) & seen
    return static.any(2), ((labels == DRIVEABLE) & seen).any(2)
