"""What a future costs: frames per second, and how time grows with the horizon, the futures and the grid."""

import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

from worldloom.apps.bench.result import Row
from worldloom.geometry import EgoPath, Occupancy, VoxelGrid
from worldloom.occupancy.world_model import WorldModel

_PAST = 5
_FRAMES = 16  # of the futures that are timed
_HORIZONS = (8, 16, 32)
_FUTURES = (1, 2, 4, 8)
_SIDES = (100, 140, 200)  # voxels


def cost_rows(clips: Sequence[Occupancy], model: WorldModel, quick: bool) -> list[Row]:
    """CPU seconds of futures along the logged path, with 2 steps a chunk; what was asked first is asked twice."""
    clip = max(clips, key=len)
    past, rest = clip[:_PAST], clip[_PAST:]
    _seconds(model, past, rest[:_FRAMES])
    one = statistics.median(_seconds(model, past, rest[:_FRAMES]) for _ in range(2 if quick else 5))
    note = f"one future of {_FRAMES} frames along the logged path, voxels drawn, 2 steps a chunk"
    rows = [Row("frames_per_s", _FRAMES / one, "1/s of CPU", ">= 10", {}, note)]
    growth = {f"{n} frames": _seconds(model, past, rest[:n]) for n in _HORIZONS if n <= len(rest)}
    rows.append(_growth_row("cost_by_horizon", growth, "one future"))
    growth = {f"K = {n}": _seconds(model, past, rest[:_FRAMES], n) for n in _FUTURES[: 2 if quick else None]}
    rows.append(
        _growth_row("cost_by_futures", growth, f"K futures of {_FRAMES} frames; what stands is drawn once for all")
    )
    growth = {}
    for side in _SIDES:
        small = _middle(clip, side)
        growth[f"{side} x {side}"] = _seconds(model, small[:_PAST], small[_PAST : _PAST + _FRAMES])
    rows.append(_growth_row("cost_by_grid", growth, f"one future of {_FRAMES} frames"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    rows.append(Row("peak_gb", peak, "GB", "<= 4", {}, "resident memory of this benchmark at its most"))
    return rows


def _seconds(model: WorldModel, past: Occupancy, truth: Occupancy, num_futures: int = 1) -> float:
    began = time.process_time()
    model.generate(past, EgoPath(truth.world_from_ego, truth.dt), num_futures)
    return time.process_time() - began


def _growth_row(metric: str, growth: dict[str, float], note: str) -> Row:
    """The largest as the value, the others beside it."""
    name, value = growth.popitem()
    return Row(metric, value, "s of CPU", "", growth, f"{name}; {note}")


def _middle(clip: Occupancy, side: int) -> Occupancy:
    """The middle of a clip's grid, `side` columns wide."""
    grid = clip.grid
    first = [(n - side) // 2 for n in grid.shape[:2]]
    x, y = (origin + start * grid.voxel_size for origin, start in zip(grid.origin[:2], first, strict=True))
    part = (slice(None), *(slice(start, start + side) for start in first))
    return replace(
        clip,
        labels=clip.labels[part].contiguous(),
        observed=clip.observed[part].contiguous(),
        grid=VoxelGrid((x, y, grid.origin[2]), grid.voxel_size, (side, side, grid.shape[2])),
    )
