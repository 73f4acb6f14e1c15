"""The static worlds of clips as files, and crops of them as training examples of the static tokenizer."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, UInt8, UInt32
from torch import Tensor

from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.geometry.occupancy import FREE, Occupancy
from worldloom.geometry.rigid import invert
from worldloom.occupancy.static_tokenizer import NUM_LAYERS, ORIGIN_Z
from worldloom.occupancy.static_world import box_around, fuse_clip, lattice_grid

PATH_WIDTH = 2.0  # metres that the ego sweeps
_KEYS = {
    "index": "uint32 n", "labels": "uint8 n", "seen": "int64 n", "shape": "int64 a", "origin": "float64 a",
    "voxel_size": "float64", "grid_from_ego": "float64 t 4 4",
}  # fmt: skip


@dataclass(frozen=True)
class StaticScene:
    """The observed voxels of a clip's static world, in the frame of the ego at the middle of the clip."""

    index: UInt32[np.ndarray, " n"]  # flat places in `shape`, in order
    labels: UInt8[np.ndarray, " n"]
    seen: Int64[np.ndarray, " n"]  # bit i: observed in frame i
    shape: tuple[int, int, int]
    origin: Float64[np.ndarray, " 3"]
    voxel_size: float
    grid_from_ego: Float64[np.ndarray, "t 4 4"]

    def __len__(self) -> int:
        return len(self.grid_from_ego)


class StaticCrop(NamedTuple):
    """One example: all that was ever observed in a square of the world, what of it was known, and the way ahead."""

    labels: UInt8[Tensor, "x y z"]
    observed: Bool[Tensor, "x y z"]
    known: Bool[Tensor, "x y z"]
    path: Float[Tensor, "x y"]  # 1 where the ego will drive


def static_scene(clip: Occupancy) -> StaticScene:
    """Fuse a clip of at most 63 frames."""
    anchor = clip.world_from_ego[len(clip) // 2].double()
    grid_from_ego = invert(anchor) @ clip.world_from_ego.double()
    grid = lattice_grid(clip.grid, *box_around(clip.grid, grid_from_ego))
    fused = fuse_clip(clip, anchor, grid)
    index = fused.seen.flatten().nonzero()[:, 0]
    return StaticScene(
        index.numpy().astype(np.uint32), fused.labels.flatten()[index].numpy(), fused.seen.flatten()[index].numpy(),
        grid.shape, np.array(grid.origin), grid.voxel_size, grid_from_ego.numpy(),
    )  # fmt: skip


def save_static_scene(path: Path, scene: StaticScene) -> None:
    """Write a scene; the same scene gives the same bytes."""
    arrays = {
        "index": scene.index, "labels": scene.labels, "seen": scene.seen, "shape": np.array(scene.shape),
        "origin": scene.origin, "voxel_size": np.float64(scene.voxel_size), "grid_from_ego": scene.grid_from_ego,
    }  # fmt: skip
    with atomic_path(path) as temporary:
        save_npz(temporary, arrays)


def load_static_scene(path: Path) -> StaticScene:
    """Read what `save_static_scene` wrote."""
    a = load_npz(path, _KEYS)
    x, y, z = a["shape"].tolist()
    return StaticScene(
        a["index"], a["labels"], a["seen"], (x, y, z), a["origin"], a["voxel_size"].item(), a["grid_from_ego"]
    )


def random_crop(scene: StaticScene, dice: Random, columns: int = 160) -> StaticCrop:
    """A square near the ego at some moment, in one of eight orientations.

    Known is what the last 5 frames, or all frames so far, have seen at that moment; the way ahead is given for up to 8
    seconds, or not at all.
    """
    moment = dice.randrange(1, len(scene))
    since = max(0, moment - 5) if dice.random() < 0.6 else 0
    pose = scene.grid_from_ego[moment]
    ahead, aside = dice.uniform(-15, 35), dice.uniform(-15, 15)
    centre = (pose @ np.array([ahead, aside, 0, 1]))[:3]
    steps = 0 if dice.random() < 0.25 else dice.randrange(2, 17)
    crop = crop_at(scene, centre, float(pose[2, 3]), columns, (since, moment), (moment - 1, moment + steps))
    quarter_turns, flip = dice.randrange(4), dice.random() < 0.5
    turned = (torch.rot90(part, quarter_turns, (0, 1)) for part in crop)
    return StaticCrop(*((part.flip(0) if flip else part).contiguous() for part in turned))


def crop_at(
    scene: StaticScene,
    centre: Float64[np.ndarray, " 3"],
    height: float,
    columns: int,
    memory: tuple[int, int],
    way: tuple[int, int],
) -> StaticCrop:
    """The square of `columns` columns around a place.

    Args:
        height: of the ego; the layers begin ORIGIN_Z above it.
        memory: the frames, first and one past the last, whose voxels are known.
        way: the frames between whose poses the path is drawn.
    """
    size = scene.voxel_size
    low = np.round((np.array([*centre[:2], height + ORIGIN_Z]) - scene.origin) / size).astype(np.int64)
    low[:2] -= columns // 2
    _, ny, nz = scene.shape
    index = scene.index.astype(np.int64)
    first, last = np.searchsorted(index, [low[0] * ny * nz, (low[0] + columns) * ny * nz])
    index, labels, seen = index[first:last], scene.labels[first:last], scene.seen[first:last]
    cell = np.stack([index // (ny * nz), index // nz % ny, index % nz], 1) - low
    box = np.array([columns, columns, NUM_LAYERS])
    inside = ((cell >= 0) & (cell < box)).all(1)
    x, y, z = cell[inside].T
    shape = (columns, columns, NUM_LAYERS)
    crop_labels = np.full(shape, FREE, np.uint8)
    observed, known = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    crop_labels[x, y, z], observed[x, y, z] = labels[inside], True
    known[x, y, z] = (seen[inside] >> memory[0]) & ((1 << (memory[1] - memory[0])) - 1) != 0
    origin = scene.origin[:2] + low[:2] * size
    poses = scene.grid_from_ego[max(0, way[0]) : way[1], :2, 3]
    path = path_picture(torch.from_numpy(poses - origin), columns, size)
    return StaticCrop(torch.from_numpy(crop_labels), torch.from_numpy(observed), torch.from_numpy(known), path)


def path_picture(xy: Float[Tensor, "t 2"], columns: int | tuple[int, int], size: float) -> Float[Tensor, "x y"]:
    """1 within half PATH_WIDTH of the line through points (metres from the picture's corner); 0 for fewer than two."""
    nx, ny = (columns, columns) if isinstance(columns, int) else columns
    picture = torch.zeros(nx, ny)
    if len(xy) < 2:
        return picture
    a, way = xy[:-1].float(), xy[1:].float() - xy[:-1].float()
    count = max(2, int(way.norm(dim=1).max() / (0.5 * size)) + 1)
    points = (a[:, None] + torch.linspace(0, 1, count)[:, None] * way[:, None]).flatten(0, 1)
    reach = round(0.5 * PATH_WIDTH / size)
    offsets = torch.cartesian_prod(torch.arange(-reach, reach + 1), torch.arange(-reach, reach + 1))
    cells = ((points / size).floor().long()[:, None] + offsets[offsets.pow(2).sum(1) <= reach**2 + 1]).flatten(0, 1)
    cells = cells[((cells >= 0) & (cells < torch.tensor([nx, ny]))).all(1)]
    picture[cells[:, 0], cells[:, 1]] = 1.0
    return picture
