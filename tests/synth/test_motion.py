"""People face the way they go, and turn no faster than people do."""

import itertools
import math

import pytest

pytest.importorskip("shapely", reason="towns need the extra `synth`")

from worldloom.synth.traffic.body import Body
from worldloom.synth.traffic.demand import Member
from worldloom.synth.traffic.motion import boxes, follow
from worldloom.synth.traffic.sumo import STEP, Reading, Sighting

MEMBERS = {"anna": Member("anna", "pedestrian", 0, (0.6, 0.5, 1.7))}
PACE = 1.2


def walked(bodies: dict[str, Body], x: float, y: float, yaw: float) -> dict[str, Body]:
    """One step later; SUMO tells the middle of the front edge."""
    front = Sighting("anna", x + 0.3 * math.cos(yaw), y + 0.3 * math.sin(yaw), yaw, PACE)
    return follow(bodies, Reading(0.0, (), (front,)), MEMBERS)


@pytest.mark.parametrize("way", [0.4, math.pi / 2, -2.5, math.pi])
def test_pedestrians_turn_to_where_they_go(way: float) -> None:
    """SUMO's angle of a lane says nothing of it: she walks against it, or across."""
    bodies = walked({}, 0.0, 0.0, 0.0)
    assert bodies["anna"].yaw == 0.0
    yaws = [0.0]
    for step in range(1, 16):
        along = step * STEP * PACE
        earlier, bodies = bodies, walked(bodies, along * math.cos(way), along * math.sin(way), 0.0)
        yaws.append(bodies["anna"].yaw)
        box = boxes(bodies, MEMBERS, earlier)["anna"]
        assert (box.x, box.y) == pytest.approx((along * math.cos(way), along * math.sin(way)))
        assert math.atan2(box.vy, box.vx) == pytest.approx(math.remainder(way, math.tau), abs=1e-6)
    assert math.remainder(yaws[-1] - way, math.tau) == pytest.approx(0.0, abs=1e-6)
    turns = [math.remainder(b - a, math.tau) for a, b in itertools.pairwise(yaws)]
    assert max(map(abs, turns)) <= 3.0 * STEP + 1e-9  # rad/s
    assert abs(sum(turns)) == pytest.approx(abs(way))  # the shorter way round


def test_who_stands_does_not_turn() -> None:
    bodies = walked({}, 2.0, 1.0, 0.7)
    for _ in range(5):
        bodies = walked(bodies, 2.0, 1.0, 0.7)
    assert bodies["anna"].yaw == 0.7
