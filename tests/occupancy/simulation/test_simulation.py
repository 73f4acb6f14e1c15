"""Driving as a function: what holds of states, branches and seeds in any world, shown in one of random nets."""

import dataclasses
import gc
import math

import pytest
import torch

from tests.occupancy.tiny_world import street, street_start, tiny_simulation
from worldloom.errors import InputError
from worldloom.geometry import OCC3D_GRID, invert
from worldloom.occupancy.simulation import ClipStart, DriveState, ModelWorld, Simulation, Trajectory, clip_start
from worldloom.occupancy.simulation.model_world import Ahead, _hull
from worldloom.occupancy.simulation.state import footprints, touching
from worldloom.occupancy.tracks import Track
from worldloom.occupancy.world_model import Drawn
from worldloom.synth.traffic.ego import Action, Waypoint

KEEP = Action(0.0, 0.0)


@pytest.fixture(scope="module")
def sim() -> Simulation:
    return tiny_simulation()


@pytest.fixture(scope="module")
def start() -> ClipStart:
    return street_start()


@pytest.fixture(scope="module")
def state(sim: Simulation, start: ClipStart) -> DriveState:
    return sim.start(start, seed=3)


def world_of(sim: Simulation) -> ModelWorld:
    assert isinstance(sim.world, ModelWorld)
    return sim.world


def same(a: DriveState, b: DriveState) -> bool:
    boxes = torch.equal(a.others.boxes, b.others.boxes)
    return a.ego == b.ego and a.others.names == b.others.names and boxes and a.progress == b.progress


def test_a_start_is_where_the_clip_is(sim: Simulation, state: DriveState) -> None:
    assert state.ego.x == pytest.approx(12.0)  # 4 frames of 3 m
    assert state.ego[1:3] == (pytest.approx(0.0), pytest.approx(0.0))
    assert state.ego.speed == pytest.approx(6.0)
    assert (state.frame, state.progress, state.contacts, state.astray) == (0, 0.0, (), False)
    view = sim.view(state)
    # The car's voxels lie from 12 m to 16 m ahead of the first pose; it drives as fast as the ego.
    assert view.boxes[0].tolist() == pytest.approx([14.0, 0.0, 0.0, 4.0, 1.6], abs=0.45)
    assert view.velocity[0].tolist() == pytest.approx([6.0, 0.0], abs=0.5)


def test_the_bicycle_is_driven_exactly(sim: Simulation, state: DriveState) -> None:
    after = sim.step(state, Action(2.0, 0.1))
    way = 6.0 * 0.5 + 2.0 * 0.5**2 / 2
    assert after.ego.speed == pytest.approx(7.0)
    assert after.ego.yaw == pytest.approx(0.1 * way)
    assert after.ego.x - state.ego.x == pytest.approx(math.sin(0.1 * way) / 0.1)
    assert after.ego.y == pytest.approx((1 - math.cos(0.1 * way)) / 0.1)
    assert after.doing == Action(2.0, 0.1)
    assert after.timestamp_us == 500_000
    leg = after.legs[-1]
    assert leg.ego.shape == (5, 3)
    assert leg.speed.tolist() == pytest.approx([6.2, 6.4, 6.6, 6.8, 7.0])
    assert torch.allclose(leg.ego[-1], torch.tensor(after.ego[:3], dtype=torch.float64))


def test_orders_are_bounded_by_what_a_car_can_do(sim: Simulation, state: DriveState) -> None:
    assert sim.step(state, Action(50.0, 3.0)).doing == Action(4.0, 0.2)
    assert sim.step(state, Action(-50.0, -3.0)).doing == Action(-9.0, -0.2)
    fast = dataclasses.replace(state, ego=state.ego._replace(speed=20.0))
    assert sim.step(fast, Action(0.0, 0.2)).doing.curvature == pytest.approx(8.0 / 400)


def test_waypoints_and_trajectories_are_reached(sim: Simulation, state: DriveState) -> None:
    after = sim.step(state, Waypoint(3.2, 0.3))
    assert (after.ego.x - state.ego.x, after.ego.y) == (pytest.approx(3.2), pytest.approx(0.3))
    poses = torch.tensor([[3.2, 0.3, 0.1], [6.5, 0.9, 0.2]])
    told = sim.step(state, Trajectory(poses))
    assert told.ego == pytest.approx(after.ego, abs=1e-6)


