"""Files of panoramas: what is written comes back, labels say what they should, seeds are not shared."""

import random
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry.equirect import directions
from worldloom.geometry.io.npz import save_npz
from worldloom.synth.panoramas.panorama_files import (
    ENVELOPE,
    FARTHEST,
    FLOOR,
    OBJECT,
    SKY,
    load_panoramas,
    panoramas_of,
    parts_of,
    world_panoramas,
    write_panoramas,
)
from worldloom.synth.panoramas.recolour import recoloured
from worldloom.synth.panoramas.world_splits import WORLD_SPLITS, kind_of_world, split_of_world
from worldloom.synth.shapes import box
from worldloom.synth.skies.sky import Sky
from worldloom.synth.truth import Truth
from worldloom.synth.views import PanoramaView
from worldloom.synth.world import SEMANTICS, Material, Thing, World


def test_no_seed_is_in_two_splits():
    for one, other in combinations(WORLD_SPLITS.values(), 2):
        assert not set(one) & set(other)
    assert split_of_world(WORLD_SPLITS["test"][0]) == "test"
    assert split_of_world(0) is None
    kinds = Counter(kind_of_world(seed) for seed in WORLD_SPLITS["train"][:2000])
    assert set(kinds) == {"room", "street", "courtyard", "field"}
    assert kinds["room"] / 2000 == pytest.approx(0.45, abs=0.05)


def test_what_is_written_comes_back(panorama_folder):
    ((file, _), _) = panoramas_of(panorama_folder)
    seed = int(file.stem.split("-")[1])
    made = list(world_panoramas(seed, 2, 64))
    for (truth, view, eye), got in zip(made, load_panoramas(file), strict=True):
        assert torch.equal(got.sky, truth.sky)
        torch.testing.assert_close(got.world_from_pano, view.world_from_pano.double())
        assert got.camera_height == pytest.approx(eye)
        torch.testing.assert_close(got.distance[~got.sky] * eye, truth.distance[~truth.sky], rtol=2e-4, atol=0)
        assert (got.distance[got.sky] >= 0.999 * FARTHEST).all()
        assert (got.rgb.float() / 255 - truth.rgb).abs().max() <= 0.5 / 255 + 1e-6
        below = truth.distance[-1, 0] * -(directions(64)[-1, 0] @ view.world_from_pano[2, :3].float())
        assert float(below) == pytest.approx(eye, rel=0.02)
    assert torch.equal(load_panoramas(file, only=1)[0].part, load_panoramas(file)[1].part)


def test_places_beside_are_near_seen_and_in_the_same_light():
    alone, *others = list(world_panoramas(3, 1, 32, beside=3))
    (first, _, _) = next(iter(world_panoramas(3, 1, 32)))
    assert torch.equal(alone[0].rgb, first.rgb), "those beside change nothing"
    assert len(others) == 3
    eye = alone[1].world_from_pano[:3, 3]
    for truth, view, height in others:
        away = view.world_from_pano[:3, 3] - eye
        assert 0.5 <= float(away[:2].norm()) <= 2.0
        assert abs(height - alone[2]) < 0.5
        assert float(truth.distance[~truth.sky].min()) > 0.2
        assert float(truth.rgb.mean() / alone[0].rgb.mean()) == pytest.approx(1, abs=0.35)


def truth_of(distance, normal_z, semantic):
    """Truth of a panorama of the same thing everywhere."""
    height = distance.shape[0]
    grid = torch.ones_like(distance)
    normal = torch.stack([0 * grid, 0 * grid, normal_z * grid])
    sky = torch.zeros_like(distance, dtype=torch.bool)
    sky[: height // 4] = True
    label = torch.full_like(distance, SEMANTICS.index(semantic)).long()
    three = grid.expand(3, -1, -1)
    return Truth(three, distance, None, normal, three, grid, grid, label, label, sky)


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.05, -0.03)])
def test_the_floor_is_the_level_plane_under_a_camera_however_it_is_held(tilt):
    view = PanoramaView(torch.tensor([1.0, 2.0, 1.5]), 64, 0.4, tilt)
    up = directions(64) @ view.world_from_pano[2, :3]
    plane = 1.5 / (-up).clamp(min=1e-3)
    wanted = (up < -0.15) & (torch.arange(64) >= 16)[:, None]
    part = parts_of(truth_of(plane, 1.0, "rug"), view, 1.5)
    assert (part[wanted] == FLOOR).all()
    assert (part[:16] == SKY).all()
    assert (parts_of(truth_of(0.9 * plane, 1.0, "sofa"), view, 1.5)[wanted] == OBJECT).all()
    assert (parts_of(truth_of(plane, 0.0, "wall"), view, 1.5)[wanted] == ENVELOPE).all()


