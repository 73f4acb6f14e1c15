"""Drivers of many tempers do what their names say, in a world whose nets have learned nothing."""

import pytest
import torch

from tests.occupancy.moving_world import CAR, straight_street
from tests.occupancy.tiny_world import street_start, tiny_model, tiny_simulation
from worldloom.occupancy.motions import DT
from worldloom.occupancy.simulation import ClipStart, DriveState, ModelWorld, ModelWorldConfig, Simulation, clip_start
from worldloom.occupancy.simulation.policies import Policy, as_recorded, drive, follow, planned, usual_policies
from worldloom.occupancy.simulation.steady_traffic import SteadyTraffic

QUEUE = clip_start(straight_street(9, ego_speed=6.0, users=((CAR, 40, 0, 0.0),)), 4, "queue")


def steady() -> Simulation:
    return Simulation(ModelWorld(SteadyTraffic(tiny_model()), ModelWorldConfig(reach=10.0)))


def test_there_are_enough_drivers_and_each_is_driven_anew() -> None:
    policies = usual_policies()
    assert len(policies) >= 12
    view = (sim := tiny_simulation()).view(sim.start(street_start()))
    for make in policies.values():
        one, other = make(), make()
        first = one(view)
        assert first == other(view), "no driver remembers another's drive"
        assert abs(first.acceleration) < 10
        assert abs(first.curvature) < 1


def test_who_drives_as_recorded_is_where_the_recorded_drive_was() -> None:
    start = street_start(4, 17, alone=True)
    end = drive(steady(), start, as_recorded(), 4.0)
    assert end.progress == pytest.approx(start.route.expected_after(8), abs=0.1)
    assert steady().metrics(end)["progress_share"] == pytest.approx(1.0, abs=0.01)


def test_a_plan_avoids_who_stands_and_who_sees_nobody_does_not() -> None:
    def driven(policy: Policy) -> DriveState:
        return drive(steady(), QUEUE, policy, 8.0)

    assert driven(follow(8.0, yields=False)).contacts
    assert not driven(follow(8.0)).contacts
    careful = driven(planned(8.0, horizon=8))
    assert not careful.contacts
    assert careful.progress > 15.0, "up to it, or past it"


@pytest.mark.parametrize("speed", [0.0, 6.0])
def test_steady_traffic_keeps_its_velocity(speed: float) -> None:
    start: ClipStart = clip_start(straight_street(9, ego_speed=4.0, users=((CAR, 25, 0, speed),)), 4, "street")
    sim = steady()
    at = sim.start(start)
    before = at.others.boxes[0, :2].clone()
    for _ in range(4):
        at = sim.step(at, follow(4.0)(sim.view(at)))
    assert (at.others.boxes[0, :2] - before).tolist() == pytest.approx([4 * DT * speed, 0.0], abs=1.0)
    assert at.legs[-1].risk is None
    with pytest.raises(ValueError, match="a path of the ego"):
        SteadyTraffic(tiny_model()).draw(at.inner.world, None, torch.Generator())
