"""The shape of a road user: cells in a frame of its own, learned from all frames that saw it.

A voxel of a frame is labelled where anything of the user is in it, so a frame's labels are samples, 0.4 m apart, of a
field that is fixed to the user. Frames sample it at other places; cells smaller than a voxel gather that, and give a
frame back what it was. Cells that no frame looked at are free for the coder to choose.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64

from worldloom.errors import InputError
from worldloom.occupancy.codec.entropy import Coder, Counts, Integers

UNKNOWN = -1
MAX_SIDE = 160  # cells; 32 m of 0.2 m
MAX_CELLS = 1 << 17


class Shape(NamedTuple):
    """Cells of `size` metres; the first begins at `low` cells from the object's origin."""

    cells: Int8[np.ndarray, "x y z"]  # 1 occupied, 0 free, UNKNOWN; a decoded shape has no unknown
    low: Int64[np.ndarray, " 3"]
    size: float

    def holds(self, points: Float64[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether points of the object's frame are in an occupied cell."""
        cell = np.floor(points / self.size).astype(np.int64) - self.low
        inside = ((cell >= 0) & (cell < self.cells.shape)).all(1)
        held = np.zeros(len(points), np.bool_)
        held[inside] = self.cells[tuple(cell[inside].T)] == 1
        return held


def fit_shape(points: Float64[np.ndarray, "n 3"], solid: Bool[np.ndarray, " n"], size: float) -> Shape | None:
    """The cells that most of the samples in them say are occupied; None where none is.

    Args:
        points: places in the object's frame that a frame looked at.
        solid: whether the user was there.
    """
    cell = np.floor(points / size).astype(np.int64)
    if not solid.any():
        return None
    low = cell[solid].min(0)
    sides = np.minimum(cell[solid].max(0) - low + 1, MAX_SIDE)
    inside = ((cell >= low) & (cell < low + sides)).all(1)
    flat = np.ravel_multi_index(tuple((cell[inside] - low).T), sides)
    votes = np.bincount(flat, np.where(solid[inside], 1.0, -1.0), int(sides.prod()))
    count = np.bincount(flat, minlength=int(sides.prod()))
    cells = np.where(count == 0, UNKNOWN, votes >= 0).astype(np.int8).reshape(sides)
    if not (cells == 1).any() or cells.size > MAX_CELLS:
        return None
    return Shape(cells, low, size)


class ShapeCoder:
    """Codes shapes one after the other and learns from each.

    A cell's model is chosen by its neighbours below, behind and to the right, and by the cell on the other side of
    the middle: road users are alike on both sides.
    """

    def __init__(self) -> None:
        self._sides = [Integers(16, 6.0) for _ in range(3)]
        self._lows = [Integers(6, 1.0) for _ in range(3)]
        self._cells: dict[int, Counts] = {}

    def code(self, coder: Coder, shape: Shape | None, size: float) -> Shape:
        """A shape whose cells are `size` metres; unknown cells become what costs least."""
        sides = np.zeros(3, np.int64)
        low = np.zeros(3, np.int64)
        for axis in range(3):
            side = None if shape is None else shape.cells.shape[axis] - 8
            sides[axis] = self._sides[axis].code(coder, side, MAX_SIDE) + 8
            if not 1 <= sides[axis] <= MAX_SIDE:
                raise InputError(f"expected a shape of 1 to {MAX_SIDE} cells in a clip's stream, got {sides[axis]}")
            # A shape's middle is near its origin.
            offset = None if shape is None else int(shape.low[axis] + sides[axis] // 2)
            low[axis] = self._lows[axis].code(coder, offset, 1 << 12) - sides[axis] // 2
        if sides.prod() > MAX_CELLS:
            raise InputError(f"expected a shape of at most {MAX_CELLS} cells in a clip's stream, got {sides.prod()}")
        nx, ny, nz = sides.tolist()
        wanted = None if shape is None else shape.cells.tolist()
        cells = [[[0] * (nz + 1) for _ in range(ny + 1)] for _ in range(nx + 1)]  # the last of each is a border
        for x in range(nx):
            for y in range(ny):
                mirror = cells[x][ny - 1 - y] if 2 * y >= ny else None
                here, behind, right, corner = cells[x][y], cells[x - 1][y], cells[x][y - 1], cells[x - 1][y - 1]
                for z in range(nz):
                    context = here[z - 1] + 2 * behind[z] + 4 * right[z] + 8 * corner[z] + 16 * behind[z + 1]
                    context += 32 * right[z + 1] + 64 * (0 if mirror is None else 1 + mirror[z])
                    context = 2 * context + (z == 0)
                    model = self._cells.get(context)
                    if model is None:
                        ones = bin(context >> 1 & 63).count("1") + (3 if context >> 7 == 2 else 0)
                        model = self._cells[context] = Counts(2, np.array([4 + 8 * (3 - min(ones, 3)), 4 + 6 * ones]))
                    symbol = None if wanted is None else wanted[x][y][z]
                    if symbol == UNKNOWN:
                        symbol = model.likeliest()
                    here[z] = model.code(coder, symbol)
        array = np.array(cells, np.int8)[:nx, :ny, :nz]
        return Shape(array, low, size)
