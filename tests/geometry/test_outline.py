"""Outlines: closed, around exactly the cells that are set, with the cells on their left."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from worldloom.geometry.outline import outlines


def area(loop: np.ndarray) -> float:
    """Shoelace: positive counter-clockwise."""
    x, y = loop.T.astype(float)
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_one_cell_is_a_square_counter_clockwise() -> None:
    mask = np.zeros((4, 5), bool)
    mask[2, 3] = True
    (loop,) = outlines(mask)
    assert {tuple(corner) for corner in loop.tolist()} == {(2, 3), (3, 3), (3, 4), (2, 4)}
    assert area(loop) == 1


def test_a_ring_has_an_outer_and_an_inner_line() -> None:
    mask = np.ones((5, 5), bool)
    mask[1:4, 1:4] = False
    loops = sorted(outlines(mask), key=area)
    assert [area(loop) for loop in loops] == [-9, 25]
    assert all(len(loop) == 4 for loop in loops)  # corners alone


def test_cells_that_touch_at_a_corner_are_two() -> None:
    loops = outlines(np.array([[True, False], [False, True]]))
    assert [area(loop) for loop in loops] == [1, 1]


def test_nothing_has_no_outline() -> None:
    assert outlines(np.zeros((3, 3), bool)) == []


@settings(max_examples=60)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8))))
def test_areas_add_up_and_lines_bound_every_cell(mask: np.ndarray) -> None:
    loops = outlines(mask)
    assert sum(area(loop) for loop in loops) == mask.sum()
    # Even-odd rule at the middle of each cell, along y.
    for i, j in np.ndindex(mask.shape):
        crossings = 0
        for loop in loops:
            for (x0, y0), (x1, y1) in zip(loop, np.roll(loop, -1, 0), strict=True):
                if y0 == y1 and y0 <= j and min(x0, x1) <= i < max(x0, x1):
                    crossings += 1
        assert crossings % 2 == int(mask[i, j])


@pytest.mark.parametrize("turns", range(4))
def test_turned_cells_have_turned_lines(turns: int) -> None:
    mask = np.zeros((6, 6), bool)
    mask[1:5, 2] = mask[4, 2:5] = True
    (loop,) = outlines(np.rot90(mask, turns).copy())
    assert area(loop) == mask.sum()
    assert len(loop) == 6
