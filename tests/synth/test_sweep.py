"""A sweep of worlds with known answers: a floor, a wall, a retroreflector."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import OCC3D_CLASSES, apply, compose, invert, rotz
from worldloom.geometry.io.lidar import load_lidar
from worldloom.synth.cast import Caster
from worldloom.synth.road_users.catalogue import make_road_user
from worldloom.synth.road_users.coachwork import reflector
from worldloom.synth.sensors.keyframe_cameras import camera_pictures
from worldloom.synth.sensors.laser import Returns, laser_points, lidar_eyes, sweep_poses
from worldloom.synth.sensors.rig import nuscenes_like_rig
from worldloom.synth.sensors.sweep import OWN, LidarModel, Sweep, lidar_sweep
from worldloom.synth.shapes import cylinder, placed, slab, turned
from worldloom.synth.skies.sky import Sky
from worldloom.synth.world import SEMANTICS, Material, Thing, World

RIG = nuscenes_like_rig()
SPARSE = replace(RIG, num_azimuths=271)
GREY = Material("grey", (0.3, 0.3, 0.3))
FLOOR = Thing("floor", "driveable_surface", (slab((-150, -150, -1), (150, 150, 0), GREY),))
EXACT = LidarModel(noise=0.0, faintest=1e-12, speckle=0.0)


def caster(*things: Thing) -> Caster:
    return Caster(World("town", 0, things, Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3)), num_threads=1)


def wall(material: Material, x: float) -> Thing:
    return Thing("wall", "building", (slab((x, -60, 0), (x + 1, 60, 30), material),))


@pytest.fixture(scope="module")
def walled() -> Sweep:
    """A floor, and a wall 20 m ahead of the rear axle."""
    return lidar_sweep(caster(FLOOR, wall(GREY, 20.0)), torch.eye(4), RIG, 3, EXACT)


def test_points_lie_on_what_was_hit(walled: Sweep) -> None:
    points = apply(RIG.ego_from_lidar, walled.points[:, :3])
    floor = walled.labels == OCC3D_CLASSES.index("driveable_surface")
    on_wall = walled.labels == OCC3D_CLASSES.index("manmade")
    assert (floor | on_wall).all()
    assert points[floor, 2].abs().max() < 1e-4
    assert (points[on_wall, 0] - 20).abs().max() < 1e-4
    assert torch.equal(walled.instance == 0, floor)
    assert torch.equal(walled.instance == 1, on_wall)
    # The wall is ahead: in the LiDAR's frame, at +y.
    assert (walled.points[on_wall, 1] > 19).all()


def test_rings_are_cones(walled: Sweep) -> None:
    distance = walled.points[:, :3].norm(dim=-1)
    elevation = torch.asin(walled.points[:, 2] / distance)
    ring = walled.points[:, 4].long()
    torch.testing.assert_close(elevation, RIG.elevations[ring], atol=1e-5, rtol=0)
    floor = walled.labels == OCC3D_CLASSES.index("driveable_surface")
    height = float(RIG.ego_from_lidar[2, 3])
    expected = height / torch.sin(-RIG.elevations[ring[floor]])
    torch.testing.assert_close(distance[floor], expected, rtol=1e-4, atol=1e-3)
    assert distance.max() <= EXACT.max_range


def test_firings_go_round_clockwise(walled: Sweep) -> None:
    azimuth = torch.atan2(walled.points[:, 1], walled.points[:, 0])
    turn = torch.remainder(math.pi + 2 * math.pi / RIG.num_azimuths - azimuth, 2 * math.pi)
    assert (turn.diff() > -1e-5).all()


def test_intensity_is_reflectance_in_percent(walled: Sweep) -> None:
    assert (walled.points[:, 3] == 30).all()
    sweep = lidar_sweep(caster(FLOOR, wall(reflector("tape", (0.6, 0.6, 0.6)), 20.0)), torch.eye(4), SPARSE, 3, EXACT)
    tape = sweep.instance == 1
    assert (sweep.points[tape, 3] == round(100 + 155 * 0.6)).all()
    assert (sweep.points[~tape, 3] == 30).all()


def test_noise_and_drop_out_have_their_size() -> None:
    things = (FLOOR, wall(GREY, 20.0))
    exact = lidar_sweep(caster(*things), torch.eye(4), RIG, 5, LidarModel(noise=0.0, faintest=1e-12))
    noisy = lidar_sweep(caster(*things), torch.eye(4), RIG, 5, LidarModel(noise=0.05, faintest=1e-12))
    assert len(exact) == len(noisy)
    error = noisy.points[:, :3].norm(dim=-1) - exact.points[:, :3].norm(dim=-1)
    assert float(error.std()) == pytest.approx(0.05, rel=0.05)
    assert abs(float(error.mean())) < 0.002
    torch.testing.assert_close(
        torch.linalg.cross(noisy.points[:, :3], exact.points[:, :3]).abs().max(), torch.tensor(0.0), atol=2e-3, rtol=0
    )
    # Half of the beams come back where reflectance * cos / range^2 is `faintest`.
    model = LidarModel(noise=0.0, faintest=0.3 / 20**2)
    faint = lidar_sweep(caster(wall(GREY, 20.94)), torch.eye(4), RIG, 5, model)
    ahead = faint.points[:, 0].abs() < 2
    beams = apply(RIG.ego_from_lidar, RIG.beams().float() * 20)
    shot = (beams[:, 1].abs() < 2) & (beams[:, 0] > 0.94) & (beams[:, 2] > 0.3)
    assert int(ahead.sum()) / int(shot.sum()) == pytest.approx(0.5, abs=0.08)


def test_dark_polished_and_grazed_surfaces_answer_less() -> None:
    def share(material: Material) -> int:
        sweep = lidar_sweep(caster(wall(material, 40.0)), torch.eye(4), SPARSE, 1)
        return int((sweep.points[:, 0].abs() > 8).sum())  # beside the gleam that a polished wall shows straight ahead

    white, dark = share(Material("white", (0.8, 0.8, 0.8))), share(Material("dark", (0.05, 0.05, 0.05)))
    glass = share(Material("glass", (0.05, 0.05, 0.05), roughness=0.05))
    assert white > 1.2 * dark
    assert dark > 1.5 * glass
    floor = lidar_sweep(caster(FLOOR), torch.eye(4), SPARSE, 1)
    full = lidar_sweep(caster(FLOOR), torch.eye(4), SPARSE, 1, EXACT)
    far = [int((sweep.points[:, :3].norm(dim=-1) > 60).sum()) for sweep in (floor, full)]
    assert far[0] < 0.5 * far[1]


def test_the_carrying_car_shadows_the_lowest_rings(walled: Sweep) -> None:
    returns = np.bincount(walled.points[:, 4].long().numpy(), minlength=32)
    assert returns[0] < 0.4 * RIG.num_azimuths
    assert (np.diff(returns[:8]) > 0).all()
    assert (returns[12:20] == RIG.num_azimuths).all()
    own = lidar_sweep(caster(FLOOR), torch.eye(4), RIG, 3, LidarModel(own_car=True))
    mine = own.instance == OWN
    assert mine.sum() > 2000
    points = apply(RIG.ego_from_lidar, own.points[mine, :3])
    assert (points[:, 1].abs() < 1).all()
    assert ((points[:, 0] > -1) & (points[:, 0] < 4) & (points[:, 2] > 0.4) & (points[:, 2] < 1.6)).all()
    assert (own.labels[mine] == 0).all()


def test_a_sweep_goes_with_its_car() -> None:
    """The same things about another place give the same points."""
    pose = compose(rotz(torch.tensor(2.1)), torch.tensor([300.0, -200.0, 1.0]))
    things = (FLOOR, placed(make_road_user("car", 1), (12, 3, 0), 0.4))
    moved = tuple(Thing(t.name, t.semantic, t.parts, pose @ t.world_from_thing) for t in things)
    here, there = (
        lidar_sweep(caster(*group), where, RIG, 8, EXACT) for group, where in ((things, torch.eye(4)), (moved, pose))
    )
    assert abs(len(here) - len(there)) < 20
    assert (here.labels == OCC3D_CLASSES.index("car")).sum() > 150

    def middle(sweep: Sweep) -> Float[Tensor, "3"]:
        return sweep.points[sweep.labels == OCC3D_CLASSES.index("car"), :3].mean(0)

    torch.testing.assert_close(middle(here), middle(there), atol=0.01, rtol=0)
    # 12 m ahead of the rear axle and 3 m to the left.
    right, ahead, _ = middle(here).tolist()
    assert right == pytest.approx(-3, abs=0.7)
    assert 8.5 < ahead < 12 - 0.94  # it shows its tail


def test_same_seed_same_sweep() -> None:
    things = (FLOOR, wall(GREY, 20.0))
    first, again, other = (lidar_sweep(caster(*things), torch.eye(4), SPARSE, seed) for seed in (1, 1, 2))
    assert torch.equal(first.points, again.points)
    assert torch.equal(first.labels, again.labels)
    assert first.points.shape != other.points.shape or not torch.equal(first.points, other.points)


def test_an_empty_world_has_no_returns() -> None:
    assert len(lidar_sweep(caster(), torch.eye(4), RIG, 1)) == 0


def test_camera_pictures_show_the_car_where_it_stands() -> None:
    car = placed(make_road_user("car", 0), (0.94, 9.0, 0.0), 0.3)  # abreast, to the left
    pictures = camera_pictures(caster(FLOOR, car), torch.eye(4), RIG, width=64, paths=1)
    assert list(pictures) == list(RIG.cameras)
    number = SEMANTICS.index("car")
    seen = {channel: int((truth.semantic == number).sum()) for channel, truth in pictures.items()}
    assert seen["CAM_FRONT_LEFT"] + seen["CAM_BACK_LEFT"] > 40
    assert seen["CAM_FRONT"] == seen["CAM_FRONT_RIGHT"] == seen["CAM_BACK_RIGHT"] == 0
    truth = pictures["CAM_FRONT"]
    assert truth.rgb.shape == (3, 36, 64)
    # The camera's horizon is in the middle: sky above, floor below.
    assert truth.sky[:16].all()
    assert not truth.sky[20:].any()


def test_pictures_go_with_their_car_and_each_has_light_of_its_own() -> None:
    pose = compose(rotz(torch.tensor(2.1)), torch.tensor([30.0, -20.0, 1.0]))
    things = (FLOOR, placed(make_road_user("car", 1), (12, 0, 0), 0.4))
    moved = tuple(Thing(t.name, t.semantic, t.parts, pose @ t.world_from_thing) for t in things)
    ahead = RIG.cameras["CAM_FRONT"]
    twins = replace(RIG, cameras={"one": ahead, "other": ahead})
    here = camera_pictures(caster(*things), torch.eye(4), twins, width=32, paths=1)
    there = camera_pictures(caster(*moved), pose, twins, width=32, paths=1)
    assert (here["one"].semantic == there["one"].semantic).float().mean() > 0.98
    assert (here["one"].semantic == SEMANTICS.index("car")).any()
    assert not torch.equal(here["one"].rgb, here["other"].rgb)
    again = camera_pictures(caster(*things), torch.eye(4), twins, width=32, paths=1)
    assert torch.equal(here["one"].rgb, again["one"].rgb)


def test_leaves_are_bright_and_what_is_too_near_is_not_seen() -> None:
    near, hedge = slab((0.94, 0.5, 1), (2, 0.6, 3), GREY), slab((20, -60, 0), (21, 60, 30), GREY)
    things = (Thing("near", "building", (near,)), Thing("hedge", "bush", (hedge,)))
    sweep = lidar_sweep(caster(*things), torch.eye(4), SPARSE, 3, EXACT)
    assert (sweep.points[sweep.instance == 1, 3] == 70).all()  # 0.3 * 2.5, at most 0.7
    distance = sweep.points[sweep.instance == 0, :3].norm(dim=-1)
    assert distance.min() > EXACT.min_range
    assert distance.min() < EXACT.min_range + 0.02


ALL_BACK = Returns(half_range=1e6, noise=0.0)


def driven(*x: float) -> Tensor:
    poses = torch.eye(4).repeat(len(x), 1, 1)
    poses[:, 0, 3] = torch.tensor(x)
    return poses


def test_sweeps_are_taken_as_the_car_drives() -> None:
    path = driven(0.0, 0.9, 2.1, 2.1, 3.9, 4.3, 4.4, 4.5)
    assert torch.equal(sweep_poses(path, 2.0), path[[0, 2, 5, 7]])
    assert torch.equal(sweep_poses(path[:6], 2.0), path[[0, 2, 5]])
    assert torch.equal(sweep_poses(path[:1], 2.0), path[:1])
    pose = compose(rotz(torch.tensor(math.pi / 2)), torch.tensor([10.0, 20.0, 3.0]))
    expected = torch.tensor([[10.0, 20.94, 4.84]], dtype=torch.float64)
    torch.testing.assert_close(lidar_eyes(pose[None], RIG), expected, atol=1e-5, rtol=0)


def test_gathered_points_lie_on_what_was_hit_along_the_rings() -> None:
    """From a car that is turned and tilted."""
    pose = compose(rotz(torch.tensor(0.8)) @ turned(pitch=0.05, roll=0.03), torch.tensor([3.0, -4.0, 0.0]))
    points, labels = laser_points(caster(FLOOR, wall(GREY, 20.0)), pose[None], SPARSE, 2, ALL_BACK)
    on_wall = labels == OCC3D_CLASSES.index("manmade")
    assert (labels[~on_wall] == OCC3D_CLASSES.index("driveable_surface")).all()
    assert on_wall.sum() > 500
    assert (points[on_wall, 0] - 20).abs().max() < 1e-3
    assert points[~on_wall, 2].abs().max() < 1e-3
    own = apply(invert(pose.double() @ RIG.ego_from_lidar.double()), points)
    distance = own.norm(dim=-1)
    assert distance.max() < ALL_BACK.max_range
    away = (torch.asin(own[:, 2] / distance)[:, None] - RIG.elevations).abs().amin(1)
    assert away.max() < 1e-4
    # Two turns from one place start at different angles.
    twice, _ = laser_points(caster(FLOOR), driven(0.0, 0.0), SPARSE, 2, ALL_BACK)
    first, second = twice.chunk(2)
    assert first.shape != second.shape or not torch.allclose(first, second, atol=1e-3)


def test_gathered_ranges_are_noisy_and_far_beams_are_lost() -> None:
    """Nearly level beams end on a wall all around the LiDAR, at nearly one range."""
    level = replace(RIG, elevations=torch.linspace(-0.1, 0.1, 32))

    def ranges(radius: float, model: Returns) -> Tensor:
        around = Thing("around", "building", (cylinder(radius, 60, (0, 0, -30), GREY, 256),))
        points, _ = laser_points(caster(around), driven(-0.94), level, 4, model)
        return (points - torch.tensor([0, 0, 1.84])).norm(dim=-1)

    exact, noisy = ranges(20.0, ALL_BACK), ranges(20.0, replace(ALL_BACK, noise=0.1))
    assert len(exact) == len(noisy) == 32 * RIG.num_azimuths
    assert float((noisy - exact).mean()) == pytest.approx(0, abs=0.003)
    assert float((noisy - exact).std()) == pytest.approx(0.1, abs=0.003)
    for radius, share in ((20.0, 1 / 2), (30.0, 1 / (1 + 1.5**4)), (10.0, 16 / 17)):
        assert len(ranges(radius, Returns(half_range=20.0))) / len(exact) == pytest.approx(share, abs=0.015)
    assert len(ranges(20.3, replace(ALL_BACK, max_range=20.0))) == 0


def test_beams_end_within_crowns() -> None:
    """In leaves 0.5 m thick, behind which a wall stands: at most to their far side, by an exponential law."""
    leaves = Thing("tree", "tree", (slab((20, -60, 0), (20.5, 60, 30), GREY),))
    level = replace(RIG, elevations=torch.linspace(0.0, 0.02, 32))
    model = replace(ALL_BACK, foliage=0.4)
    points, labels = laser_points(caster(leaves, wall(GREY, 21.0)), driven(0.0), level, 5, model)
    assert (labels == OCC3D_CLASSES.index("vegetation")).all()
    assert points[:, 0].min() >= 20 - 1e-3
    assert points[:, 0].max() <= 20.5 + 1e-3
    ahead = points[:, 1].abs() < 3
    # The mean of an exponential law cut off at 0.48 m: what comes nearer than 2 cm to a surface is taken off before.
    mean = 0.4 * (1 - math.exp(-0.48 / 0.4))
    assert float(points[ahead, 0].mean()) - 20 == pytest.approx(mean, abs=0.015)
    # A wall right behind a single leaf is no crown.
    leaf = Thing("tree", "tree", (slab((20, -60, 0), (20.01, 60, 30), GREY),))
    points, _ = laser_points(caster(leaf, wall(GREY, 21.0)), driven(0.0), level, 5, model)
    assert points[:, 0].max() < 20.011


def test_rings_fill_like_the_genuine_ones(test_data: Path) -> None:
    """How many beams of each low ring pass the carrying car, beside a genuine sweep."""
    file = next((test_data / "nuscenes_frame").glob("*.pcd.bin"))
    genuine = load_lidar(file)
    genuine = genuine[genuine[:, :3].norm(dim=-1) > 2.5]
    counted = np.bincount(genuine[:, 4].long().numpy(), minlength=32)
    ours = lidar_sweep(caster(FLOOR), torch.eye(4), RIG, 1)
    returns = np.bincount(ours.points[:, 4].long().numpy(), minlength=32)
    assert np.abs(returns[:16] - counted[:16]).mean() < 80
    assert np.corrcoef(returns[:12], counted[:12])[0, 1] > 0.97
