"""SUMO's conventions as they are, not as remembered; exactness of marks; what happens when its process dies."""

import itertools
import math
import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("libsumo", reason="towns need the extra `traffic`")

from worldloom.errors import MissingExtra
from worldloom.synth.towns.sumo_programs import run_sumo_program
from worldloom.synth.traffic import sumo
from worldloom.synth.traffic.sumo import STEP, Move, Sumo, SumoError, with_closed_lanes

# Eastwards along y = 0 over 200 m, then northwards over 200 m; SUMO's y is up.
NODES = '<nodes><node id="a" x="0" y="0"/><node id="b" x="200" y="0"/><node id="c" x="200" y="200"/></nodes>'
EDGES = """<edges>
<edge id="east" from="a" to="b" numLanes="3" speed="14" spreadType="center">
  <lane index="0" allow="pedestrian" width="0.7"/>
  <lane index="1" disallow="pedestrian"/><lane index="2" disallow="pedestrian"/>
</edge>
<edge id="north" from="b" to="c" numLanes="3" speed="14" spreadType="center">
  <lane index="0" allow="pedestrian" width="0.7"/>
  <lane index="1" disallow="pedestrian"/><lane index="2" disallow="pedestrian"/>
</edge></edges>"""


@pytest.fixture(scope="module")
def corner(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("corner")
    (folder / "n.xml").write_text(NODES)
    (folder / "e.xml").write_text(EDGES)
    options = ["-n", "n.xml", "-e", "e.xml", "-o", "net.xml", "--offset.disable-normalization", "true"]
    run_sumo_program("netconvert", [*options, "--xml-validation", "never", "--no-warnings", "true"], folder)
    return (folder / "net.xml").read_bytes()


def routes(*lines: str) -> str:
    types = (
        '<vType id="car" vClass="passenger" length="4" minGap="2" sigma="0" speedFactor="1"/>'
        '<vType id="long" vClass="passenger" length="12" minGap="2" sigma="0" speedFactor="1"/>'
        '<vType id="loyal" vClass="passenger" length="4" minGap="2" sigma="0" speedFactor="1" lcSpeedGain="0"/>'
        '<vType id="walker" vClass="pedestrian" length="0.4" minGap="0.5" speedFactor="1"/>'
        '<vType id="convoy" vClass="pedestrian" length="3" minGap="0.5" speedFactor="1"/>'
    )
    return f"<routes>{types}{''.join(lines)}</routes>"


def car(name: str, position: float, more: str = "", kind: str = "car") -> str:
    return (
        f'<vehicle id="{name}" type="{kind}" depart="0" departLane="1" departPos="{position}" departSpeed="0">'
        f'<route edges="east north"/>{more}</vehicle>'
    )


def test_yaw_is_counterclockwise_from_east_and_motion_follows_it(corner: bytes) -> None:
    with Sumo(corner, routes(car("one", 20)), 0) as session:
        readings = session.step(400)
    track = [reading.vehicles[0] for reading in readings if reading.vehicles]
    east = [v for v in track if v.x < 180 and v.speed > 1]
    north = [v for v in track if v.y > 30]
    assert east
    assert north
    assert all(abs(v.yaw) < 1e-6 for v in east)
    assert all(abs(v.yaw - math.pi / 2) < 1e-6 for v in north)
    for before, after in itertools.pairwise(east):
        # Ballistic steps: the way is the mean of the speeds.
        assert after.x - before.x == pytest.approx((before.speed + after.speed) / 2 * STEP, abs=1e-6)


def test_vehicles_are_told_by_the_middle_of_the_front_bumper(corner: bytes) -> None:
    stop = '<stop lane="east_1" startPos="99" endPos="100" duration="1000"/>'
    net = with_closed_lanes(corner, ["east_2"])  # so that nobody overtakes
    with Sumo(net, routes(car("behind", 20), car("leader", 60, stop, kind="long")), 0) as session:
        session.step(900, look=False)
        behind, leader = session.look().vehicles
        shape = session.call("lane", "getShape", "east_1")
    assert leader.speed == behind.speed == 0
    assert leader.x == pytest.approx(shape[0][0] + 100, abs=0.2)  # the stop line is for the front
    assert leader.y == pytest.approx(shape[0][1])  # the lane's middle
    # Bumper to bumper: the leader's length of 12 m and the gap of 2 m. Between middles it would be 4 + 2 + 4 less.
    assert leader.x - behind.x == pytest.approx(14, abs=0.3)


def test_people_are_told_by_their_front_too(corner: bytes) -> None:
    slow = '<person id="slow" type="convoy" depart="0" departPos="30"><walk edges="east north" speed="0.4"/></person>'
    fast = '<person id="fast" type="walker" depart="0" departPos="20"><walk edges="east north" speed="1.6"/></person>'
    with Sumo(corner, routes(fast, slow), 0) as session:
        session.step(300, look=False)
        behind, leader = session.look().persons
    assert (behind.id, leader.id) == ("fast", "slow")
    # The sidewalk is one stripe wide: who follows keeps the leader's length of 3 m and a gap. By middles: 1.3 less.
    assert 3.0 <= leader.x - behind.x <= 3.6


def test_moved_vehicles_are_exactly_there_and_others_see_them(corner: bytes) -> None:
    with Sumo(corner, routes(car("ego", 60), car("other", 20, kind="loyal")), 0) as session:
        seen = {v.id: v for v in session.step(1)[0].vehicles}
        for _ in range(300):
            seen = {v.id: v for v in session.step(1, [Move("ego", 100.25, -1.5, 0.3)])[0].vehicles}
            assert seen["ego"][1:4] == pytest.approx((100.25, -1.5, 0.3), abs=1e-9)
        assert seen["other"].speed < 0.1
        assert 90 < seen["other"].x < 96.5  # it waits behind the one who stands across its lane


def test_who_is_on_no_lane_is_unseen_until_it_is_back(corner: bytes) -> None:
    with Sumo(corner, routes(car("ego", 60), car("other", 20, kind="loyal")), 0) as session:
        session.step(1)
        away, back = Move("ego", 80.0, 30.0, 0.3), Move("ego", 100.25, -1.5, 0.0)
        assert [v.id for v in session.step(1, [away])[0].vehicles] == ["other"]
        mark = session.mark()
        assert [v.id for v in session.step(3, [away])[2].vehicles] == ["other"]
        for _ in range(2):
            seen = {v.id: v for v in session.step(1, [back])[0].vehicles}
            assert seen["ego"][1:4] == pytest.approx((100.25, -1.5, 0.0), abs=1e-9)
            session.step(1, [away])
            session.rewind(mark)
        for _ in range(299):
            session.step(1, [back])
        seen = {v.id: v for v in session.step(1, [back])[0].vehicles}
        assert 90 < seen["other"].x < 98.5  # it waits behind the one who is back
        assert session.call("vehicle", "getRoute", "ego") == ("east", "north")


def test_closed_lanes_are_left_in_time(corner: bytes) -> None:
    net = with_closed_lanes(corner, ["north_1"])
    assert with_closed_lanes(corner, []) == corner
    with Sumo(net, routes(car("one", 20)), 0) as session:
        lanes = set()
        for _ in range(300):
            session.step(1)
            if "one" not in session.call("vehicle", "getIDList"):
                break
            lanes.add(session.call("vehicle", "getLaneID", "one"))
    assert "north_2" in lanes
    assert "north_1" not in lanes


def test_a_mark_is_the_same_moment_again(corner: bytes) -> None:
    lines = [car("a", 20), car("b", 40), car("c", 5)]
    with Sumo(corner, routes(*lines), 5) as session, Sumo(corner, routes(*lines), 5) as other:
        session.step(50)
        first = session.mark()
        ahead = session.step(60)
        second = session.mark()
        further = session.step(30)
        session.rewind(second)
        assert session.step(30) == further
        session.rewind(first)
        assert session.step(60) == ahead
        assert session.step(30) == further
        with pytest.raises(SumoError, match="marks"):
            session.rewind(second)
        # Another process, in steps of other sizes.
        other.step(30)
        other.step(20, look=False)
        assert (*other.step(60), *other.step(30)) == (*ahead, *further)


def test_refusals_and_deaths_are_one_clear_error(corner: bytes) -> None:
    with pytest.raises(SumoError):
        Sumo(b"<net", routes(), 0)
    session = Sumo(corner, routes(car("a", 20)), 0)
    folder = Path(session.folder)
    with pytest.raises(SumoError, match="nobody"):
        session.call("vehicle", "getSpeed", "nobody")
    session.step(3)
    session.mark()
    assert not session.dead
    os.kill(session.pid, signal.SIGKILL)
    with pytest.raises(SumoError, match=r"ended unexpectedly \(SIGKILL\)"):
        session.step(1)
    assert session.dead
    with pytest.raises(SumoError, match="closed"):
        session.look()
    session.close()
    assert not folder.exists()


def test_absence_of_sumo_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sumo, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"worldloom\[traffic\]"):
        Sumo(b"", "", 0)
