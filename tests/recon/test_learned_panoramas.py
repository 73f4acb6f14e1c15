"""Files to learn from: what is written comes back, labels say what they should, seeds are not shared."""

import math
import random
from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry.equirect import directions
from worldloom.geometry.io.npz import save_npz
from worldloom.recon.data.panoramas import (
    ENVELOPE,
    FARTHEST,
    FLOOR,
    OBJECT,
    SKY,
    load_panoramas,
    parts_of,
    world_panoramas,
    write_panoramas,
)
from worldloom.recon.data.photograph import blurred, photograph
from worldloom.recon.data.recolour import recoloured
from worldloom.recon.data.splits import WORLD_SPLITS, kind_of_world, split_of_world
from worldloom.recon.training.examples import WINDOW, draw_examples, files_of, place_of, truth_at
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
    ((file, _), _) = files_of(panorama_folder)
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
    ((file, _), _) = files_of(panorama_folder)
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
    ((file, _), _) = files_of(panorama_folder)
    copy = tmp_path / file.name
    copy.write_bytes(file.read_bytes())
    fault(copy)
    with pytest.raises(InputError, match=copy.name):
        load_panoramas(copy, 0)


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="worldloom synth panoramas"):
        files_of(tmp_path)


def test_truth_is_taken_from_one_pixel_and_sky_is_far(panorama_folder):
    one = load_panoramas(files_of(panorama_folder)[0][0], 0)[0]
    log, part, place = truth_at(one, 16, (0.99, 0.0))
    assert torch.equal(part, one.part[3::4, ::4])
    sky = part == SKY
    assert sky.any()
    torch.testing.assert_close(log[sky], torch.full_like(log[sky], math.log(WINDOW)))
    assert place == place_of(one) == 2
    roofed = one.part.clone()
    roofed[:20] = ENVELOPE
    assert place_of(replace(one, part=roofed)) == 1
    assert place_of(replace(one, kind="room")) == 0
    with pytest.raises(InputError, match="multiple of 24"):
        truth_at(one, 24)


def test_examples_turn_and_mirror_with_their_truth(panorama_folder):
    files = files_of(panorama_folder)
    same = [draw_examples(files, 3, 64, random.Random(5)) for _ in range(2)]
    assert torch.equal(same[0].rgb, same[1].rgb)
    batch = same[0]
    assert batch.rgb.shape == (3, 3, 64, 128)
    assert batch.log_distance.shape == batch.part.shape == (3, 64, 128)


def test_labels_stay_on_what_they_name(tmp_path):
    bright = np.arange(128) < 40  # on one side of the middle alone
    rgb = np.broadcast_to(np.where(bright, 220, 40).astype(np.uint8), (3, 64, 128))
    log = np.broadcast_to(np.where(bright, 20_000, 40_000).astype(np.uint16), (64, 128))
    part = np.broadcast_to(np.where(bright, OBJECT, ENVELOPE).astype(np.uint8), (64, 128))
    arrays = {"rgb0": rgb.copy(), "log_distance0": log.copy(), "part0": part.copy()}
    save_npz(tmp_path / "room-1.npz", arrays | PLACE)
    batch = draw_examples(files_of(tmp_path), 6, 64, random.Random(5))
    for picture, distance, parts in zip(batch.rgb, batch.log_distance, batch.part, strict=True):
        named = parts == OBJECT
        assert picture.mean(0)[:50][named[:50]].quantile(0.05) > picture.mean(0)[:50][~named[:50]].quantile(0.95)
        assert distance[named].max() < distance[~named].min()


def test_a_photograph_moves_nothing():
    rgb = torch.zeros(3, 64, 128, dtype=torch.uint8)
    rgb[:, :32] = 220
    rgb[:, 32:] = 40
    for seed in range(12):
        picture = photograph(rgb, random.Random(seed))
        assert picture.shape == rgb.shape
        assert 0 <= picture.min() <= picture.max() <= 1
        assert picture[:, 5:28].mean() > picture[:, 36:50].mean() + 0.05
    assert not torch.equal(photograph(rgb, random.Random(0)), photograph(rgb, random.Random(1)))


def test_blur_wraps_and_keeps_the_mean():
    picture = torch.zeros(3, 16, 32)
    picture[:, 8, 0] = 1.0
    smooth = blurred(picture, 1.0)
    torch.testing.assert_close(smooth.sum(), picture.sum())
    torch.testing.assert_close(smooth[:, 8, 1], smooth[:, 8, -1])
    assert smooth[0, 8, -1] > 0.05


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
