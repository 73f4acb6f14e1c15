"""What the masks of a frame say that its sensors know."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_GRID, VoxelGrid
from worldloom.synth.occ3d_labels import LABEL_OF_SEMANTIC
from worldloom.synth.sensors.rig import nuscenes_like_rig
from worldloom.synth.voxels.masks import MaskRules, SensorMasks
from worldloom.synth.voxels.occupancy_statistics import occupancy_statistics, statistics_picture, statistics_table
from worldloom.synth.voxels.voxel_priority import LABEL_OF_RANK, RANK_OF_LABEL
from worldloom.synth.world import SEMANTICS

GRID = VoxelGrid((-12.0, -12.0, -1.0), 0.4, (60, 60, 16))
GROUND_Z = -0.75
EYE = torch.tensor([[0.94, 0.0, GROUND_Z + 1.84]])  # the LiDAR's, in voxels (32.35, 30, 5.2)


def rank(name: str) -> int:
    return int(RANK_OF_LABEL[OCC3D_CLASSES.index(name)])


def masks(**changes: object) -> SensorMasks:
    return SensorMasks(GRID, GROUND_Z, nuscenes_like_rig(), replace(MaskRules(), **changes))  # pyright: ignore


def road_and_wall() -> torch.Tensor:
    """Road below everything and a wall 6.2 m to the left, along x."""
    ranks = torch.zeros(GRID.shape, dtype=torch.uint8)
    ranks[:, :, 0] = rank("driveable_surface")
    ranks[:, 45, 1:] = rank("manmade")
    return ranks


def test_free_space_is_known_before_a_wall_and_not_behind_it() -> None:
    ranks = road_and_wall()
    lidar, camera = masks().of(ranks, ranks > 0, EYE)
    free = ranks == 0
    known = lidar & free
    assert known[31:36, 36:44, 5].all()  # between the eye and the wall, at its height
    assert not known[:, 46:].any()  # behind
    assert not known[:, :28].any()  # to the right there is only road
    assert torch.equal(lidar & ~free, ranks > 0)  # where beams ended
    assert not (camera & ~lidar).any()
    assert torch.equal(camera & free, known)  # free space is known where a camera looks as well


def test_beams_on_the_ground_leave_no_free_space() -> None:
    ranks = torch.zeros(GRID.shape, dtype=torch.uint8)
    ranks[:, :, 0] = rank("driveable_surface")
    lidar, _ = masks().of(ranks, ranks > 0, EYE)
    assert not (lidar & (ranks == 0)).any()


def test_what_no_beam_met_stays_unknown() -> None:
    ranks = road_and_wall()
    lidar, camera = masks().of(ranks, torch.zeros(GRID.shape, dtype=torch.bool), EYE)
    assert not lidar.any()
    assert not camera.any()


def test_more_eyes_along_the_drive_know_more() -> None:
    ranks = road_and_wall()
    one, _ = masks(reach=8.0).of(ranks, ranks > 0, EYE)
    three, _ = masks(reach=8.0).of(ranks, ranks > 0, EYE + torch.tensor([[-6.0, 0, 0], [0, 0, 0], [6.0, 0, 0]]))
    assert not (one & ~three).any()
    assert int(three.sum()) > int(one.sum()) + 200


def test_cameras_look_through_as_much_as_the_rules_say() -> None:
    ranks = road_and_wall()
    ranks[:, 52, 1:] = rank("manmade")
    everything = torch.ones(GRID.shape, dtype=torch.bool)
    solid, thin = (masks(pierce=n).camera(ranks > 0, everything) for n in (0, 4))
    assert solid[20:40, 45, 6].any()
    assert not solid[:, 46:].any()
    assert thin[20:40, 52, 6].any()
    # Below every camera's picture is the place where the car stands.
    assert not thin[28:33, 29:31, 1].any()


def test_ranks_are_the_labels_in_another_order() -> None:
    labels = torch.arange(FREE + 1)
    assert torch.equal(LABEL_OF_RANK[RANK_OF_LABEL[labels].long()].long(), labels)
    assert rank("free") == 0
    assert [rank(n) for n in ("driveable_surface", "manmade", "truck", "car", "bicycle", "pedestrian")] == sorted(
        rank(n) for n in ("driveable_surface", "manmade", "truck", "car", "bicycle", "pedestrian")
    )
    named = {SEMANTICS[i]: OCC3D_CLASSES[int(label)] for i, label in enumerate(LABEL_OF_SEMANTIC)}
    assert all(named[name] == name for name in OCC3D_CLASSES[:-1])
    assert named["sky"] == "free"
    assert named["tree"] == "vegetation"
    assert named["building"] == "manmade"


def test_statistics_count() -> None:
    labels = torch.full(OCC3D_GRID.shape, FREE, dtype=torch.uint8)
    labels[100:110, 100:104, 0] = 11  # 40 voxels around the origin's corner
    labels[20:22, 20:22, 3:5] = 4
    labels[30, 30, 3] = 4  # a crumb
    lidar = labels != FREE
    lidar[100:110, 100:104, 1] = True
    figures = occupancy_statistics(labels, lidar, lidar & (labels == 11))
    assert (figures.occupied, figures.classes[11], figures.classes[4]) == (49, 40, 9)
    assert figures.heights.tolist() == [40, 0, 0, 5, 4, *[0] * 11]
    assert figures.free_known == 40
    assert figures.occupied_known == 1.0
    assert math.isclose(figures.mask_lidar, 89 / 640_000, rel_tol=1e-5)
    assert math.isclose(figures.mask_camera, 40 / 640_000, rel_tol=1e-5)
    assert figures.components[[4, 11]].tolist() == [2, 1]
    assert figures.component_size[4] == 8
    assert figures.component_size[0].isnan()
    table = statistics_table(figures, [figures, figures])
    assert "| car | 9 | 9 | 9 … 9 |" in table
    assert statistics_picture(figures, [figures]).size[0] > 400
    with pytest.raises(InputError, match="shape"):
        occupancy_statistics(labels[:5], lidar[:5], lidar[:5])
    with pytest.raises(InputError, match="frame"):
        statistics_table(figures, [])


def test_the_rules_fit_a_genuine_label(test_data: Path) -> None:
    """Given what beams met there, a straight drive along x knows about as much free space, at about the same places."""
    file = next((test_data / "occ3d" / "gts").glob("*/*/labels.npz"))
    with np.load(file) as arrays:
        labels, lidar, camera = (torch.from_numpy(arrays[n]) for n in ("semantics", "mask_lidar", "mask_camera"))
    ranks = RANK_OF_LABEL[labels.long()]
    met = lidar.bool() & (labels != FREE)
    x = torch.arange(-40.0, 41.0, MaskRules().eye_spacing)
    eyes = torch.stack([x, torch.zeros_like(x), torch.full_like(x, -0.7 + 1.84)], 1)
    ours, seen = SensorMasks(OCC3D_GRID, -0.7, nuscenes_like_rig()).of(ranks, met, eyes)
    free, genuine = ours & (labels == FREE), lidar.bool() & (labels == FREE)
    assert 0.6 < free.sum() / genuine.sum() < 1.6
    overlap = (free & genuine).sum() / genuine.sum()
    chance = free.float().mean()
    assert overlap > 10 * chance
    assert 0.7 < seen.sum() / camera.sum() < 1.3
