"""The virtual rig looks where it says, and where the genuine one looked."""

import json
import math
from pathlib import Path

import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import apply, invert
from worldloom.synth.sensors.rig import nuscenes_like_rig

RIG = nuscenes_like_rig()


@pytest.mark.parametrize(
    ("channel", "yaw_deg"),
    [
        ("CAM_FRONT", 0),
        ("CAM_FRONT_LEFT", 55),
        ("CAM_FRONT_RIGHT", -55),
        ("CAM_BACK_LEFT", 110),
        ("CAM_BACK_RIGHT", -110),
        ("CAM_BACK", 180),
    ],
)
def test_cameras_look_where_they_say(channel: str, yaw_deg: int) -> None:
    ego_from_cam, K, (height, width) = RIG.cameras[channel]
    yaw = math.radians(yaw_deg)
    ahead = torch.tensor([math.cos(yaw), math.sin(yaw), 0])
    torch.testing.assert_close(ego_from_cam[:3, 2], ahead, atol=1e-6, rtol=0)  # z forward
    torch.testing.assert_close(ego_from_cam[:3, 1], torch.tensor([0.0, 0, -1]), atol=1e-6, rtol=0)  # y down
    assert torch.linalg.det(ego_from_cam[:3, :3]) == pytest.approx(1)
    half = math.radians(110 if channel == "CAM_BACK" else 70) / 2
    assert width / 2 / float(K[0, 0]) == pytest.approx(math.tan(half), rel=1e-5)
    assert (height, width) == (900, 1600)
    # Cameras of the left side are on the left.
    assert float(ego_from_cam[1, 3]) * yaw_deg >= 0 or channel == "CAM_BACK"


def test_scaling_keeps_what_is_seen() -> None:
    """A point falls on the same share of the picture at any width."""
    point = torch.tensor([0.3, -0.2, 2.0])
    small, odd = RIG.scaled(400), RIG.scaled(50)
    for channel, (ego_from_cam, K, (height, width)) in RIG.cameras.items():
        assert odd.cameras[channel].size == (28, 50)  # 28.125 rows, rounded: the middle stays in the middle
        assert odd.cameras[channel].K[:2, 2].tolist() == pytest.approx([25, 14])
        same, K_small, size = small.cameras[channel]
        assert size == (225, 400)
        assert torch.equal(same, ego_from_cam)
        u, v, w = (K @ point).tolist()
        u_small, v_small, w_small = (K_small @ point).tolist()
        assert u_small / w_small / size[1] == pytest.approx(u / w / width)
        assert v_small / w_small / size[0] == pytest.approx(v / w / height)
    with pytest.raises(InputError, match="got 3"):
        RIG.scaled(3)


def test_cameras_move_with_the_car() -> None:
    world_from_ego = torch.eye(4)
    world_from_ego[:3, :3] = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # facing +y
    world_from_ego[:3, 3] = torch.tensor([10.0, 20, 0])
    camera = RIG.camera("CAM_FRONT", world_from_ego)
    torch.testing.assert_close(camera.world_from_cam[:3, 2], torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(camera.world_from_cam[:3, 3], torch.tensor([10, 21.7, 1.5]), atol=1e-5, rtol=0)


def test_beams_turn_clockwise_from_the_left_and_rise_ring_by_ring() -> None:
    beams = RIG.beams().reshape(RIG.num_azimuths, 32, 3)
    torch.testing.assert_close(beams.norm(dim=-1), torch.ones(RIG.num_azimuths, 32, dtype=torch.float64))
    elevation = torch.rad2deg(torch.asin(beams[0, :, 2]))
    assert elevation[0].item() == pytest.approx(-30.67, abs=1e-4)
    assert elevation[-1].item() == pytest.approx(10.67, abs=1e-4)
    assert (elevation.diff() > 1.3).all()
    quarter = RIG.num_azimuths // 4
    for firing, towards in ((0, [-1.0, 0]), (quarter, [0.0, 1]), (2 * quarter, [1.0, 0]), (3 * quarter, [0.0, -1])):
        direction = beams[firing, 20, :2] / beams[firing, 20, :2].norm()
        torch.testing.assert_close(direction, torch.tensor(towards, dtype=torch.float64), atol=1e-6, rtol=0)
    # In the ego frame the LiDAR's y is ahead and its x to the right.
    ahead_and_right = apply(RIG.ego_from_lidar, torch.tensor([[0.0, 1, 0], [1.0, 0, 0]])) - RIG.ego_from_lidar[:3, 3]
    torch.testing.assert_close(ahead_and_right, torch.tensor([[1.0, 0, 0], [0, -1, 0]]), atol=1e-6, rtol=0)


def test_near_the_genuine_rig(test_data: Path) -> None:
    frame = json.loads((test_data / "nuscenes_frame" / "frame.json").read_text())
    pairs = [(RIG.ego_from_lidar, frame["lidar"]["lidar2ego"], 0.1)]
    for channel, genuine in frame["cameras"].items():
        camera = RIG.cameras[channel]
        pairs.append((camera.ego_from_cam, genuine["cam2ego"], 0.5))
        fov = 2 * math.degrees(math.atan(800 / genuine["intrinsics"][0][0]))
        ours = 2 * math.degrees(math.atan(800 / float(camera.K[0, 0])))
        assert abs(fov - ours) < 22 if channel == "CAM_BACK" else abs(fov - ours) < 7
    for ours, genuine, reach in pairs:
        difference = invert(torch.tensor(genuine)) @ ours
        angle = math.degrees(math.acos(min(1.0, (float(difference[:3, :3].trace()) - 1) / 2)))
        assert angle < 5
        assert float((ours[:3, 3] - torch.tensor(genuine)[:3, 3]).norm()) < reach
