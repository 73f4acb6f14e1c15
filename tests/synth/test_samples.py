"""The bundled samples are small, show what they should, and are what the generator makes."""

import numpy as np
import pytest
import torch

from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_GRID, invert
from worldloom.geometry.io import image_size, load_clip
from worldloom.geometry.io.npz import load_npz
from worldloom.synth.cast import Caster
from worldloom.synth.rooms import make_room
from worldloom.synth.samples import sample_clip_path, sample_panorama_path, sample_panorama_truth_path
from worldloom.synth.samples.make import DRIVE_SEED, ROOM_SEED, TOWN_SEED
from worldloom.synth.views import PanoramaView, rays_through


def test_they_are_small() -> None:
    paths = (sample_panorama_path(), sample_panorama_truth_path(), sample_clip_path())
    assert sum(path.stat().st_size for path in paths) < 5e6


def test_the_truth_of_the_panorama_is_what_the_generator_says() -> None:
    truth = load_npz(sample_panorama_truth_path(), {"distance": "float16 h w", "sky": "bool h w"})
    height, width = truth["distance"].shape
    assert image_size(sample_panorama_path()) == (height, width) == (1024, 2048)
    world = make_room(ROOM_SEED)
    generator = torch.Generator().manual_seed(0)
    i = torch.randint(height, (4000,), generator=generator)
    j = torch.randint(width, (4000,), generator=generator)
    # The conventions' half pixel, written out: the ray through the middle of row i, column j.
    origins, directions = rays_through(PanoramaView(world.stands[0], height), j + 0.5, i + 0.5)
    azimuth, elevation = np.pi * (1 - 2 * (j[0] + 0.5) / width), np.pi / 2 - np.pi * (i[0] + 0.5) / height
    expected = [elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin()]
    torch.testing.assert_close(directions[0].float(), torch.stack(expected).float(), atol=1e-6, rtol=0)
    hits = Caster(world).cast(origins, directions)
    assert np.array_equal(~hits.found.numpy(), truth["sky"][i, j])
    stored = torch.from_numpy(truth["distance"][i, j].astype(np.float64))
    torch.testing.assert_close(hits.distance.double(), stored, rtol=1e-3, atol=0)


def test_the_clip_is_a_drive() -> None:
    clip = load_clip(sample_clip_path())
    assert len(clip) == 20
    assert clip.grid == OCC3D_GRID
    present = {OCC3D_CLASSES[i] for i in clip.labels.unique().tolist()}
    assert {"car", "pedestrian", "driveable_surface", "sidewalk", "manmade", "vegetation", "terrain"} <= present
    steps = (invert(clip.world_from_ego[:-1]) @ clip.world_from_ego[1:])[:, :3, 3]
    assert steps[:, 0].sum() > 30  # metres forward
    assert (steps[:, 1].abs() < 1).all()  # a car does not slide sideways
    occupied = clip.labels != FREE
    assert 15_000 < occupied.flatten(1).sum(1).float().mean() < 60_000
    # Under the ego is road, in the lowest layer, where genuine labels have it.
    assert (clip.labels[:, 98:103, 98:103, 0] == OCC3D_CLASSES.index("driveable_surface")).float().mean() > 0.9
    assert 0.02 < clip.observed.float().mean() < 0.12


@pytest.mark.slow
def test_the_clip_is_what_the_generator_makes() -> None:
    pytest.importorskip("libsumo", reason="towns need the extra `traffic`")
    from worldloom.synth.towns import make_town
    from worldloom.synth.traffic import drive_town
    from worldloom.synth.voxels import Voxelizer

    clip = load_clip(sample_clip_path())
    town = make_town(TOWN_SEED)
    drive = drive_town(town, 9.5, DRIVE_SEED)
    # The frame of the labels hangs above the ego's, by one height for all.
    torch.testing.assert_close(clip.world_from_ego[:, :2, 3], drive.world_from_ego[:, :2, 3].float(), atol=0.05, rtol=0)
    complete = Voxelizer(town).frame(drive.world_from_ego[10])
    road = OCC3D_CLASSES.index("driveable_surface")
    # What sensors knew of the road is road in the complete truth.
    known = (clip.labels[10] == road) & clip.observed[10]
    assert (complete[known] == road).float().mean() > 0.97
