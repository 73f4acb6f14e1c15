"""The outline of a set of cells: closed lines along their sides."""

import numpy as np
from jaxtyping import Bool, Int

# Sides of a cell, each with what lies beyond it, from corner to corner; the cell is on the left of every side.
_SIDES = (((0, -1), (0, 0), (1, 0)), ((1, 0), (1, 0), (1, 1)), ((0, 1), (1, 1), (0, 1)), ((-1, 0), (0, 1), (0, 0)))


def outlines(mask: Bool[np.ndarray, "x y"]) -> list[Int[np.ndarray, "_ 2"]]:
    """Closed lines around the cells that are set, in corners of cells: cell (i, j) spans (i, j) to (i + 1, j + 1).

    Outer lines go counter-clockwise (x to the right, y up), holes clockwise; corners stand only where a line turns, and
    the first is not repeated. Cells that touch at a corner alone are not joined there.
    """
    padded = np.pad(mask, 1)
    ahead: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (dx, dy), start, end in _SIDES:
        beyond = padded[1 + dx : padded.shape[0] - 1 + dx, 1 + dy : padded.shape[1] - 1 + dy]
        for i, j in np.argwhere(mask & ~beyond).tolist():
            ahead.setdefault((i + start[0], j + start[1]), []).append((i + end[0], j + end[1]))
    loops = []
    while ahead:
        first = next(iter(ahead))
        loop, here, came = [first], first, (0, 0)
        while True:
            after = _turn_left(here, came, ahead[here])
            ahead[here].remove(after)
            if not ahead[here]:
                del ahead[here]
            came, here = (after[0] - here[0], after[1] - here[1]), after
            if here == first:
                break
            loop.append(here)
        loops.append(_corners(np.array(loop)))
    return loops


def _turn_left(here: tuple[int, int], came: tuple[int, int], ways: list[tuple[int, int]]) -> tuple[int, int]:
    """Where two cells touch at a corner, the way that stays with the cell."""
    return max(ways, key=lambda way: came[0] * (way[1] - here[1]) - came[1] * (way[0] - here[0]))


def _corners(loop: Int[np.ndarray, "n 2"]) -> Int[np.ndarray, "m 2"]:
    before, after = loop - np.roll(loop, 1, 0), np.roll(loop, -1, 0) - loop
    return loop[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
