"""Exposure makes what is seen middle grey."""

import math
from dataclasses import replace

import pytest
import torch

pytest.importorskip("embreex", reason="rays need the extra `synth`")

from worldloom.synth.cast import Caster
from worldloom.synth.light.metering import metered_exposure
from worldloom.synth.shapes import slab
from worldloom.synth.skies.sky import Sky
from worldloom.synth.world import Material, Thing, World

DARK = (0.0, 0.0, 0.0)


def exposure_under(zenith: tuple[float, float, float], *things: Thing, stands: int = 1) -> float:
    sky = Sky((0.0, 0.0, 1.0), DARK, zenith, zenith)
    return metered_exposure(Caster(World("room", 0, things, sky, torch.zeros(stands, 3), exposure=7.0)))


def test_an_even_grey_becomes_middle_grey() -> None:
    assert exposure_under((0.36, 0.36, 0.36)) == pytest.approx(0.5, rel=1e-4)
    assert exposure_under((0.09, 0.09, 0.09)) == pytest.approx(2.0, rel=1e-4)
    assert exposure_under((0.0, 0.25, 0.0)) == pytest.approx(0.18 / (0.7152 * 0.25), rel=1e-3)  # luminance of Rec. 709


def test_brightness_is_averaged_as_a_logarithm_over_all_directions() -> None:
    """Half of what is seen is the sky, the other half a ground that shines by itself."""
    glow = Material("glow", DARK, roughness=1.0, emission=(0.04, 0.04, 0.04))
    ground = Thing("ground", "floor", (slab((-900, -900, -1.1), (900, 900, -1), glow),))
    assert exposure_under((0.36, 0.36, 0.36), ground) == pytest.approx(0.18 / math.sqrt(0.36 * 0.04), rel=0.02)


def test_directions_count_by_their_solid_angle_not_by_their_pixels() -> None:
    """A square right below fills one side of the cube around the camera, and far more of a panorama's pixels."""
    glow = Material("glow", DARK, roughness=1.0, emission=(0.04, 0.04, 0.04))
    square = Thing("square", "floor", (slab((-1, -1, -1.001), (1, 1, -1), glow),))
    mean = math.exp((5 * math.log(0.36) + math.log(0.04)) / 6)
    assert exposure_under((0.36, 0.36, 0.36), square) == pytest.approx(0.18 / mean, rel=0.03)


def test_exposure_has_limits_and_the_dark_keeps_its_own() -> None:
    assert exposure_under((50.0, 50.0, 50.0)) == 0.3
    assert exposure_under((1e-4, 1e-4, 1e-4)) == 60.0
    assert exposure_under(DARK) == 7.0
    assert exposure_under((0.36, 0.36, 0.36), stands=0) == 7.0


def test_a_darker_stand_lengthens_it_by_its_share() -> None:
    """Two stands count alike, a third one does not count."""
    sky = Sky((0.0, 0.0, 1.0), DARK, (0.36, 0.36, 0.36), (0.36, 0.36, 0.36))
    glow = Material("glow", DARK, roughness=1.0, emission=(0.01, 0.01, 0.01))
    walls = [
        slab((9, -2, -2), (10, 2, 2), glow),
        slab((14, -2, -2), (15, 2, 2), glow),
        slab((9, -2, -2), (15, -1, 2), glow),
        slab((9, 1, -2), (15, 2, 2), glow),
        slab((9, -2, -2), (15, 2, -1), glow),
        slab((9, -2, 1), (15, 2, 2), glow),
    ]
    inside, outside = torch.tensor([12.0, 0.0, 0.0]), torch.tensor([-500.0, 0.0, 0.0])
    world = World("room", 0, (Thing("cell", "wall", tuple(walls)),), sky, torch.stack([outside, inside]))
    between = 0.18 / math.sqrt(0.36 * 0.01)
    assert metered_exposure(Caster(world)) == pytest.approx(between, rel=0.01)
    third = replace(world, stands=torch.stack([outside, inside, inside]))
    assert metered_exposure(Caster(third)) == pytest.approx(between, rel=0.01)
