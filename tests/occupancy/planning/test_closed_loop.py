"""The judge: drives in the true simulator end, count and score as they should, whoever drives."""

import math

import pytest
import torch

pytest.importorskip("libsumo", reason="towns need the extra `traffic`")
pytest.importorskip("shapely", reason="towns need the extra `synth`")

from tests.synth.bare_town import bare_town, straight_drive
from worldloom.errors import InputError
from worldloom.occupancy.planning.closed_loop import Observation, drive_in, judge
from worldloom.occupancy.planning.drivers import (
    TrueDynamics,
    constant_velocity_planner,
    drafting,
    follow_lane,
    planning,
    sumo_driver,
)
from worldloom.occupancy.planning.planner import PlannerConfig
from worldloom.synth.towns.town import StandingUser, make_town
from worldloom.synth.traffic.ego import Action
from worldloom.synth.traffic.simulator import Simulator
from worldloom.synth.traffic.way import way_of

SMALL = PlannerConfig(samples=16, iterations=1, elites=4)


@pytest.fixture(scope="module")
def simulator():
    with Simulator(make_town(0, "grid", 200), 1, 2.0, 0.1) as one:
        yield one


def test_sumos_own_driver_makes_what_is_expected(simulator: Simulator) -> None:
    episode = drive_in(simulator, sumo_driver, 4.0)
    assert episode.completion == 1.0
    assert episode.progress == pytest.approx(episode.expected)
    assert episode.collisions == ()
    assert episode.seconds == pytest.approx(4.0)
    assert len(episode.windows) == 1


def test_drivers_see_what_is_true(simulator: Simulator) -> None:
    seen: list[Observation] = []

    def policy(first: Observation):
        def act(now: Observation) -> list[Action]:
            seen.append(now)
            return [Action(0.5, 0.0)] * 5

        return act

    drive_in(simulator, policy, 1.0)
    first, second = seen[:2]
    assert second.state.time - first.state.time == pytest.approx(0.5)
    assert second.start.acceleration == 0.5
    scene = second.scene()
    assert scene.ego[-1].abs().max() < 1e-6
    back = first.state.ego
    assert scene.ego[-2, 0] == pytest.approx(-math.dist((back.x, back.y), second.state.ego[:2]), abs=0.05)
    for row, user in enumerate(second.in_sight()):
        x, y, yaw = scene.history[row, -1].tolist()
        ego = second.state.ego
        assert ego.x + x * math.cos(ego.yaw) - y * math.sin(ego.yaw) == pytest.approx(
            float(user.poses[-1, 0]), abs=1e-3
        )
        assert math.cos(yaw + ego.yaw - float(user.poses[-1, 2])) == pytest.approx(1.0, abs=1e-5)
    assert second.room().at(torch.tensor([[1.4, 0.0]])) > 0.5
    with pytest.raises(InputError, match="voxelizer"):
        second.occupancy()


def test_planners_followers_and_proposals_drive(simulator: Simulator) -> None:
    ahead = drafting(lambda seen, number: torch.tensor([[seen.state.ego.speed * 0.5 + 0.1, 0.0, 0.0]]))
    for policy in (follow_lane(6.0, yields=True), constant_velocity_planner(SMALL), ahead):
        episode = drive_in(simulator, policy, 1.5)
        assert episode.progress > 0
        assert 0 <= episode.pdms <= 1


def test_true_dynamics_tell_what_then_happens_and_leave_no_trace(simulator: Simulator) -> None:
    told = []

    def policy(first: Observation):
        path = torch.stack([torch.arange(1, 9) * 3.0, torch.zeros(8), torch.zeros(8)], 1)
        answer = TrueDynamics().imagine(first, path[None], torch.Generator())
        told.append((first, answer))
        assert simulator.state().time == first.state.time
        return planning(
            TrueDynamics(),
            lambda seen: (seen, seen.room()),
            PlannerConfig(samples=8, iterations=1, elites=2, branches=1),
        )(first)

    episode = drive_in(simulator, policy, 0.5)
    assert episode.seconds == pytest.approx(0.5)
    first, answer = told[0]
    assert answer.users.shape[:3] == (1, len(first.in_sight()), 8)
    assert ((answer.risk == 0) | (answer.risk == 1)).all()
    assert (answer.risk.diff(dim=1) >= 0).all()


def test_contacts_roads_and_progress_are_judged_on_exact_boxes() -> None:
    way = way_of(torch.tensor([[0.0, 0.0], [60.0, 0.0]]).double().numpy())
    clean = judge(bare_town(), straight_drive(frames=41, dt=0.1), way, 32.0, 4.0)
    assert clean.progress == pytest.approx(16.0, abs=1e-4)
    assert clean.completion == pytest.approx(0.5, abs=1e-4)
    assert clean.pdms == pytest.approx((5 + 5 * 0.5 + 2) / 12, abs=1e-4)
    parked = torch.eye(4)
    parked[0, 3] = 12.0
    cars = [StandingUser("car", 0, parked, (4.0, 1.8, 1.5))]
    hit = judge(bare_town(standing=cars), straight_drive(frames=41, dt=0.1), way, 16.0, 8.0)
    # The bumper, 3.44 m ahead, meets the tail at 10 m.
    assert hit.collisions[0] == (pytest.approx((10 - 3.44) / 4, abs=0.11), "standing.0")
    assert hit.whole.no_collision == 0
    assert hit.pdms == 0
    cones = [StandingUser("traffic_cone", 0, parked, (0.4, 0.4, 0.8))]
    assert (
        judge(
            bare_town(standing=cars[:0] + cones), straight_drive(frames=41, dt=0.1), way, 16.0, 4.0
        ).whole.no_collision
        == 0.5
    )
    far = straight_drive(frames=41, dt=0.1)
    far.world_from_ego[:, 1, 3] = 5.5  # the sidewalk begins at 6 m
    assert judge(bare_town(), far, way, 16.0, 4.0).whole.driveable == 0
    # Half of what was wished was not driven: it counts as 0.
    assert judge(bare_town(), straight_drive(frames=41, dt=0.1), way, 16.0, 8.0).pdms == pytest.approx(0.5, abs=1e-4)


def test_bad_times(simulator: Simulator) -> None:
    for seconds, at in ((0.0, 2.0), (math.inf, 2.0), (4.0, 1.0)):
        with pytest.raises(InputError, match="expected seconds"):
            drive_in(simulator, sumo_driver, seconds, at)
