"""What a panorama tells of the view beside it: what it saw is trusted, what it did not see is not."""

import torch

from worldloom.geometry import Panorama, directions
from worldloom.recon.known_view import known_view
from worldloom.recon.panorama_splats import splats_from_panorama

HEIGHT = 64


def ball_with_a_post(sky_above: float = 2.0) -> Panorama:
    """Inside a ball of 6 m, with a post 2 m ahead; sky where z is above `sky_above`."""
    towards = directions(HEIGHT).float()
    azimuth = torch.atan2(towards[..., 1], towards[..., 0])
    post = (azimuth.abs() < 0.2) & (towards[..., 2].abs() < 0.5)
    distance = torch.where(post, 2.0, 6.0)
    rgb = torch.where(post, 0.9, 0.3).expand(3, -1, -1).contiguous()
    return Panorama(rgb, distance, (towards[..., 2] > sky_above) & ~post, torch.eye(4))


def seen_from(panorama: Panorama, x: float, y: float):
    pose = torch.eye(4)
    pose[0, 3], pose[1, 3] = x, y
    return known_view(panorama, splats_from_panorama(panorama), pose, HEIGHT)


def test_from_where_it_was_taken_a_panorama_tells_all():
    view = seen_from(ball_with_a_post(), 0, 0)
    assert view.known.float().mean() > 0.99
    assert (view.filled() - ball_with_a_post().rgb).abs().mean() < 0.03


def test_behind_the_post_nothing_is_known_and_beside_it_all():
    view = seen_from(ball_with_a_post(), 0.0, 1.5)
    points = view.distance[..., None] * directions(HEIGHT).float() + torch.tensor([0.0, 1.5, 0.0])
    bearing = torch.atan2(points[..., 1], points[..., 0])  # as seen from the panorama
    middle = slice(HEIGHT // 2 - 6, HEIGHT // 2 + 6)
    # The shadow of the post upon the ball: the ball's wall within the post's angle, seen past the post.
    towards = directions(HEIGHT).float()[middle]
    along = 1.5 * towards[..., 1]
    wall = (-along + (along**2 + 36 - 2.25).sqrt())[..., None] * towards + torch.tensor([0.0, 1.5, 0.0])
    shadow = torch.atan2(wall[..., 1], wall[..., 0]).abs() < 0.15
    in_front = view.distance[middle] < 3
    assert not view.known[middle][shadow & ~in_front].any()
    assert view.known[middle][bearing[middle].abs() > 0.5].float().mean() > 0.95


def test_what_was_stretched_is_not_known():
    """A wall seen edge-on from the panorama, and from the front beside it."""
    towards = directions(HEIGHT).float()
    # A wall along x at y = 0.15: from the origin it is grazed far ahead.
    away = 0.15 / towards[..., 1].clamp(min=1e-4)
    wall = (towards[..., 1] > 0.004) & (away < 12) & (towards[..., 2].abs() < 0.3)
    distance = torch.where(wall, away, 12.0)
    panorama = Panorama(torch.full((3, HEIGHT, 2 * HEIGHT), 0.5), distance, torch.zeros_like(wall), torch.eye(4))
    view = seen_from(panorama, 8.0, -2.0)
    there = slice(HEIGHT // 2 - 2, HEIGHT // 2 + 2), slice(HEIGHT // 2 - 2, HEIGHT // 2 + 2)  # looking along +y
    assert not view.known[there].all()
    near = seen_from(panorama, 0.3, -0.3)
    assert near.known[there].all()


def test_sky_that_was_seen_is_known_and_sky_behind_an_edge_is_not():
    panorama = ball_with_a_post(sky_above=0.3)
    view = seen_from(panorama, 0.0, 0.5)
    assert view.known[:12].float().mean() > 0.98
    aside = seen_from(panorama, -5.0, 0.0)  # over the rim of the near wall more sky comes into sight
    assert 0.02 < 1 - aside.known.float().mean() < 0.6
