"""The room against its floor plan: distances that follow from the walls, a place to stand, the same bytes again."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import Panorama
from worldloom.geometry.equirect import directions
from worldloom.geometry.io import load_image, save_image
from worldloom.synth.first.furniture import SIZE
from worldloom.synth.first.light import sun_spots
from worldloom.synth.first.room import Quality, Room, make_room, render_panorama_truth
from worldloom.synth.samples import sample_panorama_path, sample_panorama_truth_path
from worldloom.synth.samples.make import ROOM_SEED, write_room

HEIGHT, FAST = 16, Quality(oversample=1, num_rays=2, probe_spacing=1.5)


@pytest.fixture(scope="module")
def room() -> Room:
    return make_room(3)


@pytest.fixture(scope="module")
def rendered() -> tuple[Panorama, Tensor]:
    return render_panorama_truth(make_room(ROOM_SEED), HEIGHT, FAST)


def test_camera_stands_in_free_space() -> None:
    for seed in range(4):
        room = make_room(seed)
        eye = room.world_from_pano[:3, 3]
        around = eye + 0.25 * directions(8).flatten(0, 1)
        assert eye[2].item() == pytest.approx(1.6)
        assert not any(solid.contains(around).any() for solid in room.world.solids)


def test_floor_walls_and_ceiling_are_where_the_plan_says(room: Room) -> None:
    eye = room.world_from_pano[:3, 3]
    straight = torch.tensor([[0, 0, -1.0], [0, 0, 1.0], [0.0, -1.0, 0.02]])
    straight = torch.nn.functional.normalize(straight, dim=-1)
    hits = room.world.cast(eye.expand(3, 3).contiguous(), straight)
    names = [room.world.things[i].name for i in hits.instance.tolist()]
    assert names[:2] == ["floor", "ceiling"]
    assert hits.distance[0].item() == pytest.approx(1.6, abs=1e-6)
    assert hits.distance[1].item() == pytest.approx(SIZE[2] - 1.6, abs=1e-6)
    behind = room.world.cast(eye[None], torch.tensor([[-1.0, 0.0, 0.0]]))
    assert behind.distance.item() == pytest.approx(eye[0].item() + SIZE[0] / 2, abs=0.05)


def test_panorama_agrees_with_its_own_geometry(rendered: tuple[Panorama, Tensor]) -> None:
    panorama, normals = rendered
    lowest = panorama.distance[-1]
    expected = torch.full_like(lowest, 1.6 / math.cos(math.pi * 0.5 / HEIGHT))
    torch.testing.assert_close(lowest, expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(normals[:, -1], torch.tensor([0.0, 0.0, 1.0])[:, None].expand(3, 2 * HEIGHT))
    assert torch.equal(normals.norm(dim=0) == 0, panorama.sky)
    assert ((normals.permute(1, 2, 0) * directions(HEIGHT)).sum(-1) <= 1e-6).all()
    assert panorama.rgb.min() >= 0
    assert panorama.rgb.max() <= 1
    assert panorama.rgb.std() > 0.1  # neither black nor flat


def test_writing_it_again_gives_the_same_bytes(rendered: tuple[Panorama, Tensor], tmp_path: Path) -> None:
    write_room(tmp_path, HEIGHT, FAST)
    save_image(tmp_path / "first.jpg", rendered[0].rgb)
    assert (tmp_path / "room.jpg").read_bytes() == (tmp_path / "first.jpg").read_bytes()
    with np.load(tmp_path / "room_truth.npz") as truth:
        assert np.array_equal(truth["distance"], rendered[0].distance.numpy().astype(np.float16))
        assert np.array_equal(truth["sky"], rendered[0].sky.numpy())


def test_sky_is_seen_only_through_the_window(room: Room) -> None:
    rays = directions(96).flatten(0, 1)
    eye = room.world_from_pano[:3, 3]
    sky = ~room.world.cast(eye.expand_as(rays).contiguous(), rays).found
    assert 0.0005 < sky.float().mean() < 0.02
    reach = (room.opening.x - eye[0]) / rays[sky][:, 0]
    through = eye + reach[:, None] * rays[sky]
    assert (reach > 0).all()
    assert (through[:, 1] > room.opening.y[0]).all()
    assert (through[:, 1] < room.opening.y[1]).all()
    assert (through[:, 2] < room.opening.z[1]).all()
    assert (through[:, 2] > room.opening.z[0]).all()


def test_sunlight_falls_on_the_floor_away_from_the_window(room: Room) -> None:
    """The lit spots lie behind the opening along the sun, lower than the opening."""
    points, normals, power = sun_spots(room.world, room.daylight, room.opening, torch.Generator().manual_seed(0))
    sun = torch.tensor(room.daylight.towards_sun)
    through = points + ((room.opening.x - points[:, :1]) / sun[0]) * sun
    assert len(points) > 100
    assert (through[:, 1] > room.opening.y[0] - 0.01).all()
    assert (through[:, 1] < room.opening.y[1] + 0.01).all()
    assert (through[:, 2] < room.opening.z[1] + 0.01).all()
    assert ((normals @ sun) >= -1e-5).all()
    flux = room.daylight.sun[0] * sun[0] * room.opening.area
    assert 0.2 * flux < power[:, 0].sum() < flux  # some is absorbed, some stays on the frame


def test_heights_below_two_are_refused(room: Room) -> None:
    with pytest.raises(InputError, match="got 1"):
        render_panorama_truth(room, 1)


def test_the_bundled_truth_is_what_the_generator_says() -> None:
    with np.load(sample_panorama_truth_path()) as truth:
        distance, sky = torch.from_numpy(truth["distance"]).float(), torch.from_numpy(truth["sky"])
    rgb = load_image(sample_panorama_path())
    assert rgb.shape[1:] == distance.shape == sky.shape
    room, step = make_room(ROOM_SEED), 9
    rays = directions(len(distance))[4::step, 4::step].flatten(0, 1)
    hits = room.world.cast(room.world_from_pano[:3, 3].expand_as(rays).contiguous(), rays)
    distance, sky = distance[4::step, 4::step].flatten(), sky[4::step, 4::step].flatten()
    assert (hits.found != sky).float().mean() > 0.999
    both = hits.found & ~sky
    error = ((hits.distance - distance).abs() / hits.distance)[both]
    assert (error < 1e-3).float().mean() > 0.999  # float16 keeps three digits; a rounding may flip a pixel on an edge
