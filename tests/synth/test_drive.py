"""Drives: exact geometry of boxes, and nobody jumps."""

import math

import pytest
import torch

pytest.importorskip("libsumo", reason="towns need the extra `traffic`")
pytest.importorskip("shapely", reason="towns need the extra `synth`")

from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, apply, invert, yaw_from_rotmat
from worldloom.synth.road_users.catalogue import metres_per_cycle, road_user_extent
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.drive import RANGE, Drive, drive_town
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT
from worldloom.synth.traffic.footprints import overlap
from worldloom.synth.traffic.motion import REAR_AXLE
from worldloom.synth.traffic.sumo import STEP


@pytest.fixture(scope="module")
def fine(small_town: Town) -> Drive:
    return drive_town(small_town, 12.0, seed=1, dt=STEP, density=2.0)


def test_shapes_kinds_and_sizes(fine: Drive) -> None:
    assert len(fine) == 121
    assert fine.world_from_ego.shape == (121, 4, 4)
    assert {user.kind for user in fine.users} >= {"car", "pedestrian"}
    assert len({user.id for user in fine.users}) == len(fine.users)
    for user in fine.users:
        assert OCC3D_CLASSES[user.trajectory.label] == user.kind
        assert user.extent == road_user_extent(user.kind, user.variant)
        assert user.trajectory.present.any()


def test_nobody_jumps_or_spins(fine: Drive) -> None:
    for user in fine.users:
        present = user.trajectory.present
        both = present[1:] & present[:-1]
        places = user.trajectory.world_from_actor[:, :2, 3]  # from above: kerbs are steps
        velocity = user.velocity[:, :2]
        way = (places[1:] - places[:-1]).norm(dim=-1)[both]
        speed = torch.maximum(velocity[1:].norm(dim=-1), velocity[:-1].norm(dim=-1))[both]
        assert (way <= 1.5 * speed * STEP + 0.02).all(), user.id
        assert (way < 22 * STEP).all()
        # The velocity is that of the box.
        torch.testing.assert_close(velocity[1:][both], ((places[1:] - places[:-1]) / STEP)[both], atol=0.01, rtol=0)
        yaw = yaw_from_rotmat(user.trajectory.world_from_actor[:, :3, :3])
        turn = torch.remainder(yaw.diff() + math.pi, 2 * math.pi) - math.pi
        assert (turn.abs()[both] < 0.35).all(), user.id


def test_wheels_roll_without_slipping(fine: Drive) -> None:
    cars = [u for u in fine.users if u.kind in ("car", "bus") and u.trajectory.present.all()]
    assert cars
    for user in cars:
        poses = user.trajectory.world_from_actor.double()
        axle = torch.tensor([[(0.5 - REAR_AXLE) * user.extent[0], 0.0, 0.0]], dtype=torch.float64)
        places = apply(poses, axle.expand(len(poses), 1, 3))[:, 0, :2]
        yaw = yaw_from_rotmat(poses[1:, :3, :3])
        sideways = (places.diff(dim=0) * torch.stack([-yaw.sin(), yaw.cos()], -1)).sum(-1)
        assert sideways.abs().max() < 5e-3


def test_the_ego_rolls_on_its_rear_axle_on_the_ground(small_town: Town, fine: Drive) -> None:
    poses = fine.fine.world_from_ego.double()
    places = poses[:, :2, 3]
    yaw = yaw_from_rotmat(poses[1:, :3, :3])
    assert (places.diff(dim=0) * torch.stack([-yaw.sin(), yaw.cos()], -1)).sum(-1).abs().max() < 1e-3
    torch.testing.assert_close(poses[:, 2, 3], small_town.ground.height(places), atol=0.02, rtol=0)
    assert ((places[-1] - places[0]).norm()) > 5
    identity = poses[:, :3, :3] @ poses[:, :3, :3].mT
    torch.testing.assert_close(identity, torch.eye(3).double().expand_as(identity), atol=1e-5, rtol=0)


