"""Noise and patterns are pure functions of points: bounded, continuous, and as bright as their materials say."""

import math
import random

import pytest
import torch

from worldloom.synth.noise import cellular, hash01, noise, warp
from worldloom.synth.rooms import finishes
from worldloom.synth.textures import face_uv, herringbone, srgb, textured, tiles, toned
from worldloom.synth.world import Material

USES = ("living", "bedroom", "kitchen", "bathroom", "office", "corridor", "factory", "museum", "library")


def points(n: int = 4000, seed: int = 1, scale: float = 3.0) -> torch.Tensor:
    return (torch.rand(n, 3, generator=torch.Generator().manual_seed(seed)) - 0.5) * scale


@pytest.mark.parametrize("octaves", [1, 3])
def test_noise_is_bounded_balanced_and_smooth(octaves: int) -> None:
    p = points(40_000, scale=80.0)
    values = noise(p, 7, octaves)
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.mean() == pytest.approx(0.5, abs=0.01)
    assert values.std() > 0.08
    # The slope of 3f^2 - 2f^3 between values in [0, 1] is at most 1.5 along each axis, whatever the octave's weight.
    step = (noise(p + torch.tensor([1e-3, 0, 0]), 7, octaves) - values).abs()
    assert step.max() < 1e-3 * 1.5 * math.sqrt(3) * octaves * 1.2 + 1e-4


def test_noise_at_lattice_points_is_the_lattice() -> None:
    # At whole cells value noise takes the lattice's own values; half-way between two it takes their mean.
    a, b = torch.tensor([[3.0, 4.0, 5.0]]), torch.tensor([[4.0, 4.0, 5.0]])
    shift = torch.tensor([[0.5, 0.0, 0.0]])
    corner = torch.arange(0, 1, 1 / 64)[:, None] * torch.tensor([[1.0, 0, 0]])
    # The seed shifts the lattice by multiples of 1 / 64: one of 64 offsets brings us onto a lattice plane.
    spread = [(noise(a + c, 3) + noise(b + c, 3) - 2 * noise(a + c + shift, 3)).abs().item() for c in corner]
    assert min(spread) < 1e-3


def test_noise_differs_between_seeds_and_repeats_for_one() -> None:
    p = points()
    assert torch.equal(noise(p, 5, 2), noise(p, 5, 2))
    both = torch.stack([noise(p * 9, 5), noise(p * 9, 6)])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 0.1
    assert (warp(p, 3, 0.2) - p).abs().max() <= 0.2


def test_hash_is_uniform_and_sees_every_axis() -> None:
    cells = torch.cartesian_prod(torch.arange(-40, 40), torch.arange(-40, 40))
    values = hash01(cells, 11)
    assert values.min() >= 0
    assert values.max() < 1
    counts = torch.histc(values, 16, 0, 1)
    assert ((counts - 400) ** 2 / 400).sum() < 60  # chi squared with 15 degrees of freedom
    grid = values.view(80, 80)
    for other in (grid.roll(1, 0), grid.roll(1, 1), grid.T, hash01(cells, 12).view(80, 80)):
        assert abs(float(torch.corrcoef(torch.stack([grid.flatten(), other.flatten()]))[0, 1])) < 0.05


@pytest.mark.parametrize("axes", [2, 3])
def test_cellular_finds_the_nearest_feature_point(axes: int) -> None:
    p = points(300, 4)[:, :axes]
    near, second, name = cellular(p, 9)
    assert (second >= near).all()
    assert ((name >= 0) & (name < 1)).all()
    # The distance to the nearest of a set of points changes no faster than one moves.
    moved = p + torch.tensor([1e-3] + [0.0] * (axes - 1))
    assert (cellular(moved, 9)[0] - near).abs().max() < 1.1e-3


def test_face_uv_follows_the_normal() -> None:
    p = torch.tensor([[1.0, 2.0, 3.0]]).expand(3, 3)
    assert face_uv(p, torch.eye(3)).tolist() == [[2, 3], [1, 3], [1, 2]]


def test_tiles_have_their_size() -> None:
    look = tiles((0.8, 0.8, 0.8), (0.8, 0.8, 0.8), 3, (0.5, 0.25), (0.0, 0.0, 0.0), 0.01, rough=0.0)
    up = torch.tensor([[0.0, 0, 1]])
    for x, y, joint in ((0.25, 0.125, False), (0.0, 0.125, True), (0.25, 0.25, True), (1.0, 0.375, True)):
        assert (look(torch.tensor([[x, y, 0.0]]), up).mean() < 0.1).item() == joint


def test_herringbone_blocks_are_whole() -> None:
    """All blocks have `ratio` times as much area as their width squared, so none is cut by another."""
    width, ratio = 0.1, 4
    look = herringbone((0.9, 0.9, 0.9), (0.9, 0.9, 0.9), 3, width, ratio)
    p = points(60_000, scale=6.0)
    dark = (look(p, torch.tensor([[0.0, 0, 1]]).expand_as(p)).mean(-1) < 0.8).float().mean()
    # Joints are darkened over 2 mm on each side: twice (1 + 1 / ratio) * 2 mm / width of the area.
    assert dark == pytest.approx(2 * (1 + 1 / ratio) * 0.002 / width, rel=0.5)


def materials() -> list[Material]:
    dice = random.Random(3)
    made = [
        f(dice) for f in (finishes.cloth_finish, finishes.linen, finishes.stone, finishes.brick_wall) for _ in range(6)
    ]
    made += [
        f(dice) for f in (finishes.timber_finish, finishes.iron, finishes.chrome, finishes.leafage, finishes.bright)
    ]
    made += [
        f(dice, use) for f in (finishes.floor_finish, finishes.wall_finish, finishes.ceiling_finish) for use in USES
    ]
    return made


def test_materials_are_as_bright_as_they_say() -> None:
    up = torch.eye(3)[torch.arange(4000) % 3]
    for material in materials():
        assert material.pattern is not None
        p = points(scale=6.0)
        albedo = material.pattern(p, up)
        assert albedo.isfinite().all()
        assert albedo.min() >= 0, material.name
        assert albedo.max() <= 1, material.name
        assert torch.equal(albedo, material.pattern(p, up))
        assert torch.equal(albedo[:7], material.pattern(p[:7], up[:7])), material.name
        mean = torch.tensor(material.colour)
        assert (albedo.mean(0) - mean).abs().max() < 0.05 + 0.12 * float(mean.max()), material.name


def test_srgb() -> None:
    assert srgb("#ffffff") == pytest.approx((1, 1, 1))
    assert srgb("#808080")[0] == pytest.approx(((128 / 255 + 0.055) / 1.055) ** 2.4, rel=1e-4)
    assert toned((0.5, 0.5, 0.001), 2) == (0.92, 0.92, 0.004)


def test_textured_measures_the_mean() -> None:
    half = textured("half", lambda p, n: (p[:, :1] > 0).float().expand(-1, 3), (2, 2, 2))
    assert half.colour == pytest.approx((0.5, 0.5, 0.5), abs=0.06)