def test_states_are_never_changed(sim: Simulation, state: DriveState) -> None:
    before = state.others.boxes.clone(), state.inner.world.static.labels.clone(), state.inner.ahead
    first = sim.step(state, KEEP)
    sim.step(first, Action(-3.0, 0.1))
    assert torch.equal(state.others.boxes, before[0])
    assert torch.equal(state.inner.world.static.labels, before[1])
    assert state.inner.ahead is before[2]
    assert state.legs == ()
    assert same(sim.step(state, KEEP), first)


def test_a_ready_state_leads_where_the_state_leads(sim: Simulation, state: DriveState) -> None:
    ready = sim.ready(state)
    assert ready.inner.calls == 1
    assert sim.ready(ready) is ready
    one, other = sim.step(ready, Action(1.0, 0.02)), sim.step(state, Action(1.0, 0.02))
    assert same(one, other)
    assert torch.equal(sim.occupancy(one).labels, sim.occupancy(other).labels)


def test_branches_are_steps_and_share_one_draw(sim: Simulation, state: DriveState, monkeypatch) -> None:
    orders = [Action(a, k) for a in (-3.0, 0.0, 2.0) for k in (-0.05, 0.05)]
    asked = []
    draw = world_of(sim).model.draw
    monkeypatch.setattr(world_of(sim).model, "draw", lambda *args, **more: asked.append(1) or draw(*args, **more))
    tried = sim.branch(state, orders)
    assert len(asked) == 1
    for after, order in zip(tried, orders, strict=True):
        assert same(after, sim.step(state, order))
    assert len({after.ego for after in tried}) == len(orders)
    # All others move alike: they cannot know yet what the ego has just done.
    assert all(torch.equal(after.legs[-1].boxes, tried[0].legs[-1].boxes) for after in tried)


def test_the_same_seed_gives_the_same_drive_and_another_another(sim: Simulation, start: ClipStart) -> None:
    def drive(seed: int) -> DriveState:
        state = sim.start(start, seed)
        for _ in range(3):
            state = sim.step(state, KEEP)
        return state

    assert same(drive(5), drive(5))
    assert not torch.equal(drive(5).others.boxes, drive(6).others.boxes)
    state = sim.step(sim.start(start, 5), KEEP)
    again = sim.reseeded(state, 99)
    assert again.ego == state.ego
    assert not torch.equal(sim.step(again, KEEP).others.boxes, sim.step(state, KEEP).others.boxes)


def test_others_are_drawn_anew_when_the_ego_departs_from_what_was_expected(sim: Simulation, state: DriveState) -> None:
    steady, braking = state, state
    for _ in range(4):
        steady, braking = sim.step(steady, KEEP), sim.step(braking, Action(-4.0, 0.0))
    assert [leg.drawn for leg in steady.legs] == [True, False, False, False]
    assert [leg.drawn for leg in braking.legs][:2] == [True, False]  # nobody knows before it has happened
    assert any(leg.drawn for leg in braking.legs[2:])
    patient = tiny_simulation(patience=2)
    at = patient.start(street_start())
    for _ in range(4):
        at = patient.step(at, KEEP)
    assert [leg.drawn for leg in at.legs] == [True, False, True, False]


def test_who_is_told_of_a_path_is_drawn_for_it(sim: Simulation, state: DriveState) -> None:
    straight = torch.stack([torch.arange(1, 9) * 3.0, torch.zeros(8), torch.zeros(8)], 1)
    aside = straight + torch.tensor([0.0, 4.0, 0.0]) * torch.linspace(0, 1, 8)[:, None]
    one = sim.step(state, Trajectory(straight))
    again = sim.step(one, Trajectory(straight[:7]))
    assert not again.legs[-1].drawn  # it does as it said
    told = sim.step(one, Trajectory(torch.tensor([[3.0, 3.0, 0.5], [5.0, 6.0, 0.9]])))
    assert told.legs[-1].drawn
    expected = sim.ready(state, Trajectory(aside)).inner.ahead.drawn.world_from_ego
    relative = invert(state.inner.world.world_from_ego[-1]) @ expected
    assert torch.allclose(relative[:, :2, 3], aside[:, :2].double(), atol=1e-6)


