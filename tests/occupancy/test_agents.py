"""Agents taken from a past and put into it: who is meant, where, and nobody else."""

import math

import pytest
import torch

from tests.occupancy.moving_world import CAR, PEDESTRIAN, ROAD, straight_street
from worldloom.errors import InputError
from worldloom.geometry import FREE, MOVERS, OCC3D_CLASSES, among, yaw_from_rotmat
from worldloom.occupancy.agents import EXTENTS, AddedAgent, Agents, with_agents
from worldloom.occupancy.user_boxes import box_of

USERS = ((CAR, 12.0, 2.0, 6.0), (CAR, -15.0, -3.0, 4.0), (PEDESTRIAN, 6.0, -6.0, 1.0))


def middle(past, frame: int, label: int) -> torch.Tensor:
    """Mean place of a class in the world."""
    cells = (past.labels[frame] == label).nonzero()
    assert len(cells)
    ego = (cells + 0.5) * past.grid.voxel_size + torch.tensor(past.grid.origin)
    return ego.mean(0)[:2].double() + past.world_from_ego[frame, :2, 3]


def test_all_is_as_it_was() -> None:
    past = straight_street(4, users=USERS)
    same = with_agents(past, Agents())
    assert torch.equal(same.past.labels, past.labels)
    assert (same.added, same.overlaps) == ((), ())


def test_the_nearest_stay_and_the_others_leave_unknown_voxels() -> None:
    past = straight_street(4, users=USERS)
    kept = with_agents(past, Agents(keep=1)).past
    assert (kept.labels == PEDESTRIAN).sum() == (past.labels == PEDESTRIAN).sum()  # 6 m ahead: the nearest
    assert (kept.labels == CAR).sum() == 0
    gone = among(past.labels, MOVERS) & (kept.labels == FREE)
    assert gone.sum() == (past.labels == CAR).sum()
    assert not kept.observed[gone].any()
    assert kept.observed[~gone].all()
    assert torch.equal(kept.labels[~gone], past.labels[~gone])
    nobody = with_agents(past, Agents(keep=0)).past
    assert not among(nobody.labels, MOVERS).any()
    everybody = with_agents(past, Agents(keep=3)).past
    assert torch.equal(everybody.labels, past.labels)


def test_who_has_left_is_farther_than_anybody_who_is_there() -> None:
    past = straight_street(4, users=((CAR, 30.0, 2.0, 4.0), (PEDESTRIAN, 2.0, -6.0, 0.0)))
    labels = past.labels.clone()
    labels[2:][labels[2:] == PEDESTRIAN] = FREE
    kept = with_agents(type(past)(labels, *list(vars(past).values())[1:]), Agents(keep=1)).past
    assert (kept.labels[-1] == CAR).any()
    assert not (kept.labels == PEDESTRIAN).any()


@pytest.mark.parametrize("kind", EXTENTS)
def test_an_added_agent_has_its_size_and_stands_on_the_road(kind: str) -> None:
    past = straight_street(2, ego_speed=0.0, users=())
    cast = with_agents(past, Agents(add=(AddedAgent(kind, 18.0, 1.0),)))
    new = cast.past
    assert torch.equal(cast.seen.labels, past.labels)
    label = OCC3D_CLASSES.index(kind)
    cells = (new.labels[-1] == label).nonzero()
    size = (cells.amax(0) - cells.amin(0) + 1) * past.grid.voxel_size
    for measured, extent in zip(size.tolist(), EXTENTS[kind], strict=True):
        assert abs(measured - extent) <= 0.81
    road_top = int((past.labels[-1] == ROAD).nonzero()[:, 2].max())
    assert int(cells[:, 2].min()) in (road_top, road_top + 1)
    assert cast.overlaps == (0.0,)
    assert new.observed[new.labels == label].all()
    x, y = middle(new, -1, label).tolist()
    assert (x, y) == pytest.approx((18.0, 1.0), abs=0.25)


def test_its_box_is_its_size() -> None:
    cast = with_agents(straight_street(2, users=()), Agents(add=(AddedAgent("truck", 18.0, 1.0, 30.0),)))
    (track,) = cast.added
    box = box_of(track, track.world_from_object, 0.5)
    assert box.extent == pytest.approx(EXTENTS["truck"], abs=1e-5)
    bottom = box.world_from_actor[-1, 2, 3] - box.extent[2] / 2
    assert float(bottom) == pytest.approx(float(track.world_from_object[-1, 2, 3]), abs=1e-5)
    # Models read the size off the voxels that show it, each 0.4 m wide.
    shown = track.points.amax(0) - track.points.amin(0) + 0.4
    assert shown.tolist() == pytest.approx(EXTENTS["truck"], abs=1e-5)


