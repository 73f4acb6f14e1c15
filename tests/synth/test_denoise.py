"""Smoothing of light along surfaces: around the panorama's seam, and by no more than the noise."""

from dataclasses import replace

import pytest
import torch

from worldloom.geometry import directions
from worldloom.synth.light.denoise import Features, _level, denoised, interpolated, same_surface, spread_of


def inside_a_sphere(height: int = 16) -> Features:
    """What a panorama sees from the middle of a ball."""
    towards = directions(height).float().permute(2, 0, 1)
    size = (height, 2 * height)
    return Features(-towards, 3 * towards, torch.ones(size, dtype=torch.bool), torch.ones(size), wraps=True)


def facing_a_wall(height: int = 24, width: int = 32) -> Features:
    y, x = torch.meshgrid(torch.arange(height) * 0.1, torch.arange(width) * 0.1, indexing="ij")
    position = torch.stack([torch.full_like(x, 2.0), x, y])
    normal = torch.tensor([-1.0, 0, 0])[:, None, None].expand(3, height, width)
    size = (height, width)
    return Features(normal, position, torch.ones(size, dtype=torch.bool), torch.ones(size), wraps=False)


def turned(values: torch.Tensor) -> torch.Tensor:
    """By half a turn of the panorama."""
    return values.roll(values.shape[-1] // 2, -1)


def test_a_panorama_has_no_seam() -> None:
    generator = torch.Generator().manual_seed(0)
    features = inside_a_sphere()
    found = torch.rand(16, 32, generator=generator) > 0.2
    features = replace(features, found=found, roughness=torch.rand(16, 32, generator=generator))
    diffuse, gloss, noise = (torch.rand(n, 16, 32, generator=generator) for n in (3, 3, 1))
    half = replace(
        features,
        normal=turned(features.normal),
        position=turned(features.position),
        found=turned(found),
        roughness=turned(features.roughness),
    )
    one = denoised(diffuse, gloss, noise[0], features)
    other = denoised(turned(diffuse), turned(gloss), turned(noise[0]), half)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(turned(a), b, atol=1e-5, rtol=0)
    assert (one[0] - diffuse).abs().mean() > 0.05
    spread = spread_of(diffuse.mean(0), features)
    torch.testing.assert_close(turned(spread), spread_of(turned(diffuse.mean(0)), half), atol=1e-6, rtol=0)


def test_the_edges_of_a_camera_are_no_neighbours() -> None:
    features = facing_a_wall()
    light = torch.zeros(3, 24, 32)
    light[:, :, :1] = 1.0
    diffuse, _ = denoised(light, light, torch.full((24, 32), 1e3), features, levels=1)
    assert diffuse[0, :, 1].min() > 0.1
    assert diffuse[0, :, -1].max() == 0


@pytest.mark.parametrize(("variance", "kept"), [(1e-8, True), (1e4, False)])
def test_what_noise_cannot_explain_is_kept(variance: float, kept: bool) -> None:
    features = facing_a_wall()
    light = torch.zeros(3, 24, 32)
    light[:, :, 16:] = 1.0
    # The first level compares light that is blurred, so that the step is soft there; further ones see it whole.
    smooth, _ = denoised(light, light, torch.full((24, 32), variance), features)
    across = float(smooth[0, 12, 19] - smooth[0, 12, 12])
    assert (across > 0.999) if kept else (across < 0.6)


def test_a_level_lowers_the_variance_as_a_mean_does() -> None:
    """Weights 1/4, 1/8 and 1/16 of even neighbours add up to 1, their squares to 9/64."""
    image, variance = torch.full((6, 24, 32), 0.5), torch.full((24, 32), 0.2)
    for step in (1, 2):
        again, less = _level(image, variance, facing_a_wall(), torch.ones(1, 24, 32), step)
        torch.testing.assert_close(again, image)
        inner = less[step:-step, step:-step]
        torch.testing.assert_close(inner, torch.full_like(inner, 0.2 * 9 / 64), rtol=1e-4, atol=0)
        assert less[0, 0] > 0.2 * 9 / 64  # fewer neighbours


def finer(values: torch.Tensor) -> torch.Tensor:
    """Rows of what each of four pixels sees where there was one."""
    return torch.nn.functional.normalize(
        torch.nn.functional.interpolate(values[None], scale_factor=2.0)[0].flatten(1).T
    )


def middles(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns and rows of pixels of twice as fine a picture."""
    v, u = torch.meshgrid((torch.arange(height) + 0.5) / 2, (torch.arange(width) + 0.5) / 2, indexing="ij")
    return u.flatten(), v.flatten()


def test_interpolated_light_has_no_seam() -> None:
    features = inside_a_sphere(8)
    features = replace(features, found=torch.rand(8, 16, generator=torch.Generator().manual_seed(1)) > 0.2)
    light = torch.rand(6, 8, 16, generator=torch.Generator().manual_seed(0))
    u, v = middles(16, 32)

    def fine(light: torch.Tensor, features: Features) -> torch.Tensor:
        towards = finer(features.position)
        return torch.cat(interpolated(light[:3], light[3:], features, u, v, 3 * towards, -towards), 1).T.view(6, 16, 32)

    half = replace(
        features,
        normal=turned(features.normal),
        position=turned(features.position),
        found=turned(features.found),
    )
    torch.testing.assert_close(turned(fine(light, features)), fine(turned(light), half), atol=1e-5, rtol=0)


def test_light_is_interpolated_between_the_middles_of_pixels() -> None:
    """On a wall, light that grows evenly from pixel to pixel grows evenly between them, with no half step."""
    features = facing_a_wall(8, 12)
    row, column = torch.meshgrid(torch.arange(8.0), torch.arange(12.0), indexing="ij")
    u, v = middles(16, 24)
    points = torch.stack([torch.full_like(u, 2.0), 0.1 * (u - 0.5), 0.1 * (v - 0.5)], 1)
    light = torch.stack([column, row, column + row])
    normals = torch.tensor([[-1.0, 0, 0]]).expand(len(u), 3)
    expected = torch.stack([u, v, u + v]) - torch.tensor([0.5, 0.5, 1.0])[:, None]
    for values in interpolated(light, light, features, u, v, points, normals):
        error = (values.T - expected).view(3, 16, 24)[:, 1:-1, 1:-1]
        assert error.abs().max() < 0.01


def test_light_does_not_cross_an_edge_between_surfaces() -> None:
    """Of two walls in a corner, one bright and one dark, each keeps its own light up to the edge."""
    size, found = (1, 4), torch.ones(1, 4, dtype=torch.bool)
    normal = torch.tensor([[-1.0, 0, 0]] * 2 + [[0, -1.0, 0]] * 2).T.reshape(3, 1, 4)
    position = torch.tensor([[0, -1.5, 0], [0, -0.5, 0], [-0.5, 0, 0], [-1.5, 0, 0]]).T.reshape(3, 1, 4)
    features = Features(normal, position, found, torch.ones(size), wraps=False)
    light = torch.tensor([1.0, 1, 0, 0]).expand(3, 1, 4)
    u, v = torch.tensor([1.9, 2.1]), torch.tensor([0.5, 0.5])
    points = torch.tensor([[0.0, -0.1, 0], [-0.1, 0, 0]])
    diffuse, _ = interpolated(light, light, features, u, v, points, torch.tensor([[-1.0, 0, 0], [0, -1.0, 0]]))
    torch.testing.assert_close(diffuse[:, 0], torch.tensor([1.0, 0.0]), atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("aside", "facing", "same"),
    [
        ((0.3, 0, 0), (0, 0, 1), True),  # in one plane
        ((0.3, 0, 0.3), (0, 0, 1), False),  # a step higher
        ((0.3, 0, 0), (0, 0.6, 0.8), False),  # turned
        ((0.3, 0, 0), (0, 0, -1), False),  # the other side
    ],
)
def test_a_surface_is_a_plane_with_a_normal(aside: tuple[float, ...], facing: tuple[float, ...], same: bool) -> None:
    points, up = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    likely = same_surface(points, up, points + torch.tensor([aside]), torch.tensor([facing]).float(), 16)
    assert bool(likely > 0.9) if same else bool(likely < 0.05)
