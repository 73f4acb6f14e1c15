"""Plans go where they should and around who is there; costs and candidates against closed forms."""

import math
from typing import Any

import pytest
import torch

from worldloom.geometry.occupancy import OCC3D_CLASSES, OCC3D_GRID, Occupancy
from worldloom.occupancy.planning.candidates import Limits, Start, fly, line_through
from worldloom.occupancy.planning.imaginer import ConstantVelocity
from worldloom.occupancy.planning.planner import Goal, PlannerConfig, path_costs, plan
from worldloom.occupancy.planning.room import Room, room_from_map, room_from_mask
from worldloom.occupancy.scene_state import HISTORY, PICTURE, SceneState
from worldloom.occupancy.static_map import StaticMap
from worldloom.occupancy.world_model import Imagined
from worldloom.synth.traffic.ego import Action, Ego, drive_on
from worldloom.synth.traffic.footprints import gap, overlap, separation
from worldloom.synth.traffic.sumo import STEP

AHEAD = line_through(torch.tensor([[-5.0, 0.0], [100.0, 0.0]]))
SMALL = PlannerConfig(samples=24, iterations=2, elites=4)


def scene(*users: tuple[float, float, float, float, float]) -> SceneState:
    """Cars at (x, y, yaw) with (vx, vy)."""
    table = torch.tensor(users).reshape(-1, 5)
    ago = torch.arange(1 - HISTORY, 1) * 0.5
    history = table[:, None, :3].repeat(1, HISTORY, 1)
    history[..., :2] += ago[:, None] * table[:, None, 3:]
    n = len(users)
    return SceneState(
        torch.full((n,), 4, dtype=torch.uint8),
        torch.tensor([[4.0, 1.8, 1.5]]).expand(n, 3),
        torch.zeros(n, 2),
        history,
        torch.ones(n, HISTORY, dtype=torch.bool),
        torch.zeros(HISTORY, 3),
        torch.zeros(PICTURE, PICTURE, dtype=torch.uint8),
    )


def imagine(state: SceneState, k: int = 1, frames: int = 8) -> Imagined:
    return ConstantVelocity().imagine(state, torch.zeros(k, frames, 3), torch.Generator())


def test_candidates_move_as_the_simulators_ego_does() -> None:
    line = line_through(torch.stack([20 * torch.linspace(0, 2, 50).sin(), 20 - 20 * torch.linspace(0, 2, 50).cos()], 1))
    knots = torch.tensor([[[1.0, 0.0], [-3.0, 0.5], [2.0, 0.0]], [[-3.9, 1.0], [-3.9, 1.0], [-3.9, 0.0]]])
    flights = fly(line, Start(6.0, 0.5, 0.02), knots, 40)
    for k in range(2):
        ego = Ego(0.0, 0.0, 0.0, 6.0)
        for step in range(40):
            ego = drive_on(ego, Action(*flights.actions[k, step].tolist()), STEP)
            x, y, yaw = flights.poses[k, step].tolist()
            assert (x, y, math.remainder(yaw - ego.yaw, math.tau)) == pytest.approx((ego.x, ego.y, 0.0), abs=2e-3)
            assert float(flights.speed[k, step]) == pytest.approx(ego.speed, abs=1e-3)
    assert flights.speed[1, -1] == 0  # braked to a stand, and never backwards


