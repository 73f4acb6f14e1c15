"""Bodies of road users: as large as they are, whole, and drawn where they are."""

from dataclasses import replace

import pytest
import torch

from tests.occupancy.moving_world import CAR, PEDESTRIAN, straight_street
from worldloom.geometry import FREE, OCC3D_GRID, Occupancy
from worldloom.geometry.rigid import invert
from worldloom.occupancy.bodies import draw_tracks, with_bodies
from worldloom.occupancy.tracks import Track, find_tracks


def drawn(clip: Occupancy, tracks: tuple[Track, ...], frame: int = -1) -> torch.Tensor:
    blank = torch.full(clip.grid.shape, FREE, dtype=torch.uint8)
    poses = torch.stack([invert(clip.world_from_ego[frame]) @ track.world_from_object[frame] for track in tracks])
    return draw_tracks(blank, clip.grid, poses, tracks)


def iou(clip: Occupancy, labels: torch.Tensor, label: int, frame: int = -1) -> float:
    true, made = clip.labels[frame] == label, labels == label
    return int((true & made).sum()) / int((true | made).sum())


@pytest.mark.parametrize("speeds", [(4.0, 6.0), (5.3, 0.0), (0.0, 3.1)])
def test_bodies_are_not_fatter_than_their_users(speeds: tuple[float, float]) -> None:
    """The union of all frames, each on a lattice of its own, would be half as large again."""
    ego, user = speeds
    clip = straight_street(5, ego_speed=ego, users=((CAR, 8, 2, user), (PEDESTRIAN, 12, -4, 1.2)))
    labels = drawn(clip, with_bodies(find_tracks(clip), clip))
    assert iou(clip, labels, CAR) > 0.8
    assert iou(clip, labels, PEDESTRIAN) > 0.6
    assert int((labels == CAR).sum()) < 1.2 * int((clip.labels[-1] == CAR).sum())


def test_a_body_keeps_what_only_earlier_frames_saw() -> None:
    """Half of the car is hidden in the last frame: what hides it says nothing against it."""
    clip = straight_street(5, ego_speed=0.0, users=((CAR, 8, 2, 0.0),))
    observed = clip.observed.clone()
    ahead = (clip.labels[-1] == CAR).nonzero()[:, 0].float().median().long()
    observed[-1, ahead:] = False
    seen = replace(clip, observed=observed)
    assert iou(clip, drawn(seen, with_bodies(find_tracks(seen), seen)), CAR) > 0.9


def test_what_is_seen_to_be_empty_is_carved() -> None:
    """A piece that one frame wrongly showed is gone if the others looked there and saw nothing."""
    clip = straight_street(5, ego_speed=0.0, users=((CAR, 8, 2, 0.0),))
    labels = clip.labels.clone()
    x, y, z = (labels[0] == CAR).nonzero().amax(0).tolist()
    labels[0, x - 2 : x + 1, y + 1 : y + 3, z - 2 : z + 1] = CAR
    wrong = replace(clip, labels=labels, observed=torch.ones_like(clip.observed))
    made = drawn(wrong, with_bodies(find_tracks(wrong), wrong)) == CAR
    assert not bool(made[x - 2 : x + 1, y + 1 : y + 3, z - 2 : z + 1].any())


def test_who_is_thinner_than_a_voxel_does_not_vanish() -> None:
    """One column of voxels at a time, elsewhere in each frame: no place is solid in most of them."""
    clip = straight_street(4, ego_speed=0.0, users=())
    labels = clip.labels.clone()
    for frame, y in enumerate((90, 91, 90, 91)):
        labels[frame, 120, y, 1:5] = PEDESTRIAN
    thin = replace(clip, labels=labels, observed=torch.ones_like(clip.observed))
    labels = drawn(thin, with_bodies(find_tracks(thin), thin))
    assert 3 <= int((labels == PEDESTRIAN).sum()) <= 16


def test_drawing_outside_the_grid_draws_nothing() -> None:
    (track,) = find_tracks(straight_street(2))
    blank = torch.full(OCC3D_GRID.shape, FREE, dtype=torch.uint8)
    away = torch.eye(4, dtype=torch.float64)[None].clone()
    away[0, 0, 3] = 500.0
    assert torch.equal(draw_tracks(blank, OCC3D_GRID, away, [track]), blank)


def test_a_track_without_a_body_is_drawn_by_its_points() -> None:
    points = torch.tensor([[0.0, 0, 0], [0.4, 0, 0]])
    track = Track(CAR, torch.eye(4)[None], torch.ones(1, dtype=torch.bool), points)
    place = torch.eye(4, dtype=torch.float64)[None].clone()
    place[0, :3, 3] = torch.tensor([10.2, -3.0, 0.8])
    labels = draw_tracks(torch.full(OCC3D_GRID.shape, FREE, dtype=torch.uint8), OCC3D_GRID, place, [track])
    assert (labels == CAR).nonzero().tolist() == [[125, 92, 4], [126, 92, 4]]