def test_the_same_seed_gives_the_same_bytes_and_nothing_is_made_twice(panorama_folder, tmp_path):
    ((file, _), _) = panoramas_of(panorama_folder)
    seed = int(file.stem.split("-")[1])
    (tmp_path / file.name).write_bytes(b"there already")
    assert list(write_panoramas([seed], tmp_path)) == []
    assert (tmp_path / file.name).read_bytes() == b"there already"
    with pytest.raises(InputError, match="at least 1 panorama of 16 to 2048 rows, got 0 of 64"):
        next(write_panoramas([seed], tmp_path, 0, 64))


PLACE = {"camera_height": np.ones(1, np.float32), "world_from_pano": np.eye(4)[None]}


def damaged(file):
    file.write_bytes(file.read_bytes()[:2000])


def not_ours(file):
    save_npz(file, {"labels": np.zeros(3, np.uint8)})


def other_sizes(file):
    one = {"rgb0": np.zeros((3, 16, 32), np.uint8), "log_distance0": np.zeros((8, 16), np.uint16)}
    save_npz(file, one | {"part0": np.zeros((16, 32), np.uint8), **PLACE})


def unknown_part(file):
    one = {"rgb0": np.zeros((3, 16, 32), np.uint8), "log_distance0": np.zeros((16, 32), np.uint16)}
    save_npz(file, one | {"part0": np.full((16, 32), 9, np.uint8), **PLACE})


def no_pose(file):
    one = {"rgb0": np.zeros((3, 16, 32), np.uint8), "log_distance0": np.zeros((16, 32), np.uint16)}
    one |= {"part0": np.zeros((16, 32), np.uint8), **PLACE}
    save_npz(file, one | {"world_from_pano": np.full((1, 4, 4), np.nan)})


@pytest.mark.parametrize("fault", [damaged, not_ours, other_sizes, unknown_part, no_pose])
def test_files_that_are_not_right(panorama_folder, tmp_path, fault):
    ((file, _), _) = panoramas_of(panorama_folder)
    copy = tmp_path / file.name
    copy.write_bytes(file.read_bytes())
    fault(copy)
    with pytest.raises(InputError, match=copy.name):
        load_panoramas(copy, 0)


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="worldloom synth panoramas"):
        panoramas_of(tmp_path)


def test_other_colours_keep_lamps_and_shapes():
    grey, lamp = Material("grey", (0.5, 0.5, 0.5)), Material("lamp", (1.0, 1.0, 1.0), emission=(9.0, 9.0, 9.0))
    painted = Material("painted", (0.2, 0.4, 0.2), lambda points, normals: points.abs().clamp(max=0.3))
    parts = tuple(box((1.0, 1.0, 1.0), (float(i), 0.0, 0.0), m) for i, m in enumerate((grey, lamp, painted, grey)))
    world = World("room", 0, (Thing("all", "wall", parts),), Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3))
    new = recoloured(world, random.Random(3), 1.0).things[0].parts
    assert new[1].material is lamp
    assert new[0].material.colour != grey.colour
    assert new[0].material is new[3].material  # wherever it is used
    assert all(torch.equal(a.vertices, b.vertices) for a, b in zip(parts, new, strict=True))
    pattern = new[2].material.pattern
    if pattern is not None:
        assert pattern(torch.rand(9, 3), torch.rand(9, 3)).max() <= 0.95
    same = recoloured(world, random.Random(3), 0.0).things[0].parts
    assert all(a.material is b.material for a, b in zip(parts, same, strict=True))