def test_it_has_come_at_constant_velocity_in_the_world() -> None:
    """The ego drives 2 m a frame; who crosses from the right at 4 m/s has come from there."""
    past = straight_street(4, ego_speed=4.0, users=())
    agent = AddedAgent("bus", 20.0, -1.0, 90.0, 4.0)
    cast = with_agents(past, Agents(add=(agent,)))
    new, label = cast.past, OCC3D_CLASSES.index("bus")
    ego_x = float(past.world_from_ego[-1, 0, 3])
    for frame in range(4):
        x, y = middle(new, frame, label).tolist()
        assert x == pytest.approx(ego_x + 20.0, abs=0.3)
        assert y == pytest.approx(-1.0 - 2.0 * (3 - frame), abs=0.3)
    (track,) = cast.added
    assert track.present.all()
    torch.testing.assert_close(track.world_from_object[:, 0, 3], torch.full((4,), ego_x + 20.0).double())
    torch.testing.assert_close(track.world_from_object[:, 1, 3], torch.tensor([-7.0, -5.0, -3.0, -1.0]).double())
    torch.testing.assert_close(
        yaw_from_rotmat(track.world_from_object[:, :3, :3]), torch.full((4,), math.pi / 2).double()
    )


def test_headings_turn_with_the_ego() -> None:
    past = straight_street(2, ego_speed=0.0, users=())
    turned = past.world_from_ego.clone()
    quarter = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    turned[:, :3, :3] = quarter
    moved = type(past)(past.labels, past.observed, turned, past.grid, past.classes, past.dt)
    agent = Agents(add=(AddedAgent("truck", 15.0, 0.0, 0.0, 6.0),))
    first, second = with_agents(past, agent).past, with_agents(moved, agent).past
    assert torch.equal(first.labels[-1], second.labels[-1])  # the same in the ego's frame
    assert torch.equal(first.labels[0], second.labels[0])
    lengths = (first.labels[-1] == 10).nonzero()
    assert (lengths[:, 0].max() - lengths[:, 0].min()) > 2 * (lengths[:, 1].max() - lengths[:, 1].min())


def test_a_place_that_is_taken_is_told() -> None:
    past = straight_street(2, ego_speed=0.0, users=((CAR, 12.0, 2.0, 0.0),))
    (share,) = with_agents(past, Agents(add=(AddedAgent("car", 12.0, 2.0),))).overlaps
    assert share > 0.4  # the car there is smaller
    (free,) = with_agents(past, Agents(keep=0, add=(AddedAgent("car", 12.0, 2.0),))).overlaps
    assert free == 0.0


def test_agents_on_slopes_stand_on_the_ground_there() -> None:
    past = straight_street(1, users=())
    labels = past.labels.clone()
    labels[0, 150:, :, 4] = torch.where(labels[0, 150:, :, 0] == ROAD, ROAD, labels[0, 150:, :, 4])
    hill = type(past)(labels, *list(vars(past).values())[1:])
    new = with_agents(hill, Agents(add=(AddedAgent("car", 30.0, 0.0), AddedAgent("car", 8.0, 0.0)))).past
    cells = (new.labels[0] == CAR).nonzero()
    far, near = cells[cells[:, 0] > 140], cells[cells[:, 0] < 140]
    assert int(far[:, 2].min()) - int(near[:, 2].min()) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AddedAgent("tram", 1.0, 1.0), "an agent car, truck"),
        (lambda: AddedAgent("car", 50.0, 50.0), "within 60 m"),
        (lambda: AddedAgent("car", math.nan, 0.0), "within 60 m"),
        (lambda: AddedAgent("car", 1.0, 1.0, 400.0), "within ±360 degrees"),
        (lambda: AddedAgent("car", 1.0, 1.0, 0.0, -1.0), "speed from 0 to 60"),
        (lambda: AddedAgent("car", 1.0, 1.0, 0.0, math.inf), "speed from 0 to 60"),
        (lambda: Agents(keep=-1), "0 or more, got -1"),
    ],
)
def test_agents_that_cannot_be(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_extents_are_of_classes_that_move() -> None:
    assert {OCC3D_CLASSES.index(kind) for kind in EXTENTS} == set(MOVERS)
