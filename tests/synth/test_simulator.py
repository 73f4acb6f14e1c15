"""The simulator: exact saving, true contacts, others who react; and the manoeuvres of counterfactuals really happen."""

import math
import os
import signal
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("libsumo", reason="towns need the extra `traffic`")
pytest.importorskip("shapely", reason="towns need the extra `synth`")

import shapely

from tests.synth.digests import of_state
from worldloom.errors import InputError
from worldloom.synth.towns.street_shapes import stations
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.counterfactuals import NEAR, Counterfactual, branches, counterfactuals
from worldloom.synth.traffic.drive import drive_town
from worldloom.synth.traffic.ego import Action, Ego, Waypoint, drive_on, ego_footprint, ego_from_body
from worldloom.synth.traffic.footprints import corners
from worldloom.synth.traffic.live_traffic import LiveTraffic
from worldloom.synth.traffic.pilots import Pilot
from worldloom.synth.traffic.simulator import Simulator, Snapshot, State
from worldloom.synth.traffic.sumo import STEP, SumoError

ACTIONS = (Action(1.0, 0.0), Action(-2.0, 0.03), Waypoint(1.5, 0.1), Action(2.0, -0.02))


def drive(simulator: Simulator) -> list[bytes]:
    return [of_state(simulator.step(action)) for action in ACTIONS]


@pytest.fixture(scope="module")
def simulator(small_town: Town):
    with Simulator(small_town, seed=1, density=2.0) as one:
        yield one


def test_the_uncontrolled_ego_is_the_logged_drive(small_town: Town, simulator: Simulator) -> None:
    logged = drive_town(small_town, 5.0, seed=1, density=2.0)
    simulator.reset()
    for _ in range(10):
        simulator.step(None)
    again = simulator.drive()
    assert torch.equal(again.world_from_ego, logged.world_from_ego)
    assert [u.id for u in again.users] == [u.id for u in logged.users]
    for one, other in zip(again.users, logged.users, strict=True):
        assert torch.equal(one.trajectory.world_from_actor, other.trajectory.world_from_actor)
        assert torch.equal(one.phase, other.phase)


def test_a_loaded_moment_goes_on_to_identical_bytes(small_town: Town, simulator: Simulator) -> None:
    simulator.reset(4.0)
    simulator.step(Action(0.5, 0.01))
    snapshot = simulator.save()
    before = of_state(simulator.state())
    ahead = drive(simulator)
    later = simulator.save()
    beyond = drive(simulator)
    assert of_state(simulator.load(snapshot)) == before
    assert drive(simulator) == ahead
    simulator.load(later)  # its sleeping copy is gone: the actions are repeated
    assert drive(simulator) == beyond
    assert Snapshot.from_bytes(snapshot.to_bytes()) == snapshot
    assert len(later.to_bytes()) < 2000
    with Simulator(small_town, seed=5, density=2.0) as other:  # at the same time, and of another seed
        assert of_state(other.load(Snapshot.from_bytes(snapshot.to_bytes()))) == before
        assert drive(other) == ahead


def test_the_ego_moves_by_the_kinematic_bicycle(simulator: Simulator) -> None:
    start = simulator.reset(4.0)
    after = simulator.step(Action(1.0, 0.05))
    assert after.time == pytest.approx(start.time + 0.5)
    assert after.ego == pytest.approx(drive_on(start.ego, Action(1.0, 0.05), 0.5), abs=1e-9)
    assert after.world_from_ego[:2, 3].tolist() == pytest.approx([after.ego.x, after.ego.y], abs=1e-4)
    assert simulator.step(Action(0.0, 0.0), dt=0.1).time == pytest.approx(after.time + 0.1)


def test_gaps_and_collisions_are_shapelys(small_town: Town, simulator: Simulator) -> None:
    state = simulator.reset(4.0)
    for _ in range(12):
        mine = shapely.Polygon(corners(torch.tensor([ego_footprint(state.ego)], dtype=torch.float64))[0].numpy())
        others = dict(simulator.standing)
        for i, name in enumerate(state.users.ids):
            pose = state.users.world_from_user[i]
            yaw = math.atan2(pose[1, 0], pose[0, 0])
            length, width, height = state.users.extents[i].tolist()
            feet = pose[:2, 3] - height / 2 * pose[:2, 2]  # the box is tilted with the ground; it stands here
            others[name] = (*feet.tolist(), yaw, length, width)
        boxes = corners(torch.tensor(list(others.values()), dtype=torch.float64)).numpy()
        distances = [mine.distance(shapely.Polygon(box)) for box in boxes]
        assert state.min_gap == pytest.approx(min(distances), abs=1e-4)
        assert set(state.collisions) == {name for name, d in zip(others, distances, strict=True) if d == 0}
        state = simulator.step(Action(3.0, -0.03))


