"""The true world behind the same interface: exact boxes, the exact road, and going back."""

import math

import pytest
import torch

pytest.importorskip("libsumo", reason="towns need the extra `traffic`")
pytest.importorskip("shapely", reason="towns need the extra `synth`")

from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, OCC3D_GRID
from worldloom.occupancy.simulation import DriveState, Simulation
from worldloom.occupancy.simulation.policies import follow
from worldloom.occupancy.simulation.town_world import TownStart, TownWorld
from worldloom.synth.towns.town import make_town
from worldloom.synth.traffic.ego import Action
from worldloom.synth.traffic.simulator import Simulator


@pytest.fixture(scope="module")
def sim():
    with TownWorld() as world:
        yield Simulation(world)


@pytest.fixture(scope="module")
def start() -> TownStart:
    return TownStart(make_town(0, "grid", 200), seed=2, at=2.5, density=2.0)


@pytest.fixture(scope="module")
def state(sim: Simulation, start: TownStart) -> DriveState:
    return sim.start(start)


def test_it_begins_where_the_logged_drive_is(sim: Simulation, start: TownStart, state: DriveState) -> None:
    with Simulator(start.town, start.seed, 2.0, 0.5) as simulator:
        truth = simulator.reset(2.5)
    assert state.ego == pytest.approx(truth.ego)
    near = {name for name in state.others.names if not name.startswith("standing")}
    assert near <= set(truth.users.ids)
    for name, box, velocity in zip(state.others.names, state.others.boxes, state.others.velocity, strict=True):
        if name in truth.users.ids:
            i = truth.users.ids.index(name)
            assert box[:2].tolist() == pytest.approx(truth.users.world_from_user[i, :2, 3].tolist(), abs=0.1)
            assert velocity.tolist() == pytest.approx(truth.users.velocity[i, :2].tolist(), abs=1e-3)


def test_steps_are_those_of_the_simulator(sim: Simulation, start: TownStart, state: DriveState) -> None:
    at = state
    for _ in range(3):
        at = sim.step(at, Action(1.0, 0.01))
    with Simulator(start.town, start.seed, 2.0, 0.5) as simulator:
        truth = simulator.reset(2.5)
        for _ in range(3):
            truth = simulator.step(Action(1.0, 0.01))
    assert at.ego == pytest.approx(truth.ego)
    assert (at.contacts != ()) == (truth.collisions != ())


def test_any_state_can_be_gone_back_to(sim: Simulation, state: DriveState) -> None:
    first = sim.step(state, Action(0.0, 0.0))
    other = sim.step(state, Action(-4.0, 0.0))
    again = sim.step(first, Action(0.5, 0.0))
    tried = sim.branch(first, [Action(2.0, 0.0), Action(0.5, 0.0)])
    assert tried[1].ego == again.ego
    assert torch.equal(tried[1].others.boxes, again.others.boxes)
    assert other.ego.speed < first.ego.speed
    assert sim.step(state, Action(0.0, 0.0)).ego == first.ego


def test_sumos_way_is_the_measure_of_progress(sim: Simulation, start: TownStart, state: DriveState) -> None:
    with Simulator(start.town, start.seed, 2.0, 0.5) as simulator:
        before = simulator.reset(2.5)
        after = simulator.reset(6.5)
    assert state.route.expected_after(8) == pytest.approx(after.progress - before.progress, abs=1.0)


def test_a_follower_of_the_route_stays_on_the_road(sim: Simulation, state: DriveState) -> None:
    at, drive = state, follow(6.0)
    for _ in range(8):
        at = sim.step(at, drive(sim.view(at)))
    numbers = sim.metrics(at)
    assert numbers["driveable"] == 1.0
    assert numbers["no_collision"] == 1.0
    assert abs(at.aside) < 1.0
    leave = state
    for _ in range(8):
        leave = sim.step(leave, Action(1.0, 0.15))
    assert sim.metrics(leave)["driveable"] == 0.0


def test_its_voxels_are_those_of_the_town(sim: Simulation, state: DriveState) -> None:
    frame = sim.occupancy(state)
    assert frame.labels.shape == (1, *OCC3D_GRID.shape)
    x, y, yaw = state.ego[:3]
    pose = frame.world_from_ego[0]
    assert pose[:2, 3].tolist() == pytest.approx([x, y], abs=0.05)  # lifted along a z that may lean
    assert math.atan2(float(pose[1, 0]), float(pose[0, 0])) == pytest.approx(yaw, abs=1e-3)
    assert OCC3D_CLASSES[int(frame.labels[0, 100, 100].min())] == "driveable_surface"
    assert (frame.labels[0, 97:112, 97:103, 0] == 11).float().mean() > 0.9


def test_bad_starts(sim: Simulation, start: TownStart, state: DriveState) -> None:
    for more in ({"at": 1.0}, {"at": math.nan}, {"density": 0.0}, {"seed": -1}):
        with pytest.raises(InputError, match="expected a moment"):
            TownStart(start.town, **{"seed": 0, "at": 3.0, "density": 1.0, **more})
    with pytest.raises(InputError, match="one future"):
        sim.reseeded(state, 4)
