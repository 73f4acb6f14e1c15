"""Panoramas of Gaussians: a splat appears in its direction, also at the seam and the poles, and no face shows."""

import math

import pytest
import torch

from worldloom.geometry import (
    Gaussians,
    compose,
    direction_from_pixel,
    directions,
    rays,
    rotz,
    sh_from_rgb,
    solid_angles,
)
from worldloom.render.panorama import _blend_faces, _faces, render_panorama

HEIGHT = 96


def splats(means: torch.Tensor, scale: float, rgb: torch.Tensor | None = None, opacity: float = 0.99) -> Gaussians:
    n = len(means)
    colours = torch.ones(n, 3) if rgb is None else rgb
    quats = torch.tensor([1.0, 0, 0, 0]).expand(n, 4).clone()
    return Gaussians(means, quats, torch.full((n, 3), scale), torch.full((n,), opacity), sh_from_rgb(colours))


def centre_direction(alpha: torch.Tensor) -> torch.Tensor:
    """Mean direction of what is opaque, weighted by solid angle."""
    height = alpha.shape[0]
    weighted = (alpha * solid_angles(height))[..., None] * directions(height)
    return torch.nn.functional.normalize(weighted.sum((0, 1)), dim=0)


# azimuth (to the left) and elevation in degrees; with cube edges, corners, the seam and both poles
DIRECTIONS = [
    (0, 0),
    (30, 20),
    (-100, -40),
    (45, 0),
    (45, 35.264),
    (-135, 10),
    (180, 0),
    (179, 30),
    (0, 90),
    (77, -90),
    (10, 50),
]


@pytest.mark.parametrize(("azimuth", "elevation"), DIRECTIONS)
def test_a_splat_appears_in_its_direction(azimuth, elevation):
    a, e = math.radians(azimuth), math.radians(elevation)
    direction = torch.tensor([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
    world_from_pano = compose(rotz(torch.tensor(0.7)), torch.tensor([3.0, -2.0, 1.5]))
    mean = world_from_pano[:3, :3] @ (4.0 * direction) + world_from_pano[:3, 3]
    colour = torch.tensor([[0.9, 0.4, 0.1]])
    out = render_panorama(splats(mean[None], 0.08, colour), world_from_pano, HEIGHT, backend="torch", antialiased=True)
    assert out.rgb.shape == (3, HEIGHT, 2 * HEIGHT)
    off = torch.acos((centre_direction(out.alpha) @ direction).clamp(-1, 1))
    assert off.item() < 0.1 * math.pi / HEIGHT  # a tenth of a pixel
    # Its size: a Gaussian of sigma 0.08 / 4 rad and opacity 0.99 covers 2 pi sigma^2 * 0.99. Linear projection skews it
    # away from the middle of a face, by an amount that grows with sigma; at the corners of the cube that is 10 %.
    covered = (out.alpha * solid_angles(HEIGHT)).sum().item()
    assert covered == pytest.approx(2 * math.pi * 0.02**2 * 0.99, rel=0.11)
    seen = out.alpha > 0.05
    assert out.distance[seen].mean().item() == pytest.approx(4.0, abs=1e-4)
    assert not out.distance[out.alpha == 0].any()
    torch.testing.assert_close(
        out.rgb[:, seen] / out.alpha[seen], colour.T.expand(3, int(seen.sum())), atol=1e-3, rtol=0
    )


def test_blending_of_smooth_faces_is_exact_everywhere():
    """Faces that hold their own directions come back as directions: no shift, no swapped face, no edge."""
    inner, margin = 64, 4
    camera = _faces(inner, margin, torch.eye(4))
    rays_in_pano = rays(camera) @ camera.world_from_cam[:, None, :3, :3].mT
    faces = torch.nn.functional.normalize(rays_in_pano, dim=-1).permute(0, 3, 1, 2)
    out = _blend_faces(faces, directions(32), inner, margin)
    torch.testing.assert_close(out.permute(1, 2, 0), directions(32), atol=5e-4, rtol=0)


def test_no_seam_shows():
    """On a closed shell of overlapping splats, steps across cube edges and the wrap are like steps elsewhere."""
    generator = torch.Generator().manual_seed(0)
    height = 64
    n = 1200
    i = torch.arange(n) + 0.5
    z = 1 - 2 * i / n
    azimuth = math.pi * (1 + 5**0.5) * i
    points = torch.stack([(1 - z**2).sqrt() * azimuth.cos(), (1 - z**2).sqrt() * azimuth.sin(), z], -1)
    smooth = 0.5 + 0.3 * torch.stack([points[:, 0], points[:, 1], points[:, 2]], -1)
    shell = splats(5 * points + 0.01 * torch.randn(n, 3, generator=generator), 0.35, smooth, opacity=0.9)
    out = render_panorama(shell, torch.eye(4), height, backend="torch")
    assert out.alpha.min() > 0.96
    colour = out.rgb / out.alpha
    torch.testing.assert_close(colour, 0.5 + 0.3 * directions(height).permute(2, 0, 1), atol=0.03, rtol=0)
    steps = (out.alpha - out.alpha.roll(1, dims=1)).abs().amax(0)
    assert steps[0] < 2 * steps.median()
    assert steps.max() < 4 * steps.median()
    assert out.distance.sub(5).abs().max() < 0.05


def test_pano_convention_by_hand():
    """Left of the centre column is +y, the top row is +z."""
    for direction, (row, column) in [((0, 5.0, 0), (48, 48)), ((5.0, 0, 0), (48, 96)), ((0, -5.0, 0), (48, 144))]:
        out = render_panorama(splats(torch.tensor([direction]), 0.3), torch.eye(4), HEIGHT, backend="torch")
        peak = out.alpha == out.alpha.max()
        assert peak[row - 1 : row + 1, column - 1 : column + 1].any()
    up = render_panorama(splats(torch.tensor([[0.0, 0, 5]]), 0.8), torch.eye(4), HEIGHT, backend="torch")
    assert up.alpha[0].min() > 0.9
    assert up.alpha[HEIGHT // 2 :].max() == 0
    expected = direction_from_pixel(torch.tensor(48.0), torch.tensor(48.0), HEIGHT)
    torch.testing.assert_close(expected, torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)


def test_as_panorama():
    out = render_panorama(splats(torch.tensor([[4.0, 0, 0]]), 0.5), torch.eye(4), 16, backend="torch").to_panorama()
    assert out.sky.sum() > 450
    assert not out.sky[8, 16]


def test_gradients_reach_the_gaussians():
    shell = splats(torch.tensor([[4.0, 4.0, 0]]), 0.5)
    means = shell.means.clone().requires_grad_()
    moved = Gaussians(means, shell.quats, shell.scales, shell.opacities, shell.sh)
    render_panorama(moved, torch.eye(4), 16, backend="torch").rgb[:, :, 9:].sum().backward()
    assert means.grad is not None
    assert means.grad.isfinite().all()
    assert means.grad.abs().max() > 0