def test_candidates_keep_to_the_line_and_the_limits() -> None:
    angles = torch.linspace(0, 2.5, 100)
    line = line_through(torch.stack([20 * angles.sin(), 20 - 20 * angles.cos()], 1))  # a bend to the left
    flights = fly(line, Start(6.0, 0.0, 0.05), torch.zeros(1, 5, 2), 40)
    assert flights.aside.abs().max() < 0.4
    assert flights.actions[0, 20:, 1].mean() == pytest.approx(1 / 20, rel=0.1)
    to_the_left = fly(AHEAD, Start(6.0), torch.tensor([[[0.0, 1.0]] * 5]), 60)
    assert float(to_the_left.aside[0, -1]) == pytest.approx(1.0, abs=0.15)
    assert to_the_left.poses[0, -1, 1] > 0.8  # y is to the left
    limits = Limits()
    wild = fly(AHEAD, Start(12.0), 8 * torch.randn(16, 5, 2, generator=torch.Generator().manual_seed(0)), 40)
    jerk = wild.actions[..., 0].diff(dim=1) / STEP
    assert jerk.max() <= limits.jerk + 1e-3
    assert jerk.min() >= -limits.onset - 1e-3
    before = torch.cat([torch.full((16, 1), 12.0), wild.speed[:, :-1]], 1)
    assert (before.square() * wild.actions[..., 1]).abs().max() < 1.3 * limits.sideways


