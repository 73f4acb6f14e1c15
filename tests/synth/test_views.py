"""Rays are where the conventions put them: by hand, and against the projection of points."""

import math

import torch

from worldloom.geometry import Camera, apply, compose, rotz
from worldloom.synth.views import PanoramaView, forward, pixel_centres, rays_through

# Camera axes in a world without rotation: x to the right is -y, y down is -z, z ahead is x.
AHEAD = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def test_a_camera_with_skewed_pixels_by_hand() -> None:
    K = torch.tensor([[50.0, 5.0, 8.0], [0.0, 40.0, 4.0], [0.0, 0.0, 1.0]])
    camera = Camera(compose(rotz(torch.tensor(0.7)) @ AHEAD, torch.tensor([1.0, 2.0, 3.0])), K, (8, 16))
    points = torch.tensor([[0.3, -0.2, 2.0], [-1.0, 0.5, 4.0], [0.0, 0.9, 1.0]], dtype=torch.float64)
    x, y, w = (points @ K.double().T).unbind(-1)
    origins, directions = rays_through(camera, x / w, y / w)
    towards = apply(camera.world_from_cam.double(), points) - origins
    torch.testing.assert_close(directions, torch.nn.functional.normalize(towards, dim=-1), atol=1e-6, rtol=0)
    expected = torch.tensor([math.cos(0.7), math.sin(0.7), 0.0], dtype=torch.float64)
    torch.testing.assert_close(forward(camera), expected, atol=1e-6, rtol=0)


def test_pixels_are_asked_at_their_centres_row_by_row() -> None:
    u, v = pixel_centres(PanoramaView(torch.zeros(3), 2))
    assert u.tolist() == [0.5, 1.5, 2.5, 3.5] * 2
    assert v.tolist() == [0.5] * 4 + [1.5] * 4


def test_a_panorama_turns_to_the_left() -> None:
    view = PanoramaView(torch.tensor([1.0, 2.0, 3.0]), 2, yaw=math.pi / 2)
    # The middle looks along yaw; a quarter of the picture to the left of it, a quarter turn further left.
    origins, directions = rays_through(view, torch.tensor([2.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, 0.0]))
    expected = torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(directions, expected, atol=1e-6, rtol=0)
    assert (origins == torch.tensor([1.0, 2.0, 3.0])).all()
