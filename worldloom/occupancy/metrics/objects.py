"""Road users as voxels show them: components of each class, followed through the world.

These tracks judge models. They share no code with what models track by, so that a fault of one is not hidden by it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from worldloom.geometry.occupancy import GROUND, MOVERS, Occupancy, among
from worldloom.geometry.rigid import apply
from worldloom.occupancy.metrics.rectangles import Rectangle, rectangle_overlap

TOP_SPEED = {2: 12.0, 3: 40.0, 4: 40.0, 5: 40.0, 6: 40.0, 7: 4.0, 9: 40.0, 10: 40.0}  # m/s of each class
CROWD = 1.5  # metres between boxes
SMALLEST = 4  # voxels; fewer have no shape
_TOUCHING = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class Seen:
    """One road user in one frame."""

    frame: int
    label: int
    centre: tuple[float, float, float]  # mean of its voxels in the world, metres
    volume: int  # voxels
    yaw: float  # of its longer axis in the world, without a sense of direction: in (-pi/2, pi/2]
    length: float  # along that axis, metres
    width: float  # across it
    box: Rectangle  # the smallest around its columns in the world, a voxel smaller than they are
    bottom: float  # of its lowest voxel above the ground around it, metres; NaN where no ground is near
    rim: float  # metres from its middle to the nearest border of the grid, sideways
    shaded: bool  # voxels that nobody looked at touch it: it may be larger than it looks
    crowded: bool  # another is within CROWD of it: their voxels may soon be, or just have been, one component
    cells: frozenset[tuple[int, int]] = field(repr=False)  # world columns of one voxel size that it stands on


@dataclass(frozen=True)
class Track:
    """One road user over time; frames may be missing in between."""

    seen: tuple[Seen, ...]

    @property
    def frames(self) -> tuple[int, ...]:
        """Where it was seen."""
        return tuple(s.frame for s in self.seen)


def find_objects(occupancy: Occupancy) -> list[list[Seen]]:
    """26-connected components of each mover class with at least SMALLEST voxels, frame by frame.

    Raises:
        ValueError: a batch.
    """
    if occupancy.labels.ndim != 4:
        raise ValueError(f"objects are found in one clip (t, x, y, z), got {tuple(occupancy.labels.shape)}")
    return [_with_crowds(_in_frame(occupancy, frame)) for frame in range(len(occupancy))]


def follow_objects(objects: Sequence[Sequence[Seen]], dt: float, patience: int = 2) -> list[Track]:
    """Tracks by Hungarian matching of each frame with what is expected there, at constant velocity.

    The cost is 1 - IoU of world columns and the distance from the expectation; another class costs extra. Pairs must be
    within reach of the class's speed. What is left over is then matched without that limit where class and volume
    agree: a thing that jumped is one thing, not a death and a birth.

    Args:
        patience: frames that a track may be missing and still go on.
    """
    tracks: list[list[Seen]] = []
    for frame, found in enumerate(objects):
        open_tracks = [track for track in tracks if frame - track[-1].frame <= patience]
        pairs = _match(open_tracks, found, dt)
        taken = {j for _, j in pairs}
        for i, j in pairs:
            open_tracks[i].append(found[j])
        tracks += [[thing] for j, thing in enumerate(found) if j not in taken]
    return [Track(tuple(track)) for track in tracks]


def expected(track: Sequence[Seen], frame: int) -> tuple[float, float]:
    """Where a track is at constant velocity: that of its last two sightings, none if there is but one."""
    last = track[-1]
    if len(track) < 2:
        return last.centre[:2]
    before = track[-2]
    ahead = (frame - last.frame) / (last.frame - before.frame)
    x, y = (b + ahead * (b - a) for a, b in zip(before.centre[:2], last.centre[:2], strict=True))
    return x, y


def _match(tracks: Sequence[Sequence[Seen]], found: Sequence[Seen], dt: float) -> list[tuple[int, int]]:
    if not tracks or not found:
        return []
    cost = np.full((len(tracks), len(found)), 1e6)
    for i, track in enumerate(tracks):
        for j, thing in enumerate(found):
            last = track[-1]
            distance = math.dist(expected(track, thing.frame), thing.centre[:2])
            # A known velocity narrows the search; nobody changes it by more than an emergency stop does.
            gap = dt * (thing.frame - last.frame)
            reach = 2.0 + (0.5 * 12 * gap**2 if len(track) > 1 else TOP_SPEED[last.label] * gap / 2)
            if distance <= reach:
                overlap = len(last.cells & thing.cells) / len(last.cells | thing.cells)
                size = abs(math.log(thing.volume / last.volume))
                cost[i, j] = (1 - overlap) + distance / reach + 0.5 * size + 2.0 * (thing.label != last.label)
    rows, columns = linear_sum_assignment(cost)
    pairs = [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if cost[i, j] < 1e6]
    left = [i for i in range(len(tracks)) if i not in {a for a, _ in pairs} and _just_seen(tracks[i], found)]
    new = [j for j in range(len(found)) if j not in {b for _, b in pairs}]
    for i in left:
        last = tracks[i][-1]
        alike = [
            j
            for j in new
            if found[j].label == last.label
            and abs(math.log(found[j].volume / last.volume)) < 0.2
            and last.rim > 4
            and found[j].rim > 4
        ]
        if alike:
            j = min(alike, key=lambda j: math.dist(found[j].centre[:2], last.centre[:2]))
            new.remove(j)
            pairs.append((i, j))
    return sorted(pairs)


def _just_seen(track: Sequence[Seen], found: Sequence[Seen]) -> bool:
    return track[-1].frame == found[0].frame - 1


def _with_crowds(found: list[Seen]) -> list[Seen]:
    """The same, each knowing whether another is near: their boxes, wider by CROWD, meet."""

    def near(a: Seen, b: Seen) -> bool:
        if math.dist(a.box[:2], b.box[:2]) > (math.hypot(*a.box[3:]) + math.hypot(*b.box[3:])) / 2 + CROWD:
            return False
        return rectangle_overlap((*a.box[:3], a.box[3] + 2 * CROWD, a.box[4] + 2 * CROWD), _solid(b.box)) > 0

    return [replace(a, crowded=any(near(a, b) or near(b, a) for b in found if b is not a)) for a in found]


def _solid(box: Rectangle) -> Rectangle:
    """With an area, even where voxels stand in a line."""
    return (*box[:3], max(box[3], 0.1), max(box[4], 0.1))


def _in_frame(occupancy: Occupancy, frame: int) -> list[Seen]:
    labels, grid = occupancy.labels[frame], occupancy.grid
    observed = occupancy.observed[frame]
    unseen = None if observed.all() else ndimage.binary_dilation(~observed.numpy())
    ground = _ground_height(occupancy, frame)
    pose = occupancy.world_from_ego[frame].double()
    origin = torch.tensor(grid.origin, dtype=torch.float64)
    found = []
    for label in MOVERS:
        mask = (labels == label).numpy()
        if not mask.any():
            continue
        corner, mask = _cut_out(mask)
        components = np.empty(mask.shape, dtype=np.int32)
        ndimage.label(mask, structure=_TOUCHING, output=components)
        for index, where in enumerate(ndimage.find_objects(components), start=1):
            voxels = np.argwhere(components[where] == index) + [part.start for part in where] + corner
            if len(voxels) < SMALLEST:
                continue
            ego = (torch.from_numpy(voxels) + 0.5) * grid.voxel_size + origin
            shaded = unseen is not None and bool(unseen[tuple(voxels.T)].any())
            height = ground[tuple(voxels[:, :2].T)]
            bottom = float(ego[:, 2].min()) - grid.voxel_size / 2
            above = bottom - float(np.nanmedian(height)) if np.isfinite(height).any() else math.nan
            found.append(_described(frame, label, apply(pose, ego), ego, occupancy, above, shaded))
    return found


def _cut_out(mask: Bool[np.ndarray, "x y z"]) -> tuple[Int[np.ndarray, " 3"], Bool[np.ndarray, "i j k"]]:
    """The part of a mask that holds all that is set, and where it begins: most classes are in a corner of the grid."""
    within = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(tuple(other for other in range(3) if other != axis)))
        within.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return np.array([part.start for part in within]), mask[tuple(within)]


def _described(
    frame: int,
    label: int,
    world: Float[Tensor, "n 3"],
    ego: Float[Tensor, "n 3"],
    occupancy: Occupancy,
    above: float,
    shaded: bool,
) -> Seen:
    grid = occupancy.grid
    size = grid.voxel_size
    x, y, z = world.mean(0).tolist()
    flat = world[:, :2] - world[:, :2].mean(0)
    _, axes = torch.linalg.eigh(flat.mT @ flat)
    ahead = axes[:, 1]
    along, across = flat @ ahead, flat @ axes[:, 0]
    yaw = math.atan2(float(ahead[1]), float(ahead[0]))
    yaw = yaw - math.pi if yaw > math.pi / 2 else yaw + math.pi if yaw <= -math.pi / 2 else yaw
    middle = ego[:, :2].mean(0).tolist()
    rim = min(
        min(at - low, low + n * size - at) for at, low, n in zip(middle, grid.origin[:2], grid.shape[:2], strict=True)
    )
    columns = {(int(a), int(b)) for a, b in (world[:, :2] / size).floor().tolist()}
    return Seen(
        frame,
        label,
        (x, y, z),
        len(world),
        yaw,
        float(along.max() - along.min()) + size,
        float(across.max() - across.min()) + size,
        _smallest_box(world[:, :2]),
        above,
        rim,
        shaded,
        False,
        frozenset(columns),
    )


def _smallest_box(xy: Float[Tensor, "n 2"]) -> Rectangle:
    """Of the rectangles around the middles of voxels, in steps of 3 degrees, the one of least area."""
    angles = torch.deg2rad(torch.arange(0, 90, 3, dtype=torch.float64))
    along = xy[:, :1] * angles.cos() + xy[:, 1:] * angles.sin()
    across = xy[:, 1:] * angles.cos() - xy[:, :1] * angles.sin()
    low, high = torch.stack([along.amin(0), across.amin(0)]), torch.stack([along.amax(0), across.amax(0)])
    # A line of voxels has no width; a little of it keeps the angle of long lines.
    i = int((high - low + 0.1).prod(0).argmin())
    (u, v), (length, width) = ((low + high)[:, i] / 2).tolist(), (high - low)[:, i].tolist()
    cos, sin = math.cos(float(angles[i])), math.sin(float(angles[i]))
    return cos * u - sin * v, sin * u + cos * v, float(angles[i]), length, width


def _ground_height(occupancy: Occupancy, frame: int) -> np.ndarray:
    """Top of the ground in each column, of the nearest column that has one within 2 m; NaN elsewhere."""
    grid = occupancy.grid
    ground = among(occupancy.labels[frame], GROUND).numpy()
    has = ground.any(2)
    if not has.any():
        return np.full(has.shape, np.nan)
    top = grid.origin[2] + (grid.shape[2] - ground[:, :, ::-1].argmax(2)) * grid.voxel_size
    nearest = np.empty((2, *has.shape), dtype=np.int32)
    distance = np.empty(has.shape)
    ndimage.distance_transform_edt(~has, return_indices=True, distances=distance, indices=nearest)
    height = top[tuple(nearest)]
    height[distance * grid.voxel_size > 2.0] = np.nan
    return height
