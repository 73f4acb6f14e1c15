"""What a run's folder tells a visit, and the map of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.apps.walk.minimap import PIXELS, Minimap
from worldloom.apps.walk.world import World
from worldloom.errors import InputError
from worldloom.geometry import Camera, CameraPath, Gaussians, intrinsics, look_at, sh_from_rgb
from worldloom.geometry.io import save_camera_paths, save_gaussians


def room() -> Gaussians:
    """A floor of 6 m x 6 m, 1.6 m below the origin, red ahead and green behind, and a wall 2.5 m ahead."""
    side = torch.arange(-3, 3, 0.05)
    x, y = torch.meshgrid(side, side, indexing="ij")
    floor = torch.stack([x, y, torch.full_like(x, -1.6)], -1).reshape(-1, 3)
    y, z = torch.meshgrid(side, torch.arange(-1.6, 1, 0.05), indexing="ij")
    wall = torch.stack([torch.full_like(y, 2.5), y, z], -1).reshape(-1, 3)
    means = torch.cat([floor, wall])
    rgb = torch.where(means[:, :1] > 0, torch.tensor([[0.9, 0.1, 0.1]]), torch.tensor([[0.1, 0.9, 0.1]]))
    n = len(means)
    scales = torch.full((n, 3), 0.04)
    scales[: len(floor), 2] = scales[len(floor) :, 0] = 0.005
    quats = torch.tensor([1.0, 0, 0, 0]).expand(n, 4).clone()
    return Gaussians(means, quats, scales, torch.full((n,), 0.95), sh_from_rgb(rgb))


def folder_of(tmp_path: Path, report: dict) -> Path:
    save_gaussians(tmp_path / "scene.ply", room())
    (tmp_path / "report.json").write_text(json.dumps({"made_by": "worldloom", **report}))
    return tmp_path


def test_a_panoramas_scene_begins_at_its_eye(tmp_path: Path) -> None:
    world = World.open(folder_of(tmp_path, {"panorama_size": "64x32"}))
    assert world.eye == (0.0, 0.0, 0.0)
    assert world.paths == ()
    assert world.footing is not None
    assert world.footing.height == pytest.approx(0.0, abs=0.05)


def test_a_start_view_is_where_it_says(tmp_path: Path) -> None:
    pose = look_at(torch.tensor([-1.0, 0.5, 0.2]), torch.tensor([-1.0, 3.0, 0.2]))
    view = {"world_from_cam": pose.tolist(), "distance": 2.0, "fov_vertical": 0.8, "up": [0.0, 0.0, 1.0]}
    world = World.open(folder_of(tmp_path, {"start_view": view}))
    assert world.eye == pytest.approx((-1.0, 0.5, 0.2))
    assert world.start.target == pytest.approx((-1.0, 2.5, 0.2))
    assert world.start.fov == 0.8
    footing = world.footing
    assert footing is not None
    assert footing.height == pytest.approx(0.2, abs=0.05)
    x, _, _ = footing.walked(world.eye, (4.0, 0.5, 0.2))
    assert 2.5 - 0.25 - 0.2 < x < 2.5 - 0.25 + 0.1, "the wall stops a body"


def test_without_an_upright_world_there_is_no_ground_to_walk_on(tmp_path: Path) -> None:
    view = {"world_from_cam": torch.eye(4).tolist(), "distance": 2.0, "fov_vertical": 0.8, "up": [0.0, -1.0, 0.0]}
    world = World.open(folder_of(tmp_path, {"start_view": view}))
    assert world.footing is None
    assert world.first_target == world.start.target == pytest.approx((0.0, 0.0, 2.0))


@pytest.mark.parametrize("view", [[1, 2, 3], "here", {"world_from_cam": 1}, {}])
def test_a_start_view_that_is_none_is_refused(tmp_path: Path, view: object) -> None:
    with pytest.raises(InputError, match="start_view"):
        World.open(folder_of(tmp_path, {"start_view": view}))


def test_a_folder_without_splats_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a finished scene with scene\.ply"):
        World.open(tmp_path)


def test_paths_and_visitor_are_on_the_map(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"panorama_size": "64x32"})
    poses = torch.eye(4).repeat(5, 1, 1)
    poses[:, 0, 3] = torch.linspace(-2, 1, 5)
    size = (36, 64)
    cameras = Camera(poses, intrinsics(1.2, size).expand(5, 3, 3).clone(), size)
    save_camera_paths(folder / "paths.json", [CameraPath("walk", cameras)])
    world = World.open(folder)
    assert [path.name for path in world.paths] == ["walk"]
    plan = Minimap.of(world)
    column, row = plan.at(-1.0, 0.0)
    assert plan.picture.getpixel((round(column), round(row))) == (28, 92, 190)
    plain = np.asarray(plan.picture).astype(int)
    (red, green), (red_behind, green_behind) = (
        plain[round(row), round(column), :2] for column, row in (plan.at(x, 1.0) for x in (1.0, -1.0))
    )
    assert red > green + 50, "ahead is red and up"
    assert green_behind > red_behind + 50
    assert plan.at(1.0, 0.0)[1] < plan.at(-1.0, 0.0)[1]
    assert plan.at(0.0, 1.0)[0] < plan.at(0.0, -1.0)[0], "left is left"
    for x, y in ((0.0, 0.0), (100.0, 0.0)):
        drawn = plan.with_visitor(x, y, 0.3)
        assert drawn.shape == (PIXELS, PIXELS, 3)
        assert (np.abs(drawn.astype(int) - plain).sum(-1) > 60).sum() > 40, "the arrow is seen, also at the edge"


def test_a_click_finds_what_is_seen_first(tmp_path: Path) -> None:
    world = World.open(folder_of(tmp_path, {"panorama_size": "64x32"}))
    assert world.hit((0.0, 0.0, 0.0), (2.0, 0.4, 0.0)) == pytest.approx((2.5, 0.5, 0.0), abs=0.05)
    assert world.hit((0.0, 0.0, 0.0), (0.5, 0.25, -0.8)) == pytest.approx((1.0, 0.5, -1.6), abs=0.05)
    assert world.hit((0.0, 0.0, 0.0), (-1.0, 0.0, 0.3)) is None


@pytest.mark.parametrize(("yaw", "ahead"), [(0.0, (0, -1)), (1.5708, (-1, 0)), (3.1416, (0, 1)), (-1.5708, (1, 0))])
def test_the_arrow_on_the_map_points_where_the_visitor_looks(
    yaw: float, ahead: tuple[int, int], tmp_path: Path
) -> None:
    plan = Minimap.of(World.open(folder_of(tmp_path, {"panorama_size": "64x32"})))
    drawn = np.abs(plan.with_visitor(0.5, -0.5, yaw).astype(int) - np.asarray(plan.picture)).sum(-1) > 60
    rows, columns = np.nonzero(drawn)
    # The tip is 11 pixels ahead and too sharp to be seen whole, the tails are 7 behind.
    reach = np.stack([columns, rows], 1) - np.array(plan.at(0.5, -0.5))
    along = reach @ np.array(ahead)
    assert 8 <= along.max() <= 12
    assert -8 <= along.min() <= -5


def test_voxels_and_air_are_measured(tmp_path: Path) -> None:
    world = World.open(folder_of(tmp_path, {"panorama_size": "64x32"}))
    assert len(world.voxel_splats) > 500
    x, _, _ = world.air.flown((0.0, 0.0, 0.0), (4.0, 0.0, 0.0))
    assert 1.9 < x < 2.5, "the wall stops a head"
