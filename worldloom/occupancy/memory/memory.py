"""A memory of the static world that lasts: what was seen, or made up, stays where it is in the world.

    record   a frame's labels as votes for the class of each voxel
    select   the recorded frames that show most of what a new view will show
    compress what was not used for a while, to its best class
    process  what is known in a grid: as labels, as evidence, as a picture from above
    manage   the budget: the oldest is packed, then the least useful forgotten; also forget, merge, copy, save, load

Frames that a model made up weigh less than frames that were observed, and never change a voxel that was observed.
Road users are not remembered, nor is the space that they hide. Coordinates are kept in float64.
"""

import itertools
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.occupancy import FREE, GROUND, MOVERS, OCC3D_GRID, VoxelGrid
from worldloom.geometry.rigid import invert
from worldloom.geometry.warp_occupancy import TIE
from worldloom.occupancy.memory.seen_frames import CELL, SeenFrame, SeenFrames
from worldloom.occupancy.memory.voxel_blocks import (
    MOST,
    OBSERVED,
    SIDE,
    UNKNOWN,
    VOXELS,
    VoxelBlocks,
    blocks_of,
    keys_of,
    vote,
)
from worldloom.occupancy.metrics.static_world import StaticAgreement

OBSERVED_WEIGHT, GENERATED_WEIGHT = 15, 5  # votes of a frame; MOST / OBSERVED_WEIGHT = 8 looks end the counting
HIT = 0.9  # how often a look at a voxel is right; gives votes their log-odds
LOG_ODDS = math.log(HIT / (1 - HIT)) / OBSERVED_WEIGHT  # of one vote
MIN_BUDGET = 16 << 20  # bytes; a frame of Occ3D's grid alone takes 5 MB
FRAMES_SHARE = 0.1  # of the budget, for the index of frames
_CHUNK = 1 << 16  # voxels that are looked up at once; they and their addresses fit the cache
_MAX_WINDOW = 1 << 28  # voxels that `labels_in` may look at

_CLASS_OF_CODE = torch.arange(256, dtype=torch.uint8) % OBSERVED
_CLASS_OF_CODE[[UNKNOWN, UNKNOWN + OBSERVED]] = FREE


class Known(NamedTuple):
    """What the memory says about a grid."""

    labels: UInt8[Tensor, "x y z"]  # free where nothing is known
    known: Bool[Tensor, "x y z"]
    generated: Bool[Tensor, "x y z"]  # known, but nobody looked
    log_odds: Float[Tensor, "x y z"]  # of the label against the next best; 0 where nothing is known


class Selected(NamedTuple):
    """A frame that was selected, and the share of the query that it shows beside those selected before."""

    frame: SeenFrame
    share: float