def among_steady_traffic(speed: float, car: float = 6.0) -> tuple[Simulation, DriveState]:
    """The same street, in which the car ahead drives on at m/s for four seconds, whatever the ego does."""
    calm = tiny_simulation(departure=1e9)
    state = calm.start(street_start())
    state = dataclasses.replace(state, ego=state.ego._replace(speed=speed))
    world = state.inner.world
    tracks = []
    for track in world.tracks:
        ahead = track.world_from_object[-1:].double().repeat(8, 1, 1)
        ahead[:, 0, 3] += 0.5 * car * torch.arange(1, 9)
        poses = torch.cat([track.world_from_object.double(), ahead])
        present = torch.ones(len(poses), dtype=torch.bool)
        tracks.append(dataclasses.replace(track, world_from_object=poses, present=present))
    drawn = Drawn(tuple(tracks), world.world_from_ego[-1:].repeat(8, 1, 1), None)
    return calm, dataclasses.replace(state, inner=dataclasses.replace(state.inner, ahead=Ahead(drawn)))


def test_contacts_are_found_between_frames() -> None:
    """At 40 m/s a short car is passed through within one step."""
    calm, state = among_steady_traffic(40.0)
    hulls = state.inner.hulls.clone()
    hulls[:, 2] = 0.5
    short = dataclasses.replace(state, inner=dataclasses.replace(state.inner, hulls=hulls))
    after = calm.step(short, KEEP)
    assert after.contacts == ("track.0",)
    assert not touching(footprints(after.legs[0].ego[-1:]), after.legs[0].boxes[:, -1:]).any()


def test_who_runs_into_the_car_ahead_is_at_fault() -> None:
    calm, at = among_steady_traffic(16.0)
    for _ in range(3):
        assert calm.metrics(at)["no_collision"] == 1.0
        at = calm.step(at, KEEP)
        if at.contacts:
            break
    assert at.frame == 2  # 8.6 m nearer at 10 m/s
    numbers = calm.metrics(at)
    assert (numbers["no_collision"], numbers["ttc"], numbers["gap"]) == (0.0, 0.0, 0.0)
    assert numbers["pdms"] == 0.0


def test_who_stands_is_not_at_fault() -> None:
    calm, at = among_steady_traffic(0.0, car=-20.0)  # the car comes back at the ego
    for _ in range(3):
        at = calm.step(at, KEEP)
    assert any(bool(touching(footprints(leg.ego), leg.boxes).any()) for leg in at.legs)
    assert all(leg.contacts() == () for leg in at.legs)
    assert calm.metrics(at)["no_collision"] == 1.0


def alive() -> tuple[int, int]:
    """How many tensors this process holds, and their bytes: what a resident size says is the allocator's affair."""
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if type(thing) is torch.Tensor:
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return len(storages), sum(storages.values())


def test_a_drive_far_beyond_the_recorded_one_goes_on_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldloom.occupancy.simulation.model_world._REMEMBERED", 60.0)
    sim = tiny_simulation()
    state = sim.start(street_start(alone=True))
    state = dataclasses.replace(state, ego=state.ego._replace(speed=25.0))
    held: list[tuple[int, int]] = []
    for _ in range(40):  # half a kilometre; the route was drawn out for 300 m
        state = sim.step(state, KEEP)
        if state.frame % 12 == 0:
            held.append(alive())
    # Once the map forgets as much as it learns, a step leaves what was true during it: four small tensors.
    (tensors, size), (tensors_after, size_after) = held[1:]
    assert tensors_after - tensors <= 12 * 4
    assert size_after - size < 12 * 1000
    assert state.progress == pytest.approx(500.0, abs=1.0)
    assert abs(state.aside) < 1.0
    grid = state.inner.world.static.grid
    assert grid.shape[0] * grid.voxel_size < 400
    assert bool(state.inner.world.static.known.any())


def test_a_few_stray_points_make_nobody_larger() -> None:
    x, y = torch.meshgrid(torch.arange(-2, 2.01, 0.2), torch.arange(-0.8, 0.81, 0.2), indexing="ij")
    points = torch.stack([x.flatten(), y.flatten(), torch.zeros(x.numel())], 1)
    stray = torch.tensor([[3.0, 1.4, 0.0], [-3.0, 0.0, 0.0], [0.0, 1.6, 0.0]])
    for shape in (points, torch.cat([points, stray])):
        track = Track(4, torch.eye(4)[None], torch.ones(1, dtype=torch.bool), shape)
        assert _hull(track).tolist() == pytest.approx([0.0, 0.0, 4.0, 1.6], abs=0.15)


