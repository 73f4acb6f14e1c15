"""The fisheye camera: rays and pixels are inverse, and the equidistant lens is what its name says."""

import math

import pytest
import torch

from worldloom.geometry import Camera, Fisheye, fisheye_rays, look_at, rays

K = torch.tensor([[120.0, 0.5, 161.0], [0.0, 118.0, 119.5], [0.0, 0.0, 1.0]])
KANNALA = torch.tensor([-0.02, 0.004, -0.0012, 0.0001])


def fisheye(k: torch.Tensor, max_angle: float = math.radians(95)) -> Fisheye:
    return Fisheye(torch.eye(4), K, k, (240, 320), max_angle)


def test_equidistant_lens_by_hand():
    lens = Fisheye(
        torch.eye(4), torch.tensor([[100.0, 0, 160], [0, 100.0, 120], [0, 0, 1]]), torch.zeros(4), (240, 320)
    )
    # 60 degrees to the right, to below, and straight behind the image plane to the left (90 degrees and a bit).
    angles = torch.tensor([math.pi / 3, math.pi / 3, math.radians(92)])
    s, c = angles.sin(), angles.cos()
    points = torch.stack(
        [torch.stack([s[0], s[0] * 0, c[0]]), torch.stack([s[1] * 0, s[1], c[1]]), torch.stack([-s[2], s[2] * 0, c[2]])]
    )
    expected = torch.tensor(
        [[160 + 100 * math.pi / 3, 120.0], [160.0, 120 + 100 * math.pi / 3], [160 - 100 * math.radians(92), 120.0]]
    )
    torch.testing.assert_close(lens.project(3 * points), expected)


@pytest.mark.parametrize("k", [torch.zeros(4), KANNALA])
def test_project_inverts_directions(k: torch.Tensor):
    lens = fisheye(k)
    uv = torch.rand(500, 2, dtype=torch.float64) * torch.tensor([320.0, 240.0])
    directions = lens.directions(uv)
    seen = directions.norm(dim=-1) > 0
    assert seen.any()
    torch.testing.assert_close(directions[seen].norm(dim=-1), torch.ones(int(seen.sum()), dtype=torch.float64))
    torch.testing.assert_close(lens.project(directions[seen] * 7), uv[seen], atol=1e-9, rtol=0)


def test_axis_and_edge():
    lens = fisheye(KANNALA, max_angle=math.radians(70))
    torch.testing.assert_close(lens.directions(K[:2, 2][None]), torch.tensor([[0.0, 0.0, 1.0]]))
    torch.testing.assert_close(lens.project(torch.tensor([[0.0, 0.0, 2.0]])), K[:2, 2][None])
    just = torch.tensor([math.radians(69.9), math.radians(70.1)])
    uv = lens.project(torch.stack([just.sin(), torch.zeros(2), just.cos()], -1))
    assert uv[0].isfinite().all()
    assert uv[1].isnan().all()
    assert lens.project(torch.zeros(1, 3)).isnan().all()
    assert lens.project(torch.tensor([[0.0, 0.0, -1.0]])).isnan().all()
    far = lens.directions(torch.tensor([[0.5, 0.5]]))
    assert (far == 0).all()


def test_rays_share_the_pinholes_half_pixel():
    """Near the axis an equidistant lens and a pinhole of one focal length see the same through one pixel."""
    centred = torch.tensor([[4000.0, 0, 4.0], [0, 4000.0, 3.0], [0, 0, 1]])
    lens = Fisheye(torch.eye(4), centred, torch.zeros(4), (6, 8))
    pinhole = torch.nn.functional.normalize(rays(Camera(torch.eye(4), centred, (6, 8))), dim=-1)
    directions, seen = fisheye_rays(lens)
    assert seen.all()
    torch.testing.assert_close(directions, pinhole, atol=1e-8, rtol=1e-6)


def test_batches_and_devices():
    world_from_cam = look_at(torch.zeros(3, 3), torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [1.0, 1, 1]]))
    path = Fisheye(world_from_cam, K.expand(3, 3, 3), KANNALA.expand(3, 4), (24, 32))
    directions, seen = fisheye_rays(path)
    assert directions.shape == (3, 24, 32, 3)
    assert seen.shape == (3, 24, 32)
    assert len(path) == 3
    assert path[1].batch == ()
    assert path[:2].to("cpu").batch == (2,)
    torch.testing.assert_close(directions[1], fisheye_rays(path[1])[0])
    torch.testing.assert_close(
        path.cam_from_world @ path.world_from_cam, torch.eye(4).expand(3, 4, 4), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (torch.eye(4), K, torch.zeros(5), (4, 4)),
        (torch.eye(4)[None], K, torch.zeros(4), (4, 4)),
        (torch.eye(4), K, torch.zeros(4), (0, 4)),
        (torch.eye(4), K, torch.zeros(4), (4, 4), 4.0),
        (torch.eye(4), K, torch.tensor([-1.0, 0, 0, 0]), (4, 4)),  # folds back before 95 degrees
    ],
)
def test_bad_fisheyes(arguments: tuple):
    with pytest.raises((ValueError, TypeError)):
        Fisheye(*arguments)