class Memory:
    """See the module. One object is changed by record, forget, compress and manage; `copy` branches it."""

    def __init__(
        self,
        like: VoxelGrid = OCC3D_GRID,
        world_from_memory: Float[Tensor, "4 4"] | None = None,
        budget: int = 256 << 20,
    ) -> None:
        """An empty memory.

        Args:
            like: the grid whose voxels the memory's lattice continues: its voxel size, and where faces are.
            world_from_memory: the frame that the lattice is aligned with. Frames at whole-voxel shifts of it are
                remembered without any loss, so the ego's first pose is a good choice. The world's axes if not given.
            budget: bytes that all of it may take.
        Raises:
            InputError: a budget below MIN_BUDGET.
        """
        if budget < MIN_BUDGET:
            raise InputError(f"expected a memory of at least {MIN_BUDGET} bytes, got {budget}")
        self.voxel_size = like.voxel_size
        self.origin: Float64[np.ndarray, " 3"] = np.array(like.origin, np.float64)
        pose = torch.eye(4) if world_from_memory is None else world_from_memory
        self.world_from_memory: Float[Tensor, "4 4"] = pose.double().clone()
        self.budget = budget
        self.blocks = VoxelBlocks(int((1 - FRAMES_SHARE) * budget))
        self.frames = SeenFrames()
        self.now = 0.0  # the time of the latest frame, seconds

    def __len__(self) -> int:
        """Recorded frames that it still knows of."""
        return len(self.frames)

    @property
    def nbytes(self) -> int:
        """Bytes held; at most the budget, after `record` and `manage`."""
        return self.blocks.nbytes + self.frames.nbytes

    def copy(self) -> "Memory":
        """A branch: the same content, changed on its own from here on."""
        other = Memory(self._like(), self.world_from_memory, self.budget)
        other.blocks, other.frames, other.now = self.blocks.copy(), self.frames.copy(), self.now
        return other

    def record(
        self,
        labels: UInt8[Tensor, "x y z"],
        observed: Bool[Tensor, "x y z"],
        world_from_ego: Float[Tensor, "4 4"],
        grid: VoxelGrid = OCC3D_GRID,
        time: float | None = None,
        generated: bool = False,
    ) -> int:
        """Remember a frame; returns its number, for `select`.

        Args:
            labels: Occ3D's classes. Road users are left out.
            observed: where the labels count.
            world_from_ego: the frame of the grid.
            grid: of any size and place.
            time: seconds, for age and recency; half a second after the latest frame if not given.
            generated: a model made it up; it weighs less, and where somebody looked it says nothing.
        Raises:
            ValueError: shapes that do not fit the grid, labels that are no classes.
        """
        if tuple(labels.shape) != grid.shape or tuple(observed.shape) != grid.shape:
            raise ValueError(
                f"expected labels and observed {grid.shape}, got {tuple(labels.shape)} and {tuple(observed.shape)}"
            )
        if int(labels.max()) > FREE:
            raise ValueError(f"expected classes 0 to {FREE}, got {int(labels.max())}")
        if not bool(world_from_ego.isfinite().all()):
            raise ValueError("expected a pose of finite numbers, got NaN or infinity")
        self.now = self.now + 0.5 * bool(len(self)) if time is None else float(time)
        keys, codes = self._carried(_news(labels, observed), world_from_ego.double(), grid)
        if len(keys):
            rows = self.blocks.rows(keys)
            vote(rows, codes, GENERATED_WEIGHT if generated else OBSERVED_WEIGHT, not generated)
            self.blocks.put(keys, rows, self.now)
        cells = _cells_of(blocks_of(keys))
        number = self.frames.add(world_from_ego.double().numpy().copy(), self.now, generated, cells)
        self.manage()
        return number

    def select(
        self,
        world_from_view: Float[Tensor, "4 4"],
        count: int,
        reach: float | int = 40.0,
        field_deg: float | int = 360.0,
        time: float | None = None,
        fade: float | int = 10.0,
        recency: float | int = 0.05,
    ) -> list[Selected]:
        """The recorded frames that together show most of a view, best first; fewer than `count` where they show all.

        Args:
            world_from_view: the pose of the view; it looks along its x axis.
            reach: metres that it looks ahead.
            field_deg: how wide it looks, 360 for all around.
            time: seconds; recent frames are preferred among those that show as much. Now, if not given.
            fade: seconds after which a frame's recency is down to 1 / e.
            recency: what recency is worth, as a share of the view.
        """
        cells = self._cells_of_view(world_from_view.double(), float(reach), float(field_deg))
        when = self.now if time is None else float(time)
        chosen = self.frames.select(cells, count, when, float(fade), float(recency))
        return [Selected(self.frames[number], share) for number, share in chosen]

    def labels_in(
        self, grid: VoxelGrid, world_from_grid: Float[Tensor, "4 4"], generated: bool = True
    ) -> tuple[UInt8[Tensor, "x y z"], Bool[Tensor, "x y z"]]:
        """What stands in a grid, and where that is known; free where it is not.

        Args:
            generated: whether what was made up counts as known.
        """
        codes = self._codes_in(grid, world_from_grid)[0]
        known = (codes >= OBSERVED) if not generated else codes != UNKNOWN
        labels = _CLASS_OF_CODE.index_select(0, codes.flatten().int()).view(codes.shape)
        return labels.masked_fill_(~known, FREE) if not generated else labels, known

    def evidence_in(self, grid: VoxelGrid, world_from_grid: Float[Tensor, "4 4"]) -> Known:
        """As `labels_in`, with how sure the memory is, and whether somebody looked or it was made up."""
        codes, lead = self._codes_in(grid, world_from_grid, with_lead=True)
        known = codes != UNKNOWN
        labels = _CLASS_OF_CODE[codes.int()]
        return Known(labels, known, known & (codes < OBSERVED), lead.float() * LOG_ODDS)

    def picture_in(self, grid: VoxelGrid, world_from_grid: Float[Tensor, "4 4"]) -> UInt8[Tensor, "x y"]:
        """From above: the highest class of each column that is not free, free where all is, UNKNOWN where none is.

        Ground shows where nothing stands on it.
        """
        labels, known = self.labels_in(grid, world_from_grid)
        solid = known & (labels != FREE)
        height = torch.arange(1, grid.shape[2] + 1, dtype=torch.int16)
        standing = solid & ~torch.isin(labels, torch.tensor(GROUND, dtype=torch.uint8))
        rank = torch.where(standing, height + grid.shape[2], torch.where(solid, height, 0))
        top = labels.gather(2, rank.argmax(2, keepdim=True))[..., 0]
        top = torch.where(solid.any(2), top, FREE)
        return torch.where(known.any(2), top, UNKNOWN)

    def process(
        self, form: Literal["occupancy", "evidence", "picture"], grid: VoxelGrid, world_from_grid: Float[Tensor, "4 4"]
    ) -> tuple[UInt8[Tensor, "x y z"], Bool[Tensor, "x y z"]] | Known | UInt8[Tensor, "x y"]:
        """What a reader of the memory takes it in as: `labels_in`, `evidence_in` or `picture_in`."""
        forms: dict[str, Callable] = {
            "occupancy": self.labels_in,
            "evidence": self.evidence_in,
            "picture": self.picture_in,
        }
        if form not in forms:
            raise ValueError(f"expected one of {', '.join(forms)}, got {form!r}")
        return forms[form](grid, world_from_grid)

    def agreement(
        self,
        labels: UInt8[Tensor, "x y z"],
        observed: Bool[Tensor, "x y z"],
        world_from_ego: Float[Tensor, "4 4"],
        grid: VoxelGrid = OCC3D_GRID,
    ) -> StaticAgreement:
        """Revisit consistency: how a frame agrees with the memory, where both know and no road user is."""
        remembered, known = self.labels_in(grid, world_from_ego)
        news = _news(labels, observed)
        both = known & (news != UNKNOWN)
        before, now = (remembered != FREE) & both, (news != FREE) & both
        return StaticAgreement(
            int((before & now).sum()),
            int((before & now & (remembered == news)).sum()),
            int((before | now).sum()),
            int(both.sum()),
        )

    def compress(self, older_than: float | int = 10.0) -> int:
        """Pack what was not used in the last seconds to its best classes; returns the number of blocks packed."""
        return self.blocks.compress(self.now - older_than)

    def manage(self, budget: int | None = None) -> int:
        """Hold the budget, or change it; returns the number of blocks forgotten.

        Raises:
            InputError: a budget below MIN_BUDGET.
        """
        if budget is not None:
            if budget < MIN_BUDGET:
                raise InputError(f"expected a memory of at least {MIN_BUDGET} bytes, got {budget}")
            self.budget = budget
            self.blocks.budget = int((1 - FRAMES_SHARE) * budget)
        self.frames.thin(int(FRAMES_SHARE * self.budget))
        # Down to nine tenths, so that not every frame has to forget a little.
        if self.blocks.nbytes <= self.blocks.budget:
            return 0
        return self.blocks.evict(int(0.9 * self.blocks.budget), self.now)

    def forget(self, low: Float[Tensor, " 3"], high: Float[Tensor, " 3"]) -> int:
        """Forget the voxels whose centres lie in a box of the memory's own frame; returns how many were known.

        Frames that looked nowhere else are forgotten too.
        """
        first = np.ceil((low.double().numpy() - self.origin) / self.voxel_size - 0.5 - TIE).astype(np.int64)
        last = np.floor((high.double().numpy() - self.origin) / self.voxel_size - 0.5 + TIE).astype(np.int64)
        blocks = blocks_of(self.blocks.keys)
        near = ((blocks * SIDE + SIDE > first) & (blocks * SIDE <= last)).all(1)
        keys = self.blocks.keys[near]
        voxels = blocks[near][:, None] * SIDE + _IN_BLOCK
        gone = ((voxels >= first) & (voxels <= last)).all(2)
        rows = self.blocks.rows(keys)
        count = int((gone & (rows[:, 0] != UNKNOWN)).sum())
        rows[:, 0][gone] = UNKNOWN
        rows[:, 1:].transpose(0, 2, 1)[gone] = 0
        empty = (rows[:, 0] == UNKNOWN).all(1)
        for part in _parts(len(keys), 4096):
            self.blocks.put(keys[part], rows[part], self.now)
        self.blocks.remove(keys[empty])
        before, after = _cells_of(blocks[near]), _cells_of(blocks_of(self.blocks.keys))
        self.frames.forget_cells(set(before.tolist()) - set(after.tolist()))
        return count

    def merge(self, other: "Memory") -> None:
        """Take in all that another memory of the same lattice knows: its votes count as if they had been cast here.

        Raises:
            ValueError: another lattice.
        """
        same = np.allclose(self.origin, other.origin) and math.isclose(self.voxel_size, other.voxel_size)
        if not same or not torch.allclose(self.world_from_memory, other.world_from_memory):
            raise ValueError("expected a memory of the same voxels and frame, got one of another lattice")
        self.now = max(self.now, other.now)
        for part in _parts(len(other.blocks), 4096):
            keys = other.blocks.keys[part]
            rows, theirs = self.blocks.rows(keys), other.blocks.rows(keys)
            flag = theirs[:, 0] >= OBSERVED
            for seen in (False, True):
                for label, weight in ((theirs[:, 2], theirs[:, 3]), (theirs[:, 0] % OBSERVED, theirs[:, 1])):
                    vote(rows, np.where((flag == seen) & (weight > 0), label, UNKNOWN), weight, seen)
            self.blocks.put(keys, rows, self.now)
        for frame in other.frames:
            self.frames.add(frame.world_from_ego, frame.time, frame.generated, frame.cells)
        self.manage()

    def _like(self) -> VoxelGrid:
        x, y, z = self.origin.tolist()
        return VoxelGrid((x, y, z), self.voxel_size, (1, 1, 1))

    def _lattice_from(
        self, world_from_grid: Float[Tensor, "4 4"]
    ) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, " 3"]]:
        """Rotation, and translation in voxels, from metres of a frame to voxels of the memory."""
        pose = (invert(self.world_from_memory) @ world_from_grid.double()).numpy()
        return pose[:3, :3], (pose[:3, 3] - self.origin) / self.voxel_size

    def _carried(
        self, news: UInt8[Tensor, "x y z"], world_from_ego: Float[Tensor, "4 4"], grid: VoxelGrid
    ) -> tuple[Int64[np.ndarray, " n"], UInt8[np.ndarray, "n v"]]:
        """A frame's labels in the blocks of the memory: backward mapping, nearest voxel, as `warp_labels`."""
        seen = news != UNKNOWN
        if not bool(seen.any()):
            return np.zeros(0, np.int64), np.zeros((0, VOXELS), np.uint8)
        spans = [seen.any(dim=axes).nonzero() for axes in ((1, 2), (0, 2), (0, 1))]
        low = np.array([int(span[0]) for span in spans])
        high = np.array([int(span[-1]) + 1 for span in spans])
        rotation, shift = self._lattice_from(world_from_ego)
        scale = grid.voxel_size / self.voxel_size
        # lattice = rotation @ (origin + index * size) / memory size + shift, for fractional indices of the grid
        start = rotation @ (np.array(grid.origin) / self.voxel_size) + shift
        corners = np.array(list(itertools.product(*zip(low, high, strict=True)))) * scale @ rotation.T + start
        first, last = np.floor(corners.min(0) / SIDE), np.ceil(corners.max(0) / SIDE)
        axes = [np.arange(a, b, dtype=np.int64) for a, b in zip(first, last, strict=True)]
        blocks = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        # index of the grid (fractional) = turn @ lattice + offset
        turn = rotation.T / scale
        offset = -turn @ start
        middle = (blocks * SIDE + SIDE / 2) @ turn.T + offset
        around = 0.5 * SIDE * np.abs(turn).sum(1)
        blocks = blocks[((middle + around > low) & (middle - around < high)).all(1)]
        base = torch.from_numpy(((blocks * SIDE + 0.5) @ turn.T + offset + TIE + 1).astype(np.float32))
        steps = torch.from_numpy((_IN_BLOCK @ turn.T).astype(np.float32))
        padded = torch.nn.functional.pad(news, (1, 1, 1, 1, 1, 1), value=UNKNOWN)
        codes = _look_up(padded, base, steps).numpy()
        told = (codes != UNKNOWN).any(1)
        return keys_of(blocks[told]), codes[told]

    def _codes_in(
        self, grid: VoxelGrid, world_from_grid: Float[Tensor, "4 4"], with_lead: bool = False
    ) -> tuple[UInt8[Tensor, "x y z"], UInt8[Tensor, "x y z"]]:
        """Codes of the best classes in a grid, and how far they lead (codes again, where that is not asked for)."""
        if not bool(world_from_grid.isfinite().all()):
            raise ValueError("expected a pose of finite numbers, got NaN or infinity")
        rotation, shift = self._lattice_from(world_from_grid)
        scale = grid.voxel_size / self.voxel_size
        start = rotation @ (np.array(grid.origin) / self.voxel_size) + shift
        corners = np.array(list(itertools.product(*([0, n] for n in grid.shape)))) * scale @ rotation.T + start
        first, last = np.floor(corners.min(0) / SIDE) - 1, np.ceil(corners.max(0) / SIDE) + 1
        shape = (last - first).astype(np.int64)
        if math.prod(shape.tolist()) * VOXELS > _MAX_WINDOW:
            raise InputError(
                f"expected a grid of at most {_MAX_WINDOW} voxels of the memory, got {grid.shape} of {grid.voxel_size}"
            )
        axes = [np.arange(a, b, dtype=np.int64) for a, b in zip(first, last, strict=True)]
        keys = keys_of(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3))
        planes = [self.blocks.codes(keys, self.now)]
        if with_lead:
            rows = self.blocks.rows(keys)
            planes.append(rows[:, 1] - np.minimum(rows[:, 1], rows[:, 3]))
        i, j, k = (np.arange(n, dtype=np.float64) for n in grid.shape)
        column = np.stack(np.meshgrid(i, j, indexing="ij"), -1).reshape(-1, 2) @ (rotation[:, :2] * scale).T
        middle = rotation @ np.full(3, 0.5 * scale) + start - first * SIDE + TIE
        base = torch.from_numpy((column + middle).astype(np.float32))
        steps = torch.from_numpy((k[:, None] * (rotation[:, 2] * scale)).astype(np.float32))
        found = [_look_up(_dense(plane, shape), base, steps).view(grid.shape) for plane in planes]
        return found[0], found[-1]

    def _cells_of_view(
        self, world_from_view: Float[Tensor, "4 4"], reach: float, field_deg: float
    ) -> Int64[np.ndarray, " c"]:
        """Cells whose middles a view has in its field."""
        pose = (invert(self.world_from_memory) @ world_from_view).numpy()
        cell = CELL * self.voxel_size
        here = pose[:2, 3] - self.origin[:2]
        axes = [np.arange(math.floor((x - reach) / cell), math.ceil((x + reach) / cell) + 1) for x in here]
        places = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
        way = (places + 0.5) * cell - here
        ahead = np.arctan2(pose[1, 0], pose[0, 0])
        turn = (np.arctan2(way[:, 1], way[:, 0]) - ahead + np.pi) % (2 * np.pi) - np.pi
        seen = (np.hypot(*way.T) <= reach) & (np.abs(turn) <= math.radians(field_deg) / 2 + 1e-9)
        return _cell_keys(places[seen])