def test_boxes_stand_on_the_ground_near_the_path(small_town: Town, fine: Drive) -> None:
    path = fine.world_from_ego[:, :2, 3]
    for user in fine.users:
        poses = user.trajectory.world_from_actor[user.trajectory.present]
        assert (torch.cdist(poses[:, :2, 3], path).amin(1) <= RANGE + 0.1).all()
        feet = apply(poses, torch.tensor([[0.0, 0.0, -user.extent[2] / 2]]).expand(len(poses), 1, 3))[:, 0]
        torch.testing.assert_close(feet[:, 2], small_town.ground.height(feet[:, :2]).float(), atol=0.15, rtol=0)
        assert (poses[:, 2, 2] > 0.99).all()


def test_the_logged_ego_hits_nobody(fine: Drive) -> None:
    for frame in range(0, len(fine), 5):
        boxes = [
            [*pose[:2, 3].tolist(), math.atan2(pose[1, 0], pose[0, 0]), *user.extent[:2]]
            for user in fine.users
            if user.trajectory.present[frame]
            for pose in (user.trajectory.world_from_actor[frame],)
        ]
        pose = fine.world_from_ego[frame]
        x, y = (pose[:2, 3] + EGO_CENTRE * pose[:2, 0]).tolist()
        mine = torch.tensor([[x, y, math.atan2(pose[1, 0], pose[0, 0]), *EGO_EXTENT[:2]]])
        assert not overlap(mine.expand(len(boxes), 5), torch.tensor(boxes)).any()


def test_trailers_hang_on_their_tractors(small_town: Town) -> None:
    drive = drive_town(small_town, 20.0, seed=3, density=2.0)
    users = {user.id: user for user in drive.users}
    # Of a pair at the edge of the range, one may be told and the other not.
    trailers = [user for user in drive.users if user.kind == "trailer" and user.id.split("/")[0] in users]
    assert trailers
    for trailer in trailers:
        tractor = users[trailer.id.split("/")[0]]
        both = trailer.trajectory.present & tractor.trajectory.present
        tractor_from_trailer = (
            invert(tractor.trajectory.world_from_actor[both]) @ trailer.trajectory.world_from_actor[both]
        )
        # The kingpin is in the fifth wheel, whatever the angle between them.
        kingpin = torch.tensor([[trailer.extent[0] / 2 - 1.25, 0.0, 0.0]]).expand(int(both.sum()), 1, 3)
        at = apply(tractor_from_trailer, kingpin)[:, 0, :2]
        wheel = torch.tensor([1.35 - tractor.extent[0] / 2, 0.0]).expand_as(at)
        torch.testing.assert_close(at, wheel, atol=0.06, rtol=0)


def test_people_walk_in_phase_with_their_way(fine: Drive) -> None:
    walkers = [u for u in fine.users if u.kind == "pedestrian" and u.trajectory.present.all()]
    moving = [u for u in walkers if (u.velocity.norm(dim=-1) > 0.3).all()]
    assert moving
    for user in moving:
        way = user.trajectory.world_from_actor[:, :2, 3].diff(dim=0).norm(dim=-1)
        steps = torch.remainder(user.phase.diff(), 1.0)
        cycles = float(way.sum()) / metres_per_cycle("pedestrian", user.variant)
        assert steps.sum() == pytest.approx(cycles, rel=0.03)
    for user in walkers:
        assert (user.phase[user.velocity.norm(dim=-1) < 0.1] < 0).all()


def test_coarse_frames_are_every_fifth_fine_one(small_town: Town, fine: Drive) -> None:
    coarse = drive_town(small_town, 12.0, seed=1, density=2.0)
    assert torch.equal(coarse.world_from_ego, fine.world_from_ego[::5])
    assert torch.equal(coarse.fine.world_from_ego, fine.fine.world_from_ego)
    by_id = {user.id: user for user in fine.users}
    for user in coarse.users:
        present = user.trajectory.present
        other = by_id[user.id].trajectory
        assert torch.equal(user.trajectory.world_from_actor[present], other.world_from_actor[::5][present])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"seconds": -1.0}, "seconds > 0"),
        ({"seconds": math.nan}, "seconds > 0"),
        ({"density": 0.0}, "density"),
        ({"dt": 0.25}, "multiple of 0.1"),
        ({"dt": 0.0}, "multiple of 0.1"),
    ],
)
def test_bad_numbers(small_town: Town, bad: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        drive_town(small_town, **bad)  # pyright: ignore[reportArgumentType]