def test_gaps_are_those_between_boxes() -> None:
    calm, at = among_steady_traffic(6.0)
    after = calm.step(at, KEEP)
    # Middles are 14 m apart, but the ego's is 1.4 m ahead of its axle; half lengths are 2.04 m and 1.8 m.
    assert calm.metrics(after)["gap"] == pytest.approx(14 - 1.4 - 2.04 - 1.8, abs=0.3)


def test_walls_are_run_into_and_roads_are_left(sim: Simulation, state: DriveState) -> None:
    at = state
    for _ in range(5):
        at = sim.step(at, Action(0.0, 0.12))  # round to the left: the road ends 8 m there, the wall is at 10 m
    assert at.legs[0].astray.any().item() is False
    assert any(bool(leg.astray.any()) for leg in at.legs)
    assert any("" in leg.contacts() for leg in at.legs)
    numbers = sim.metrics(at)
    assert numbers["driveable"] == 0.0
    assert numbers["no_collision"] <= 0.5


def test_metrics_are_plain_finite_numbers_of_what_was_driven(sim: Simulation, state: DriveState) -> None:
    first = sim.metrics(state)
    assert first["pdms"] == 1.0
    after = sim.step(sim.step(state, KEEP), KEEP)
    numbers = sim.metrics(after)
    assert all(isinstance(value, float) for value in numbers.values())
    assert numbers["progress"] == pytest.approx(6.0)
    assert numbers["expected_progress"] == pytest.approx(6.0)
    assert numbers["progress_share"] == 1.0
    assert numbers["seconds"] == 1.0
    # Seven of eight seconds were not driven: of two windows one is empty.
    assert sim.metrics(after, wished=8.0)["pdms"] == pytest.approx(numbers["pdms"] / 2)
    assert "risk_collision" not in numbers
    risky = tiny_simulation(risk=True)
    told = risky.metrics(risky.step(risky.start(street_start()), KEEP))
    assert 0 <= told["risk_collision"] <= 1


def test_a_frame_is_the_world_around_the_ego(sim: Simulation, state: DriveState) -> None:
    clip = street()
    occupancy = sim.occupancy(state)
    assert occupancy.labels.shape == (1, *OCC3D_GRID.shape)
    near = (slice(60, 140), slice(60, 140))
    agree = occupancy.labels[0][near] == clip.labels[4][near]
    assert float(agree.float().mean()) > 0.995


BAD_ORDERS = {
    "nan": (Action(math.nan, 0.0), "finite"),
    "infinity": (Action(0.0, math.inf), "finite"),
    "far": (Waypoint(1e6, 0.0), "finite numbers in the waypoint"),
    "nan in a path": (Trajectory(torch.full((3, 3), math.nan)), "finite numbers in the trajectory"),
    "an empty path": (Trajectory(torch.zeros(0, 3)), "1 to 64 rows"),
    "a long path": (Trajectory(torch.zeros(65, 3)), "1 to 64 rows"),
}


@pytest.mark.parametrize("name", BAD_ORDERS)
def test_bad_orders_are_refused_before_anything_is_drawn(
    name: str, sim: Simulation, state: DriveState, monkeypatch
) -> None:
    order, words = BAD_ORDERS[name]
    monkeypatch.setattr(world_of(sim).model, "draw", lambda *_, **__: pytest.fail("drawn"))
    for call in (lambda: sim.step(state, order), lambda: sim.branch(state, [KEEP, order])):
        with pytest.raises(InputError, match=words):
            call()


def test_bad_starts_and_seeds_are_refused(sim: Simulation, start: ClipStart) -> None:
    for seed in (-1, 2**63):
        with pytest.raises(InputError, match="seed"):
            sim.start(start, seed)
    clip = street()
    for frame in (0, 9, -1):
        with pytest.raises(InputError, match="frame of 1 to 8"):
            clip_start(clip, frame)
    with pytest.raises(InputError, match="between frames"):
        clip_start(dataclasses.replace(clip, dt=0.1), 4)
    with pytest.raises(InputError, match="steps and patience"):
        tiny_simulation(steps=0)
