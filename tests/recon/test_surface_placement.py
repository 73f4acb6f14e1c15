"""Splats where the surfaces are score well; those that were moved or taken away score worse the more they are."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from tests.recon.photographed_room import cameras_in_a_row, pattern, photographed
from tests.recon.truth_room import EYES, cast
from worldloom.geometry import Gaussians, Panorama, directions
from worldloom.recon import splats_from_panorama
from worldloom.recon.frame_consistency import Frames
from worldloom.recon.surface_placement import Placement, near_any, placement

ROWS = 64
REACH = 10.0
CENTRE = torch.tensor([-1.3, 0.0, 0.0])
SEEDS = range(5)


@pytest.fixture(scope="module")
def truth() -> Frames:
    photos, depth = photographed(cameras_in_a_row(4, (48, 64)))
    return Frames(photos.cameras, photos.rgb, depth, photos.valid)


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    """The room as panoramas from the cameras' end of it and from its middle show it: nothing in sight is missing."""
    parts = []
    for eye in (CENTRE, EYES[0]):
        looks = directions(ROWS)
        distance, _ = cast(eye, looks)
        rgb = pattern(eye + looks * distance[..., None]).permute(2, 0, 1)
        pose = torch.eye(4)
        pose[:3, 3] = eye
        parts.append(splats_from_panorama(Panorama(rgb, distance, distance < 0, pose)))
    return Gaussians.cat(parts)


def some(scene: Gaussians, num_places: int, seed: int) -> torch.Tensor:
    """Which splats lie within 15 degrees of so many directions ahead, as seen from where the path is."""
    dice = torch.Generator().manual_seed(seed)
    towards = torch.nn.functional.normalize(scene.means - CENTRE, dim=-1)
    aims = torch.tensor([1.0, 0.0, -0.3]) + 0.2 * torch.randn(num_places, 3, generator=dice)
    return (towards @ torch.nn.functional.normalize(aims, dim=-1).T).amax(-1) > math.cos(math.radians(15))


def moved(scene: Gaussians, factor: float, num_places: int, seed: int) -> Gaussians:
    scale = torch.where(some(scene, num_places, seed), factor, 1.0)[:, None]
    return replace(scene, means=CENTRE + scale * (scene.means - CENTRE), scales=scale * scene.scales)


def without(scene: Gaussians, num_places: int, seed: int) -> Gaussians:
    gone = some(scene, num_places, seed)
    return replace(scene, opacities=torch.where(gone, 0.0, scene.opacities))


HARMS: dict[str, Callable[[Gaussians, int, int], Gaussians]] = {
    "before": lambda scene, places, seed: moved(scene, 0.6, places, seed),
    "behind": lambda scene, places, seed: moved(scene, 1.6, places, seed),
    "holes": without,
}


def scored(scene: Gaussians, truth: Frames) -> dict[str, float]:
    return placement(scene, truth, CENTRE, REACH)[0].figures()


@pytest.mark.parametrize("harm", HARMS)
def test_the_more_is_wrong_the_worse(scene, truth, harm) -> None:
    """Each harm is told by its own figure and by coverage."""
    whole = scored(scene, truth)
    assert whole["holes"] < 0.002
    assert whole["before"] < 0.02
    assert whole["behind"] < 0.02
    assert whole["coverage"] > 0.98
    strict = 0
    for seed in SEEDS:
        mild, strong = (scored(HARMS[harm](scene, places, seed), truth) for places in (1, 4))
        own = [one[harm] for one in (whole, mild, strong)]
        covered = [-one["coverage"] for one in (whole, mild, strong)]
        assert all(a <= b for values in (own, covered) for a, b in itertools.pairwise(values)), (own, covered)
        strict += all(a < b for values in (own, covered) for a, b in itertools.pairwise(values))
        if harm != "before":
            assert strong["before"] <= whole["before"] + 0.01
    assert strict >= 4


def test_a_veil_floats_by_as_much_as_it_shows(scene, truth) -> None:
    """A thin veil half-way, through which most of the room is seen."""
    veil = replace(
        scene,
        means=CENTRE + 0.5 * (scene.means - CENTRE),
        scales=0.5 * scene.scales,
        opacities=torch.full_like(scene.opacities, 0.03),
    )
    figures = scored(Gaussians.cat([scene, veil]), truth)
    assert 0.03 < figures["before"] < 0.3
    assert figures["coverage"] > 0.95  # the half of the light still comes from the room


def test_an_empty_scene_has_no_floaters_and_nothing_else(scene, truth) -> None:
    figures = scored(replace(scene, opacities=torch.zeros_like(scene.opacities)), truth)
    assert figures["holes"] == 1
    assert figures["coverage"] == 0
    assert math.isnan(figures["before"])
    assert math.isnan(figures["behind"])
    assert math.isnan(Placement().figures()["coverage"])


def test_what_is_out_of_reach_is_not_asked(scene, truth) -> None:
    placed, _ = placement(scene, truth, CENTRE, 2.6)
    everything, _ = placement(scene, truth, CENTRE, REACH)
    assert 0 < placed.num_cells < everything.num_cells
    both = placed + everything
    assert both.num_pixels == 2 * placed.num_pixels
    assert both.num_cells == placed.num_cells + everything.num_cells


def test_near_is_one_number_or_one_for_each() -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    others = torch.tensor([[0.2, 0.0, 0.0], [0.7, 0.0, 0.0]])
    assert near_any(points, others, 0.25).tolist() == [True, False]
    assert near_any(points, others, torch.tensor([0.1, 0.4])).tolist() == [False, True]
    assert near_any(points, others[:0], 0.25).tolist() == [False, False]