_IN_BLOCK = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), -1).reshape(-1, 3)


def _news(labels: UInt8[Tensor, "x y z"], observed: Bool[Tensor, "x y z"]) -> UInt8[Tensor, "x y z"]:
    """What a frame says of the static world; UNKNOWN where it says nothing."""
    table = torch.arange(256, dtype=torch.uint8)
    table[list(MOVERS)] = UNKNOWN
    static = table.index_select(0, labels.flatten().int()).view(labels.shape)
    return torch.where(observed, static, UNKNOWN)


def _look_up(
    source: UInt8[Tensor, "a b c"], base: Float[Tensor, "n 3"], steps: Float[Tensor, "m 3"]
) -> UInt8[Tensor, "n m"]:
    """source at floor(base + step), for all pairs; positions beyond the ends count as the ends."""
    out = torch.empty(len(base), len(steps), dtype=torch.uint8)
    rows = max(1, _CHUNK // len(steps))
    position = torch.empty(rows, len(steps))
    address, index = (torch.empty(rows, len(steps), dtype=torch.int32) for _ in range(2))
    flat = source.flatten()
    starts, moves = base.T.contiguous(), steps.T.contiguous()
    for a in range(0, len(base), rows):
        n = min(rows, len(base) - a)
        p, t, s = position[:n], address[:n], index[:n]
        t.zero_()
        for axis, size in enumerate(source.shape):
            torch.add(starts[axis, a : a + n, None], moves[axis], out=p)
            s.copy_(p.clamp_(0, size - 0.5))
            t.mul_(size).add_(s)
        torch.index_select(flat, 0, t.view(-1), out=out[a : a + n].view(-1))
    return out


def _dense(planes: UInt8[np.ndarray, "n v"], shape: Int64[np.ndarray, " 3"]) -> UInt8[Tensor, "a b c"]:
    """Blocks in the order of their keys as one grid of voxels."""
    x, y, z = shape.tolist()
    # Eight voxels along z travel as one number.
    lines = planes.view(np.uint64).reshape(x, y, z, SIDE, SIDE).transpose(0, 3, 1, 4, 2)
    return torch.from_numpy(np.ascontiguousarray(lines).view(np.uint8).reshape(x * SIDE, y * SIDE, z * SIDE))


def _cells_of(blocks: Int64[np.ndarray, "n 3"]) -> Int64[np.ndarray, " c"]:
    """The cells that hold these blocks."""
    return np.unique(_cell_keys(blocks[:, :2] // (CELL // SIDE)))


def _cell_keys(places: Int64[np.ndarray, "n 2"]) -> Int64[np.ndarray, " n"]:
    return ((places[:, 0] + (1 << 20)) << 21) | (places[:, 1] + (1 << 20))


def _parts(count: int, size: int) -> list[slice]:
    return [slice(a, min(a + size, count)) for a in range(0, count, size)]


assert MOST + OBSERVED_WEIGHT <= 255  # counters are bytes
