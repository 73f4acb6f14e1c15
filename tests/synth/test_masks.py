"""What the masks of a frame say that its sensors know."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.synth.bare_town import bare_town, block
from worldloom.errors import InputError
from worldloom.geometry import FREE, GROUND, OCC3D_CLASSES, OCC3D_GRID, VoxelGrid
from worldloom.synth.occ3d_labels import LABEL_OF_SEMANTIC, labels_on
from worldloom.synth.sensors.rig import Rig, nuscenes_like_rig
from worldloom.synth.soup import soup_from_things
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


@pytest.mark.parametrize("name", ["manmade", *(OCC3D_CLASSES[label] for label in GROUND)])
def test_beams_on_the_ground_leave_no_free_space(name: str) -> None:
    """Not even where a hill lifts it into a beam that is nearly level."""
    ranks = torch.zeros(GRID.shape, dtype=torch.uint8)
    ranks[:, 45, :8] = rank(name)
    lidar, _ = masks().of(ranks, ranks > 0, EYE)
    assert bool((lidar & (ranks == 0)).any()) == (name == "manmade")


def single(x: float, z: float, eye_x: float) -> bool:
    """Whether a beam to a voxel ahead leaves free space; x and z are the middle of it."""
    ranks = torch.zeros(GRID.shape, dtype=torch.uint8)
    ranks[round((x + 12.2) / 0.4) - 1, 30, round((z + 1.2) / 0.4) - 1] = rank("manmade")
    eye = torch.tensor([[eye_x, 0.2, 1.0]])
    # From a camera far behind, all that is ahead is in view.
    rig = front(nuscenes_like_rig(), (-40.0, 0.2, 1.75))
    lidar, _ = SensorMasks(GRID, GROUND_Z, rig).of(ranks, ranks > 0, eye)
    assert (lidar & (ranks > 0)).sum() == 1
    return bool((lidar & (ranks == 0)).any())


def front(rig: Rig, place: tuple[float, float, float]) -> Rig:
    """Only the camera ahead, at another place on the car."""
    camera = rig.cameras["CAM_FRONT"]
    ego_from_cam = camera.ego_from_cam.clone()
    ego_from_cam[:3, 3] = torch.tensor(place)
    return replace(rig, cameras={"CAM_FRONT": camera._replace(ego_from_cam=ego_from_cam)})


def test_level_beams_leave_free_space_and_steep_ones_do_not() -> None:
    for z in torch.arange(-0.8, 5.3, 0.4).tolist():
        elevation = math.degrees(math.atan2(z - 1.0, 9.0))
        assert single(9.8, z, 0.8) == (-6.0 < elevation < 10.67)


def test_short_beams_leave_free_space_and_long_ones_do_not() -> None:
    assert single(9.8, 1.2, -5.1)  # 14.9 m
    assert single(9.8, 1.2, -5.15)
    assert not single(9.8, 1.2, -5.25)
    assert not single(10.2, 1.2, -4.9)  # 15.1 m


@pytest.mark.parametrize("ground_z", [-0.75, 1.05])
def test_a_camera_looks_from_its_height_above_the_ground(ground_z: float) -> None:
    """Through a slit as high as its eye it sees what is level with it; through a lower or higher one it does not."""
    rig = front(nuscenes_like_rig(), (1.7, 0.1, 1.55))
    seer = SensorMasks(GRID, ground_z, rig, replace(MaskRules(), pierce=0))
    level = math.floor((ground_z + 1.55 + 1.0) / 0.4)
    everything = torch.ones(GRID.shape, dtype=torch.bool)
    for slit in (level - 2, level, level + 2):
        occupied = torch.zeros(GRID.shape, dtype=torch.bool)
        occupied[45] = True
        occupied[45, :, slit] = False
        behind = seer.camera(occupied, everything)[46:, 28:33]
        assert bool(behind[..., level].all()) == (slit == level)
        if slit == level:
            assert not behind[..., : level - 1].any()
            assert not behind[..., level + 2 :].any()


@pytest.mark.parametrize("ground_z", [-0.75, 1.05])
def test_a_picture_ends_where_its_angles_say(ground_z: float) -> None:
    rig = front(nuscenes_like_rig(), (-6.13, 1.07, 1.51))
    nothing = torch.zeros(GRID.shape, dtype=torch.bool)
    seen = SensorMasks(GRID, ground_z, rig).camera(nothing, ~nothing)
    x, y, z = (GRID.centres() - torch.tensor([-6.13, 1.07, ground_z + 1.51])).unbind(-1)
    aside = math.tan(math.radians(35))
    assert torch.equal(seen, (x > 0.1) & (y.abs() < aside * x) & (z.abs() < aside * 900 / 1600 * x))


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
    named = {SEMANTICS[i]: OCC3D_CLASSES[int(label)] for i, label in enumerate(LABEL_OF_SEMANTIC)}
    assert all(named[name] == name for name in OCC3D_CLASSES[:-1])
    also = {"tree": "vegetation", "bush": "vegetation", "grass": "terrain", "rock": "terrain", "sky": "free"}
    also |= {"water": "other_flat", "floor": "other_flat"}
    also |= dict.fromkeys(("building", "roof", "fence", "pole", "sign", "street_furniture", "wall"), "manmade")
    assert also.items() <= named.items()


def test_a_voxel_belongs_to_the_smallest_thing_in_it() -> None:
    flat = ("driveable_surface", "other_flat", "sidewalk", "terrain")
    upright = ("vegetation", "manmade", "others")
    large = ("truck", "trailer", "bus", "construction_vehicle")
    small = ("car", "barrier", "traffic_cone", "motorcycle", "bicycle", "pedestrian")
    order = ("free", *flat, *upright, *large, *small)
    assert sorted(OCC3D_CLASSES, key=rank) == list(order)


def test_ground_of_many_kinds_is_asked_at_the_very_points() -> None:
    world = bare_town([block((1.0, 1.0, 1.0), (3.0, 0.0, 0.5), "tree")]).world()
    soup = soup_from_things(world.things)
    ground = int((soup.thing_of(torch.arange(soup.num_faces)) == 0).nonzero()[0])
    tree = int((soup.thing_of(torch.arange(soup.num_faces)) == 1).nonzero()[0])
    points = torch.tensor([[0.0, 8.0, 0.0], [0.0, 8.0, 0.0], [0.0, 5.0, 0.0], [0.0, 7.0, 0.0]])
    labels = labels_on(soup, torch.tensor([tree, ground, ground, ground]), points)
    assert [OCC3D_CLASSES[label] for label in labels.tolist()] == [
        *("vegetation", "sidewalk", "driveable_surface", "sidewalk")
    ]


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
