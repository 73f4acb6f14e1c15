"""Road users as paths of a shape: how they are written into a stream, and drawn into a frame."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.occupancy import MOVERS, VoxelGrid
from worldloom.geometry.rigid import apply, compose, invert, rotz
from worldloom.occupancy.codec.entropy import Coder, Counts, Integers, Sizes, plain
from worldloom.occupancy.codec.poses import STEP as EGO_STEP
from worldloom.occupancy.codec.poses import EgoPoses
from worldloom.occupancy.codec.shapes import Shape, ShapeCoder

SMALL = (2, 6, 7)  # bicycle, motorcycle, pedestrian: finer places, coarser headings
MAX_USERS = 1023
MAX_CELLS = 1 << 20  # of all shapes of a stream
_TURNS = {True: 40, False: 120}  # headings of a small, a large user. No multiple of 45 degrees is halfway between two
_NEAR = 90.0  # metres from the ego at most where a user appears
_FASTEST = 2000  # steps of an unforeseen way


@dataclass(frozen=True)
class Detail:
    """How finely users are written: (of small ones, of large ones)."""

    cells: tuple[float, float]  # metres of a shape's cells
    steps: tuple[int, int]  # of the ego's steps between two places

    def cell(self, small: bool) -> float:
        return self.cells[0 if small else 1]

    def step(self, small: bool) -> int:
        return self.steps[0 if small else 1]


DETAILS = (
    Detail((0.2, 0.4), (2, 4)),
    Detail((0.4, 0.8), (2, 4)),
    Detail((0.4, 0.8), (4, 8)),
)


@dataclass(frozen=True)
class User:
    """A road user; places are in steps of the world, headings in turns."""

    label: int
    detail: Detail
    lattice: Int64[np.ndarray, "t 4"]  # x, y, z, heading; zeros where absent
    present: Bool[np.ndarray, " t"]
    shape: Shape

    @property
    def small(self) -> bool:
        return self.label in SMALL

    def world_from_object(self) -> Float[Tensor, "t 4 4"]:
        """Upright poses, in float64."""
        lattice = torch.from_numpy(self.lattice).double()
        step = EGO_STEP * self.detail.step(self.small)
        return compose(rotz(lattice[:, 3] * turn_of(self.small)), lattice[:, :3] * step)


def turn_of(small: bool) -> float:
    """Radians between two headings."""
    return 2 * math.pi / _TURNS[small]


def draw_users(
    labels: UInt8[Tensor, "x y z"],
    grid: VoxelGrid,
    world_from_grid: Float[Tensor, "4 4"],
    users: Sequence[User],
    world_from_objects: Sequence[Float[Tensor, "4 4"]],
) -> None:
    """Put users into a frame, in place: every voxel whose middle is in an occupied cell of a shape."""
    grid_from_world = invert(world_from_grid.double())
    for user, world_from_object in zip(users, world_from_objects, strict=True):
        index = covered(grid, grid_from_world @ world_from_object, user.shape)
        labels.view(-1)[index] = user.label


def covered(grid: VoxelGrid, grid_from_object: Float[Tensor, "4 4"], shape: Shape) -> Int64[Tensor, " n"]:
    """Flat indices of the voxels of a grid whose middle is in an occupied cell."""
    low, sides = torch.from_numpy(shape.low), torch.tensor(shape.cells.shape)
    corners = torch.cartesian_prod(*(torch.tensor([0, n]) for n in sides.tolist())) + low
    placed = (apply(grid_from_object, corners.double() * shape.size) - torch.tensor(grid.origin)) / grid.voxel_size
    first = placed.amin(0).floor().long().clamp(min=0)
    last = torch.minimum(placed.amax(0).ceil().long(), torch.tensor(grid.shape))
    if not bool((first < last).all()):
        return torch.zeros(0, dtype=torch.int64)
    axes = [torch.arange(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
    cells = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 2)
    middles = (cells + 0.5) * grid.voxel_size + torch.tensor(grid.origin, dtype=torch.float64)
    held = torch.from_numpy(shape.holds(apply(invert(grid_from_object), middles).numpy()))
    cells = cells[held]
    return (cells[:, 0] * grid.shape[1] + cells[:, 1]) * grid.shape[2] + cells[:, 2]


class UserCoder:
    """Codes users one after the other, in the order in which they appear, and learns from each."""

    def __init__(self, ego: EgoPoses, detail: Detail) -> None:
        self._ego, self._frames, self._detail = ego.lattice, len(ego.lattice), detail
        self._label, self._first = Counts(len(MOVERS)), Sizes()
        self._shapes = {small: ShapeCoder() for small in (True, False)}
        self._height = {small: Integers(12, 4.0) for small in (True, False)}
        self._there = [Counts(2, np.array([2, 30])), Counts(2, np.array([8, 4]))]
        self._place = {(small, still): Integers(10, 2.0) for small in (True, False) for still in (True, False)}
        self._climb = {small: Integers(3, 0.5) for small in (True, False)}
        self._turn = {(small, known): Integers(4, 0.5) for small in (True, False) for known in (True, False)}
        self._last_first = 0
        self._num_cells = 0

    def code(self, coder: Coder, user: User | None) -> User:
        """One user whose first frame is not before the last one's."""
        with coder.part("users_paths"):
            number = self._label.code(coder, None if user is None else MOVERS.index(user.label))
            label = MOVERS[number]
            present = self._presence(coder, None if user is None else user.present)
            lattice = self._path(coder, label in SMALL, present, None if user is None else user.lattice)
        with coder.part("users_shapes"):
            small = label in SMALL
            shape = self._shapes[small].code(coder, None if user is None else user.shape, self._detail.cell(small))
            self._num_cells += shape.cells.size
            if self._num_cells > MAX_CELLS:
                raise InputError(f"expected shapes of at most {MAX_CELLS} cells together in a clip's stream, got more")
        return User(label, self._detail, lattice, present, shape)

    def _presence(self, coder: Coder, there: Bool[np.ndarray, " t"] | None) -> Bool[np.ndarray, " t"]:
        frames = np.zeros(0, np.int64) if there is None else there.nonzero()[0]
        later = self._first.code(coder, None if there is None else int(frames[0]) - self._last_first)
        first = self._last_first + later
        if first >= self._frames:
            raise InputError(f"expected users within {self._frames} frames in a clip's stream, got one at {first}")
        length = plain(coder, None if there is None else int(frames[-1]) - first, self._frames - first)
        present = np.zeros(self._frames, np.bool_)
        present[[first, first + length]] = True
        for i in range(first + 1, first + length):
            model = self._there[0 if present[i - 1] else 1]
            present[i] = bool(model.code(coder, None if there is None else int(there[i])))
        self._last_first = first
        return present

    def _path(
        self, coder: Coder, small: bool, present: Bool[np.ndarray, " t"], said: Int64[np.ndarray, "t 4"] | None
    ) -> Int64[np.ndarray, "t 4"]:
        lattice = np.zeros((self._frames, 4), np.int64)
        frames = present.nonzero()[0].tolist()
        step = self._detail.step(small)
        turns, reach = _TURNS[small], round(_NEAR / (EGO_STEP * step))
        first = frames[0]
        base = [int(value) // step for value in self._ego[first, :3]]
        for axis in range(2):
            rest = None if said is None else int(said[first, axis]) - base[axis] + reach
            lattice[first, axis] = base[axis] + plain(coder, rest, 2 * reach + 1) - reach
        rest = None if said is None else int(said[first, 2]) - base[2]
        lattice[first, 2] = base[2] + self._height[small].code(coder, rest, _FASTEST)
        lattice[first, 3] = plain(coder, None if said is None else int(said[first, 3]) % turns, turns)
        way, since = np.zeros(3, np.int64), 1
        for last, i in pairwise(frames):
            gap = i - last
            still = not way[:2].any()
            for axis in range(3):
                expected = int(lattice[last, axis]) + int(way[axis]) * gap // since * (axis < 2)
                model = self._place[small, still] if axis < 2 else self._climb[small]
                rest = None if said is None else int(said[i, axis]) - expected
                lattice[i, axis] = expected + model.code(coder, rest, _FASTEST)
            way, since = lattice[i, :3] - lattice[last, :3], gap
            moved = int(way[0]) ** 2 + int(way[1]) ** 2 > round(0.5 / (EGO_STEP * step)) ** 2
            heading = int(lattice[last, 3])
            if moved:
                heading = round(math.atan2(int(way[1]), int(way[0])) / turn_of(small))
            rest = None
            if said is not None:
                rest = (int(said[i, 3]) - heading + turns // 2) % turns - turns // 2
            lattice[i, 3] = (heading + self._turn[small, moved].code(coder, rest, turns)) % turns
        return lattice