def test_others_wait_behind_an_ego_that_stands(simulator: Simulator) -> None:
    state = simulator.reset(2.0)
    for _ in range(40):
        state = simulator.step(Action(-9.0, 0.0))
        assert not state.collisions
    assert state.ego.speed == 0
    assert state.progress > 0


def test_the_way_ahead_from_the_open_end_of_a_closed_lane(
    small_town: Town, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Works close a lane from junction to junction, but one can drive on it as far as them; the way on is beside it."""
    lanes = [lane for lane in map(small_town.roads.lanes.get, small_town.closed_lanes) if lane and lane.use == "drive"]
    assert lanes
    for lane in lanes:
        (at,), (direction,) = stations(lane.centre, np.array([5.0]))
        ego = Ego(*at.tolist(), math.atan2(direction[1], direction[0]), 5.0)
        monkeypatch.setattr(simulator, "_egos", [*simulator._egos[:-1], ego])
        place = simulator.paths.place(ego.x, ego.y, ego.yaw)
        assert place is not None
        assert (place.lane.edge, abs(place.lane.index - lane.index), place.connection) == (lane.edge, 1, None)
        way = simulator.way_ahead(40.0)
        assert way.lengths[-1] > 38
        assert math.dist(way.points[0], at) < lane.width + 1


def test_a_killed_child_is_one_clear_error_and_a_fresh_start(simulator: Simulator) -> None:
    simulator.reset(3.0)
    snapshot = simulator.save()
    ahead = drive(simulator)
    os.kill(simulator.pid, signal.SIGKILL)
    with pytest.raises(SumoError, match="ended unexpectedly"):
        simulator.step(Action(0.0, 0.0))
    simulator.load(snapshot)
    assert drive(simulator) == ahead


def test_bad_input(small_town: Town, simulator: Simulator) -> None:
    simulator.reset()
    with pytest.raises(InputError, match="finite action"):
        simulator.step(Action(math.nan, 0.0))
    with pytest.raises(InputError, match="finite waypoint"):
        simulator.step(Waypoint(math.inf, 0.0))
    with pytest.raises(InputError, match=">= 0 s"):
        simulator.reset(-1.0)
    simulator.step(Action(0.0, 0.0))
    with pytest.raises(InputError, match="take over"):
        simulator.step(None)
    for data in (b"", b"[]", b'["x", 1, 1.0, [[5]]]', b'{"a": 1}', b"\xff"):
        with pytest.raises(InputError, match="snapshot"):
            Snapshot.from_bytes(data)
    with pytest.raises(InputError, match="of town"):
        simulator.load(Snapshot("0" * 16, 1, 2.0, ()))
    with pytest.raises(InputError, match="manoeuvre must be one of keep"):
        counterfactuals(small_town, manoeuvres=["loop"])
    with pytest.raises(InputError, match="not negative"):
        counterfactuals(small_town, seconds=-1.0)
    with pytest.raises(InputError, match="history"):
        counterfactuals(small_town, at=1.0, history=2.0)
    with pytest.raises(InputError, match="multiples of dt"):
        counterfactuals(small_town, at=2.0, dt=0.3)


@pytest.fixture(scope="module")
def fan(small_town: Town) -> dict[str, Counterfactual]:
    names = ("brake", "accelerate", "near_miss", "hit_parked", "hit_moving", "leave_road")
    done = counterfactuals(small_town, 2, at=5.0, seconds=5.0, history=2.0, manoeuvres=names, dt=STEP, density=2.0)
    return {one.manoeuvre: one for one in done}


def test_branches_share_their_past(small_town: Town, fan: dict[str, Counterfactual]) -> None:
    logged = drive_town(small_town, 5.0, seed=2, density=2.0, dt=STEP)
    users = {user.id: user for user in logged.users}
    for one in fan.values():
        assert one.branch_frame == 20
        assert torch.equal(one.drive.world_from_ego[:21], logged.world_from_ego[30:])
        for user in one.drive.users:
            if user.id in users:
                both = user.trajectory.present[:21] & users[user.id].trajectory.present[30:]
                then = users[user.id].trajectory.world_from_actor[30:]
                assert torch.equal(user.trajectory.world_from_actor[:21][both], then[both])


def test_collisions_and_near_misses_are_real(small_town: Town, fan: dict[str, Counterfactual]) -> None:
    with Simulator(small_town, 2, 2.0) as simulator:
        standing = simulator.standing
    for name in ("hit_parked", "hit_moving"):
        one = fan[name]
        assert one.collided_with is not None
        assert one.collision_frame is not None
        assert one.collided_with.startswith("standing.") == (name == "hit_parked")
        assert _gap(one, one.collision_frame, one.collided_with, standing) == 0
        assert _gap(one, one.collision_frame - 1, one.collided_with, standing) > 0
    miss = fan["near_miss"]
    assert miss.collided_with is None
    assert NEAR[0] <= miss.min_gap <= NEAR[1]
    gaps = [_gap(miss, frame, miss.nearest, standing) for frame in range(21, len(miss.drive))]
    assert min(gaps) == pytest.approx(miss.min_gap, abs=1e-3)


def test_other_manoeuvres_are_real(small_town: Town, fan: dict[str, Counterfactual]) -> None:
    assert fan["brake"].drive.speed[-1] < 0.1
    assert fan["accelerate"].drive.speed.max() > fan["accelerate"].drive.speed[20] + 0.5
    left = fan["leave_road"]
    assert left.off_road_frame is not None
    assert left.collided_with is None


def test_sumo_survives_chases_across_junctions_and_lawns(small_town: Town) -> None:
    """Each of these once killed it: against the traffic, off the lanes, on another's way over a junction."""
    with LiveTraffic(small_town, 1, 2.0) as live:
        start = live.mark()
        cars = sorted(name for name in live.now.bodies if name.startswith("car"))
        for number in (1, 2, 9, 11):
            live.rewind(start)
            name = cars[number]
            chased = [other for other in cars if other != name][number : number + 5]
            ego = ego_from_body(live.now.bodies[name])
            for step in range(300):
                to = live.now.bodies[chased[step // 60]]
                aside = math.remainder(math.atan2(to.y - ego.y, to.x - ego.x) - ego.yaw, math.tau)
                ego = drive_on(ego, Action(3.0 if ego.speed < 12 else -3.0, max(-0.18, min(0.18, 0.3 * aside))), STEP)
                live.advance(1, [ego.move(name)])
            assert live.now.step == 300


def test_an_attempt_that_sumo_does_not_survive_is_left_out(
    monkeypatch: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    wanted = {"at": 5.0, "seconds": 1.0, "dt": STEP}
    before = {one.manoeuvre: one for one in branches(simulator, manoeuvres=("keep", "accelerate"), **wanted)}

    def fatal(*_: object) -> Pilot:
        def act(state: State) -> Action:
            if state.time > 5.4:
                os.kill(simulator.pid, signal.SIGKILL)
            return Action(0.0, 0.0)

        return act

    monkeypatch.setattr(sys.modules[branches.__module__], "brake", fatal)
    with pytest.warns(RuntimeWarning, match=r"brake is left out: .*SIGKILL"):
        after = {one.manoeuvre: one for one in branches(simulator, manoeuvres=("brake", *before), **wanted)}
    assert set(before) == set(after) == {"keep", "accelerate"}
    for name, one in after.items():
        assert torch.equal(one.drive.world_from_ego, before[name].drive.world_from_ego)
        assert [user.id for user in one.drive.users] == [user.id for user in before[name].drive.users]


def _gap(one: Counterfactual, frame: int, name: str, standing: dict[str, tuple]) -> float:
    pose = one.drive.world_from_ego[frame].double()
    x, y = (pose[:2, 3] + 1.4 * pose[:2, 0] / pose[:2, 0].norm()).tolist()
    mine = (x, y, math.atan2(pose[1, 0], pose[0, 0]), 4.08, 1.73)
    if name in standing:
        other = standing[name]
    else:
        user = next(user for user in one.drive.users if user.id == name)
        there = user.trajectory.world_from_actor[frame]
        yaw = math.atan2(there[1, 0], there[0, 0])
        other = (*(there[:2, 3] - user.extent[2] / 2 * there[:2, 2]).tolist(), yaw, *user.extent[:2])
    a, b = (shapely.Polygon(corners(torch.tensor([box], dtype=torch.float64))[0].numpy()) for box in (mine, other))
    return a.distance(b)
