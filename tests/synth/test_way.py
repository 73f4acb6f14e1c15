"""Where one is along a line, and past its end."""

import math

import numpy as np
import pytest

from worldloom.synth.traffic.way import way_of


def test_places_are_found_along_and_beside_a_line_with_a_bend() -> None:
    way = way_of(np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]]))
    assert way.locate(4.0, 1.5) == pytest.approx((4.0, 1.5))
    assert way.locate(11.0, 6.0) == pytest.approx((16.0, -1.0))
    x, y, heading = way.at(16.0)
    assert (x, y, heading) == pytest.approx((10.0, 6.0, math.pi / 2))


@pytest.mark.parametrize("after", [0.0, 15.0, 20.0, 20.5, 500.0])
def test_beyond_its_end_a_line_goes_straight_on(after: float) -> None:
    way = way_of(np.array([[0.0, 0.0], [20.0, 0.0]]))
    assert way.locate(520.0, -3.0, after=after, before=after + 20) == pytest.approx((520.0, -3.0))
    assert way.at(520.0) == pytest.approx((520.0, 0.0, 0.0))
