"""A memory as one `.npz`, checked when it is read."""

from pathlib import Path

import numpy as np
import torch

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.geometry.io.pose_check import check_rigid
from worldloom.geometry.occupancy import FREE, VoxelGrid
from worldloom.occupancy.memory.memory import FRAMES_SHARE, MIN_BUDGET, Memory
from worldloom.occupancy.memory.seen_frames import SeenFrame, SeenFrames
from worldloom.occupancy.memory.voxel_blocks import MOST, OBSERVED, PLANES, UNKNOWN, VOXELS, VoxelBlocks

VERSION = 1
MAX_BYTES = 2 << 30  # unpacked
_KEYS = {
    "memory_version": "int64",
    "origin": "float64 3",
    "voxel_size": "float64",
    "world_from_memory": "float64 4 4",
    "budget": "int64",
    "now": "float64",
    "keys": "int64 n",
    "rows": f"uint8 n {PLANES} {VOXELS}",
    "packed": "bool n",
    "last": "float64 n",
    "hits": "int32 n",
    "frame_numbers": "int64 f",
    "frame_world_from_ego": "float64 f 4 4",
    "frame_times": "float64 f",
    "frame_generated": "bool f",
    "frame_num_cells": "int64 f",
    "frame_cells": "int64 c",
    "recorded": "int64",
}


def save_memory(path: str | Path, memory: Memory) -> None:
    """Write a memory; the same one gives the same bytes."""
    blocks, frames = memory.blocks, list(memory.frames)
    cells = [frame.cells for frame in frames]
    arrays = {
        "memory_version": np.int64(VERSION),
        "origin": memory.origin,
        "voxel_size": np.float64(memory.voxel_size),
        "world_from_memory": memory.world_from_memory.numpy(),
        "budget": np.int64(memory.budget),
        "now": np.float64(memory.now),
        "keys": blocks.keys,
        "rows": blocks.rows(blocks.keys),
        "packed": blocks.is_compressed(),
        "last": blocks.last,
        "hits": blocks.hits,
        "frame_numbers": np.array([frame.number for frame in frames], np.int64),
        "frame_world_from_ego": np.array([frame.world_from_ego for frame in frames]).reshape(-1, 4, 4),
        "frame_times": np.array([frame.time for frame in frames], np.float64),
        "frame_generated": np.array([frame.generated for frame in frames], np.bool_),
        "frame_num_cells": np.array([len(one) for one in cells], np.int64),
        "frame_cells": np.concatenate(cells) if cells else np.zeros(0, np.int64),
        "recorded": np.int64(memory.frames.recorded),
    }
    with atomic_path(path) as temporary:
        save_npz(temporary, arrays)


def load_memory(path: str | Path) -> Memory:
    """Read what `save_memory` wrote.

    Raises:
        InputError: not such a file, damaged, or with content that no memory has.
    """
    path = Path(path)
    a = load_npz(path, _KEYS, MAX_BYTES)
    _check(path, a)
    x, y, z = a["origin"].tolist()
    grid = VoxelGrid((x, y, z), a["voxel_size"].item(), (1, 1, 1))
    memory = Memory(grid, torch.from_numpy(a["world_from_memory"]), a["budget"].item())
    memory.now = a["now"].item()
    budget = int((1 - FRAMES_SHARE) * memory.budget)
    memory.blocks = VoxelBlocks.of(budget, a["keys"], a["rows"], a["packed"], a["last"], a["hits"])
    ends = np.cumsum(a["frame_num_cells"])
    memory.frames = SeenFrames.of(
        (
            SeenFrame(
                int(number),
                a["frame_world_from_ego"][i].copy(),
                float(a["frame_times"][i]),
                bool(a["frame_generated"][i]),
                a["frame_cells"][ends[i] - a["frame_num_cells"][i] : ends[i]].copy(),
            )
            for i, number in enumerate(a["frame_numbers"])
        ),
        a["recorded"].item(),
    )
    memory.manage()
    return memory


def _check(path: Path, a: dict[str, np.ndarray]) -> None:
    def require(fits: bool | np.bool_, expected: str, got: object) -> None:
        if not fits:
            raise InputError(f"{path}: expected {expected}, got {got}")

    version, size, budget = a["memory_version"].item(), a["voxel_size"].item(), a["budget"].item()
    require(version == VERSION, f"memory version {VERSION}", version)
    require(0 < size < np.inf and bool(np.isfinite(a["origin"]).all()), "a voxel size above 0 and an origin", size)
    require(budget >= MIN_BUDGET, f"a budget of at least {MIN_BUDGET} bytes", budget)
    check_rigid(a["world_from_memory"][None], f"{path}: world_from_memory")
    times = np.concatenate([a["last"], a["frame_times"], a["now"][None]])
    require(bool(np.isfinite(times).all()), "finite times", "NaN or infinity")
    keys, rows = a["keys"], a["rows"]
    require(bool((np.diff(keys) > 0).all()), "keys of blocks in order", "some that fall or repeat")
    require(bool((keys >= 0).all()), "keys of 0 and more", int(keys.min(initial=0)))
    code, first, second, other = (rows[:, plane] for plane in range(PLANES))
    labels = code % OBSERVED
    unknown = code == UNKNOWN
    require(bool((unknown | (labels <= FREE)).all()), f"codes of classes 0 to {FREE}", int(code.max(initial=0)))
    require(bool(((other == 0) | (second <= FREE)).all()), f"second classes 0 to {FREE}", int(second.max(initial=0)))
    sound = np.where(unknown, (first == 0) & (other == 0), (first > 0) & (first <= MOST) & (other <= first))
    require(bool(sound.all()), f"counters from 0 to {MOST}, the first one highest", "others")
    require(bool((a["hits"] >= 0).all()), "counts of hits", int(a["hits"].min(initial=0)))
    numbers, recorded, counts = a["frame_numbers"], a["recorded"].item(), a["frame_num_cells"]
    require(bool((np.diff(numbers) > 0).all()), "frames in order", "some that fall or repeat")
    in_range = not len(numbers) or bool(numbers[0] >= 0 and numbers[-1] < recorded)
    require(in_range and 0 <= recorded <= 100_000_000, f"numbers of frames from 0 to {recorded}", numbers.tolist()[:8])
    fits = bool((counts >= 0).all() and (counts <= len(a["frame_cells"])).all())
    require(fits and counts.sum() == len(a["frame_cells"]), f"{len(a['frame_cells'])} cells of frames", "another count")
    check_rigid(a["frame_world_from_ego"], f"{path}: frame_world_from_ego")
