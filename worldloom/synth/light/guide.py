"""Where light comes from and how much there is, learnt place by place: paths through a room find its windows, and
need not be followed to them where it is known already what arrives."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from worldloom.synth.light.octahedron import cell_from_direction, direction_from_square

_SIDE = 16  # cells along a side of each map of directions
_BINS = _SIDE**2
_ENOUGH = 4  # lessons at a place make its light known


@dataclass(frozen=True)
class Guide:
    """Maps of directions for surfaces of six facings in cubes of space; a simple form of path guiding.

    Müller et al. 2017, "Practical Path Guiding for Efficient Light-Transport Simulation", has trees for our cubes.
    """

    size: np.float32  # of the cubes, metres
    keys: Int[np.ndarray, " k"]  # numbers of the places, ascending
    share: Float32[np.ndarray, " n"]  # of each cell in its place's light, place by place
    urn: UInt8[np.ndarray, " n"]  # cells of each place, each as often as it is drawn
    light: Float32[np.ndarray, "3 k"]  # irradiance / pi of each place
    sure: Bool[np.ndarray, " k"]  # so many lessons were held there that the light is known

    def place(self, position: Float32[np.ndarray, "3 n"], normal: Float32[np.ndarray, "3 n"]) -> np.ndarray:
        """Numbers of places; -1 where nothing was learnt."""
        key = _keys(position, normal, self.size)
        at = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where(self.keys[at] == key, at, -1)

    def sample(self, place: np.ndarray, u: Float32[np.ndarray, "3 n"]) -> Float32[np.ndarray, "3 n"]:
        """Unit directions."""
        cell = self.urn[place * _BINS + (u[0] * _BINS).astype(np.int32)].astype(np.int32)
        corner = np.stack([cell // _SIDE, cell % _SIDE]).astype(np.float32)
        return direction_from_square((corner + u[1:]) * np.float32(2 / _SIDE) - 1)[0]

    def density(self, place: np.ndarray, direction: Float32[np.ndarray, "3 n"]) -> Float32[np.ndarray, " n"]:
        """Per solid angle, of what `sample` draws."""
        cell, scale = cell_from_direction(direction, _SIDE)
        return self.share[place * _BINS + cell] * scale * np.float32(_BINS / 4)


def learnt_guide(
    position: Float32[np.ndarray, "3 n"],
    normal: Float32[np.ndarray, "3 n"],
    light: Float32[np.ndarray, "3 n"],
    owner: Int[np.ndarray, " p"],
    direction: Float32[np.ndarray, "3 p"],
    worth: Float32[np.ndarray, " p"],
    size: float,
) -> Guide:
    """A guide from lessons, each at one point, and their paths.

    Args:
        light: irradiance / pi at each point.
        owner: number of the point where each path began.
        worth: what a path brought over the chance of its direction.
        size: of the cubes, metres.
    """
    width = np.float32(size)
    keys, lesson = np.unique(_keys(position, normal, width), return_inverse=True)
    count = np.bincount(lesson, minlength=len(keys))
    mean = np.stack([np.bincount(lesson, channel, len(keys)) / count for channel in light])
    place = lesson[owner]
    cell, _ = cell_from_direction(direction, _SIDE)
    # The root keeps one lucky path from drawing all others after it.
    value = np.sqrt(np.maximum(worth, 0)).astype(np.float64)
    total = np.bincount(place * _BINS + cell, value, len(keys) * _BINS).reshape(len(keys), _BINS)
    edges = total.cumsum(1)
    # Tickets at the middles of equal parts of the sum; a cell of little worth may get none.
    wanted = (np.arange(_BINS) + 0.5) / _BINS
    flat = (edges / np.maximum(edges[:, -1:], 1e-30) + np.arange(len(keys))[:, None]).ravel()
    drawn = np.searchsorted(flat, (wanted + np.arange(len(keys))[:, None]).ravel(), side="right").reshape(-1, _BINS)
    # Where nothing came back, every cell is as good.
    urn = np.where(edges[:, -1:] > 0, drawn - np.arange(len(keys))[:, None] * _BINS, np.arange(_BINS)).clip(
        0, _BINS - 1
    )
    rows = np.repeat(np.arange(len(keys)), _BINS)
    share = np.bincount(rows * _BINS + urn.ravel(), minlength=len(keys) * _BINS) / _BINS
    return Guide(
        width,
        keys,
        share.astype(np.float32),
        urn.astype(np.uint8).ravel(),
        mean.astype(np.float32),
        count >= _ENOUGH,
    )


def _keys(position: Float32[np.ndarray, "3 n"], normal: Float32[np.ndarray, "3 n"], size: np.float32) -> np.ndarray:
    """One number for each cube of space and each of six facings."""
    cube = np.floor(position / size).astype(np.int64) + (1 << 19)
    axis = np.abs(normal).argmax(0)
    facing = 2 * axis + (np.take_along_axis(normal, axis[None], 0)[0] > 0)
    return ((cube[0] << 40) + (cube[1] << 20) + cube[2]) * 6 + facing