def test_a_line_is_read_by_its_length() -> None:
    line = line_through(torch.tensor([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]]))
    place, along = line.at(torch.tensor([3.0, 14.0, -2.0]))
    torch.testing.assert_close(place, torch.tensor([[3.0, 0.0], [10.0, 4.0], [-2.0, 0.0]]))
    torch.testing.assert_close(along, torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    assert line.nearest(torch.tensor([11.0, 6.2])) == pytest.approx(16.2, abs=1e-4)
    with pytest.raises(ValueError, match="two different points"):
        line_through(torch.zeros(3, 2))


def test_separation_is_negative_in_an_overlap_and_never_above_the_gap() -> None:
    u = torch.rand(2, 400, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 6 + 0.3
    apart = separation(u[0], u[1])
    assert torch.equal(apart < 0, overlap(u[0], u[1]))
    assert (apart.clamp(min=0) <= gap(u[0], u[1]) + 1e-9).all()
    side = torch.tensor([[0.0, 0.0, 0.0, 4.0, 2.0], [7.0, 0.5, 0.0, 4.0, 2.0]], dtype=torch.float64)
    assert float(separation(side[:1], side[1:])) == pytest.approx(3.0)


def test_constant_velocity_goes_on_as_before() -> None:
    imagined = imagine(scene((10.0, 2.0, 0.3, 4.0, -1.0)), k=2)
    torch.testing.assert_close(imagined.users[1, 0, 3], torch.tensor([10 + 4.0 * 2, 2 - 1.0 * 2, 0.3]))
    new = scene((10.0, 2.0, 0.0, 4.0, 0.0))
    new.present[0, -2] = False
    torch.testing.assert_close(imagine(new).users[0, 0, -1, :2], torch.tensor([10.0, 2.0]))
    assert imagine(scene()).users.shape == (1, 0, 8, 3)


def test_costs_know_left_from_right_and_soon_from_late() -> None:
    goal, start = Goal(AHEAD, 8.0), Start(8.0)
    asides = torch.tensor([1.6, 0.0, -1.6])[:, None].expand(3, 5)
    flights = fly(AHEAD, start, torch.stack([torch.zeros(3, 5), asides], -1), 40)
    left, middle, right = path_costs(imagine(scene((20.0, 1.9, 0.0, 0.0, 0.0)), 3), flights, goal, None, start)
    assert right < left
    assert middle < left
    near, far = (
        path_costs(imagine(scene((x, 0.0, 0.0, 0.0, 0.0)), 3), flights, goal, None, start)[1] for x in (12.0, 26.0)
    )
    nobody = path_costs(imagine(scene(), 3), flights, goal, None, start)[1]
    assert near > far > nobody
    # The imaginer's own risk counts as contacts do, and once told it stays.
    risky = imagine(scene(), 3)
    risky.risk[1, 2, 0] = 1.0
    added = path_costs(risky, flights, goal, None, start)[1] - nobody
    assert float(added) == pytest.approx(PlannerConfig().weights.hit * 6 / 8, rel=1e-4)
    # Who comes from behind on the same lane keeps away by themselves.
    chased = path_costs(imagine(scene((-8.0, 0.0, 0.0, 14.0, 0.0)), 3), flights, goal, None, start)[1]
    assert float(chased) == pytest.approx(float(nobody))


def test_who_stands_is_not_at_fault() -> None:
    start, goal = Start(0.0), Goal(AHEAD, 8.0)
    still = torch.zeros(1, 5, 2)
    still[..., 0] = -1
    flights = fly(AHEAD, start, still, 40)
    assert flights.speed.max() == 0
    crossing = scene((1.4, 12.0, -math.pi / 2, 0.0, -4.0))
    assert path_costs(imagine(crossing), flights, goal, None, start) == path_costs(
        imagine(scene()), flights, goal, None, start
    )


def test_frames_of_users_need_not_be_in_their_middles() -> None:
    start, goal = Start(8.0), Goal(AHEAD, 8.0)
    flights = fly(AHEAD, start, torch.zeros(1, 5, 2), 40)
    here = imagine(scene((20.0, 0.0, math.pi / 2, 0.0, 0.0)))
    moved = here._replace(users=here.users + torch.tensor([0.0, -1.5, 0.0]), middles=torch.tensor([[1.5, 0.0]]))
    torch.testing.assert_close(
        path_costs(moved, flights, goal, None, start), path_costs(here, flights, goal, None, start)
    )


@pytest.mark.parametrize("method", ["cem", "mppi", "shooting"])
def test_plans_reach_the_wished_speed_and_stop_before_a_wall_of_cars(method: str) -> None:
    config = PlannerConfig(method=method, samples=24, iterations=2, elites=4)
    free = plan(ConstantVelocity(), scene(), Goal(AHEAD, 8.0), Start(5.0), config=config)
    assert len(free.path) == 9
    assert free.path.world_from_ego[-1, 0, 3] > 24
    wall = scene(*((22.0, y, math.pi / 2, 0.0, 0.0) for y in (-8.0, -4.0, 0.0, 4.0, 8.0)))
    stop = plan(ConstantVelocity(), wall, Goal(AHEAD, 8.0), Start(8.0), config=config)
    assert stop.path.world_from_ego[-1, 0, 3] < 22 - 0.9 - 3.44
    assert stop.cost > free.cost
    assert float(stop.cost) <= float(stop.costs.min()) + 1e-6


def test_plans_go_around_a_parked_car_on_the_side_with_room() -> None:
    config = PlannerConfig(samples=48, iterations=3)
    parked = scene((22.0, -1.2, 0.0, 0.0, 0.0))
    done = plan(ConstantVelocity(), parked, Goal(AHEAD, 7.0), Start(7.0), config=config)
    passing = done.path.world_from_ego[:, 1, 3]
    assert done.path.world_from_ego[-1, 0, 3] > 20
    assert passing.max() > 0.57  # its side is at 0.3 m, the ego is 1.73 m wide
    mirrored = scene((22.0, 1.2, 0.0, 0.0, 0.0))
    assert (
        plan(ConstantVelocity(), mirrored, Goal(AHEAD, 7.0), Start(7.0), config=config)
        .path.world_from_ego[:, 1, 3]
        .min()
        < -0.57
    )


def test_the_edge_of_the_road_pushes_to_the_other_side() -> None:
    astray = torch.zeros(160, 160, dtype=torch.bool)
    astray[:, :80] = True  # all of y < 0 but a metre of it
    astray[:, 78:80] = False
    room = room_from_mask(astray, 0.5)
    done = plan(ConstantVelocity(), scene(), Goal(AHEAD, 7.0), Start(7.0), room, config=PlannerConfig(iterations=2))
    assert done.path.world_from_ego[5:, 1, 3].min() > 0.2


def test_the_same_seed_makes_the_same_plan_wherever_it_begins() -> None:
    state, goal, start = scene((25.0, 0.5, 0.0, 2.0, 0.0)), Goal(AHEAD, 8.0), Start(7.0)
    one, two = (
        plan(ConstantVelocity(), state, goal, start, generator=torch.Generator().manual_seed(4), config=SMALL)
        for _ in range(2)
    )
    assert torch.equal(one.path.world_from_ego, two.path.world_from_ego)
    turned = torch.eye(4)
    turned[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    turned[:2, 3] = torch.tensor([3.0, 4.0])
    generator = torch.Generator().manual_seed(4)
    there = plan(ConstantVelocity(), state, goal, start, generator=generator, config=SMALL, world_from_ego=turned)
    torch.testing.assert_close(there.path.world_from_ego, turned.double() @ one.path.world_from_ego)
    warm = plan(ConstantVelocity(), state, goal, start, previous=one, config=SMALL)
    assert warm.cost < one.cost + 1.0


def test_few_branches_answer_for_all() -> None:
    asked = []

    class Counting(ConstantVelocity):
        def imagine(self, state, paths, generator) -> Imagined:
            asked.append(len(paths))
            return super().imagine(state, paths, generator)

    config = PlannerConfig(samples=24, iterations=2, elites=4, branches=3)
    state, goal = scene((22.0, -1.2, 0.0, 0.0, 0.0)), Goal(AHEAD, 7.0)
    few = plan(Counting(), state, goal, Start(7.0), config=config)
    assert asked == [3, 3]
    # Here nobody reacts: one answer is as good as another.
    all_of_them = plan(Counting(), state, goal, Start(7.0), config=SMALL)
    assert torch.equal(few.path.world_from_ego, all_of_them.path.world_from_ego)


def test_bad_configurations_and_answers() -> None:
    wrongs: tuple[dict[str, Any], ...] = (
        {"method": "luck"},
        {"elites": 1},
        {"knots": 1},
        {"branches": 0},
        {"horizon": 0},
    )
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"expected|must be"):
            PlannerConfig(**wrong)

    class Broken(ConstantVelocity):
        def imagine(self, state, paths, generator) -> Imagined:
            answer = super().imagine(state, paths, generator)
            return answer._replace(risk=answer.risk * math.nan)

    with pytest.raises(ValueError, match="NaN"):
        plan(Broken(), scene(), Goal(AHEAD, 8.0), Start(5.0), config=SMALL)


def test_room_is_the_distance_to_the_edge() -> None:
    astray = torch.zeros(80, 80, dtype=torch.bool)
    astray[:, 48:] = True  # y > 4 m
    room = room_from_mask(astray, 0.5)
    at = room.at(torch.tensor([[0.0, 0.0], [3.0, 2.0], [-5.0, 4.0], [0.0, 6.0], [4.0, -10.0]]))
    torch.testing.assert_close(at, torch.tensor([4.0, 2.0, 0.0, -2.0, 14.0]), atol=0.05, rtol=0)
    assert room_from_mask(torch.zeros(4, 4, dtype=torch.bool), 0.5).at(torch.zeros(1, 2)) > 1


def test_room_of_a_map_ends_at_sidewalks_and_cones() -> None:
    labels = torch.full((1, *OCC3D_GRID.shape), 17, dtype=torch.uint8)
    labels[:, :, :, 0] = 11
    labels[:, :, 115:, 0] = 13  # sidewalk where y > 6 m
    labels[:, 125, 100, 1:3] = 8  # a cone ten metres ahead
    labels[:, 60, 60, 12:] = 16  # a crown far above the road
    clip = Occupancy(labels, torch.ones_like(labels).bool(), torch.eye(4)[None], OCC3D_GRID, OCC3D_CLASSES, 0.5)
    room: Room = room_from_map(StaticMap.of(clip))
    at = room.at(torch.tensor([[0.0, 0.0], [0.0, 8.0], [10.2, 0.2], [-16.0, -16.0]]))
    assert at[0] == pytest.approx(6.0, abs=0.3)
    assert at[1] == pytest.approx(-2.0, abs=0.3)
    assert at[2] < 0 < at[3]
