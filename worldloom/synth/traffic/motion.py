"""How boxes move: from the front bumpers that SUMO tells to bodies that roll, articulate, turn and walk.

SUMO moves points along lanes. A body on wheels follows its front as a tractrix, like a trailer its hitch: the rear axle
moves only along the body, so that headings are smooth and corners are cut as in life. People and cyclists jump by a
metre where SUMO changes their lane; what is shown follows at a bounded speed. All of this depends on the past alone, so
that it can be done while the simulation runs.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from worldloom.synth.road_users.heavy_vehicles import FIFTH_WHEEL, KINGPIN
from worldloom.synth.traffic.body import Body, pull
from worldloom.synth.traffic.demand import Member
from worldloom.synth.traffic.sumo import STEP, Reading, Sighting

REAR_AXLE = 0.78  # how far behind the nose the fixed axle is, as a share of the length
_CATCH_UP = (1.3, 0.7)  # shown things move at most this many times as fast as SUMO's, and this many m/s more
_TURN_RATE = 3.0  # rad/s of a pedestrian who turns round


class Box(NamedTuple):
    """The middle of a box on the ground, its heading, and how it moves."""

    x: float
    y: float
    yaw: float
    vx: float
    vy: float
    distance: float


Bodies = dict[str, Body]


def follow(bodies: Mapping[str, Body], reading: Reading, members: Mapping[str, Member]) -> Bodies:
    """Bodies one step later; who is new starts where SUMO sees them."""
    moved: Bodies = {}
    for seen in reading.vehicles:
        if seen.id in members:
            before = bodies.get(seen.id)
            moved[seen.id] = _start(seen) if before is None else _roll(before, seen, members[seen.id])
    for seen in reading.persons:
        length = members[seen.id].extent[0]
        middle = seen._replace(x=seen.x - length / 2 * math.cos(seen.yaw), y=seen.y - length / 2 * math.sin(seen.yaw))
        before = bodies.get(seen.id)
        moved[seen.id] = _start(middle) if before is None else _walk(before, middle)
    return moved


def boxes(bodies: Mapping[str, Body], members: Mapping[str, Member], earlier: Mapping[str, Body]) -> dict[str, Box]:
    """Middles of all boxes, trailers too, with velocities over the step from `earlier`."""
    out: dict[str, Box] = {}
    for name, body in bodies.items():
        member = members[name]
        before = earlier.get(name, body)
        out[name] = _box(_middle(body, member), _middle(before, member), body.distance)
        if member.trailer is not None:
            now, then = _trailer(body, member, member.trailer), _trailer(before, member, member.trailer)
            out[member.trailer.id] = _box(now, then, body.distance)
    return out


def _box(now: tuple[float, float, float], then: tuple[float, float, float], distance: float) -> Box:
    return Box(*now, (now[0] - then[0]) / STEP, (now[1] - then[1]) / STEP, distance)


def _middle(body: Body, member: Member) -> tuple[float, float, float]:
    back = 0.0 if member.kind == "pedestrian" else member.extent[0] / 2
    return body.x - back * math.cos(body.yaw), body.y - back * math.sin(body.yaw), body.yaw


def _trailer(body: Body, member: Member, trailer: Member) -> tuple[float, float, float]:
    hitch_x, hitch_y = _hitch(body, member)
    back = trailer.extent[0] / 2 - KINGPIN
    return hitch_x - back * math.cos(body.trailer_yaw), hitch_y - back * math.sin(body.trailer_yaw), body.trailer_yaw


def _hitch(body: Body, member: Member) -> tuple[float, float]:
    """The fifth wheel of a tractor, in which the trailer's kingpin turns."""
    back = member.extent[0] - FIFTH_WHEEL
    return body.x - back * math.cos(body.yaw), body.y - back * math.sin(body.yaw)


def _start(seen: Sighting) -> Body:
    return Body(seen.x, seen.y, seen.yaw, seen.speed, 0.0, seen.yaw)


def _towards(before: Body, seen: Sighting) -> tuple[float, float, float]:
    """Where the shown point goes, and how far that is."""
    way = math.hypot(seen.x - before.x, seen.y - before.y)
    share = min(1.0, (_CATCH_UP[0] * seen.speed + _CATCH_UP[1]) * STEP / way) if way > 0 else 1.0
    return before.x + share * (seen.x - before.x), before.y + share * (seen.y - before.y), share * way


def _roll(before: Body, seen: Sighting, member: Member) -> Body:
    x, y, way = _towards(before, seen)
    yaw = pull(before.x, before.y, before.yaw, REAR_AXLE * member.extent[0], x, y)
    after = Body(x, y, yaw, way / STEP, before.distance + way, yaw)
    if member.trailer is None:
        return after
    arm = REAR_AXLE * member.trailer.extent[0] - KINGPIN
    return after._replace(trailer_yaw=pull(*_hitch(before, member), before.trailer_yaw, arm, *_hitch(after, member)))


def _walk(before: Body, seen: Sighting) -> Body:
    x, y, way = _towards(before, seen)
    yaw = before.yaw
    if way > 0.2 * STEP:
        turn = math.remainder(math.atan2(y - before.y, x - before.x) - yaw, math.tau)
        yaw += max(-_TURN_RATE * STEP, min(_TURN_RATE * STEP, turn))
    return Body(x, y, yaw, way / STEP, before.distance + way, yaw)
