"""Road users found in labels: who is who, where, how fast, and of what shape."""

from dataclasses import replace

import torch

from tests.occupancy.moving_world import CAR, PEDESTRIAN, straight_street
from worldloom.geometry import FREE
from worldloom.geometry.rigid import yaw_from_rotmat
from worldloom.occupancy.tracks import find_tracks


def test_a_car_is_followed_through_the_world() -> None:
    """The ego drives too: in the world the car makes 3 m a frame."""
    (track,) = find_tracks(straight_street(5, ego_speed=4.0, users=((CAR, 8, 2, 6.0),)))
    assert track.label == CAR
    assert bool(track.present.all())
    steps = track.world_from_object[:, :3, 3].diff(dim=0)
    assert (steps - torch.tensor([3.0, 0, 0])).abs().max() < 0.25
    assert yaw_from_rotmat(track.world_from_object[-1, :3, :3]).abs() < 0.15


def test_heading_follows_the_way_even_backwards() -> None:
    (track,) = find_tracks(straight_street(4, ego_speed=0.0, users=((CAR, 20, 2, -6.0),)))
    yaw = yaw_from_rotmat(track.world_from_object[:, :3, :3])
    assert (yaw.abs() > 3.0).all()  # all poses, the first as well


def test_standing_users_stand_while_the_ego_moves() -> None:
    tracks = find_tracks(straight_street(5, ego_speed=6.0, users=((CAR, 15, 4, 0.0), (PEDESTRIAN, 12, -4, 0.0))))
    assert len(tracks) == 2
    for track in tracks:
        assert track.world_from_object[:, :2, 3].diff(dim=0).abs().max() < 0.15


def test_a_queue_keeps_its_order() -> None:
    """Cars eight metres apart that make seven in a frame: the nearest piece is that of the wrong car."""
    users = tuple((CAR, x, 2.0, 14.0) for x in (-20, -12, -4, 4))
    tracks = find_tracks(straight_street(4, ego_speed=14.0, users=users))
    whole = [track for track in tracks if bool(track.present.all())]
    assert len(whole) >= 3
    for track in whole:
        assert (track.world_from_object[:, 0, 3].diff() - 7.0).abs().max() < 0.4


def test_what_is_not_observed_is_not_found() -> None:
    clip = straight_street(3)
    assert find_tracks(replace(clip, observed=torch.zeros_like(clip.observed))) == ()


def test_a_user_that_hides_for_a_frame_is_one_track() -> None:
    clip = straight_street(5, ego_speed=0.0, users=((CAR, 5, 2, 6.0),))
    labels = clip.labels.clone()
    labels[2][labels[2] == CAR] = FREE
    (track,) = find_tracks(replace(clip, labels=labels))
    assert track.present.tolist() == [True, True, False, True, True]
