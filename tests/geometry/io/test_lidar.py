"""LiDAR files: round trips, layout in bytes, hostile input, and nuScenes' own names of classes."""

import struct
from pathlib import Path

import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES
from worldloom.geometry.io.lidar import (
    LIDARSEG_OF_OCC3D,
    lidarseg_from_occ3d,
    load_lidar,
    load_lidar_labels,
    save_lidar,
    save_lidar_labels,
)

# nuScenes-lidarseg's categories by index (its category.json), as far as Occ3D knows them.
LIDARSEG = dict(
    [
        *((2, "human.pedestrian.adult"), (9, "movable_object.barrier"), (12, "movable_object.trafficcone")),
        *((14, "vehicle.bicycle"), (16, "vehicle.bus.rigid"), (17, "vehicle.car"), (18, "vehicle.construction")),
        *((21, "vehicle.motorcycle"), (22, "vehicle.trailer"), (23, "vehicle.truck")),
        *((24, "flat.driveable_surface"), (25, "flat.other"), (26, "flat.sidewalk"), (27, "flat.terrain")),
        *((28, "static.manmade"), (29, "static.other"), (30, "static.vegetation")),
    ]
)


def test_round_trip_and_layout(tmp_path: Path) -> None:
    points = torch.tensor([[1.5, -2, 3, 255, 31], [0, 0, 0.25, 0, 0]])
    save_lidar(tmp_path / "a.pcd.bin", points)
    assert (tmp_path / "a.pcd.bin").read_bytes()[:20] == struct.pack("<5f", 1.5, -2, 3, 255, 31)
    assert torch.equal(load_lidar(tmp_path / "a.pcd.bin"), points)
    labels = torch.tensor([4, 11], dtype=torch.uint8)
    save_lidar_labels(tmp_path / "a.bin", labels)
    assert (tmp_path / "a.bin").read_bytes() == b"\x04\x0b"
    assert torch.equal(load_lidar_labels(tmp_path / "a.bin", 2), labels)
    save_lidar(tmp_path / "none.pcd.bin", points[:0])
    assert load_lidar(tmp_path / "none.pcd.bin").shape == (0, 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0" * 19, "got 19 bytes"),
        (struct.pack("<5f", 0, float("nan"), 0, 0, 0), "NaN"),
        (struct.pack("<5f", 0, float("inf"), 0, 0, 0), "infinity"),
        (struct.pack("<5f", 0, 0, 0, 256, 0), "got 256 in row 0"),
        (struct.pack("<5f", 0, 0, 0, -1, 0), r"\[0, 255\]"),
        (struct.pack("<5f", 0, 0, 0, 0, 1.5), "whole numbers, got 1.5"),
    ],
)
def test_hostile_sweeps_are_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.pcd.bin").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load_lidar(tmp_path / "bad.pcd.bin")
    assert "\n" not in str(error.value)


def test_missing_huge_and_unfit_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_lidar(tmp_path / "none.bin")
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(20 << 30)  # sparse: takes no room, and must not be read
    with pytest.raises(InputError, match="at most"):
        load_lidar(tmp_path / "huge.bin")
    with pytest.raises(InputError, match="each of 7 points, got 21474836480"):
        load_lidar_labels(tmp_path / "huge.bin", 7)
    with pytest.raises(InputError, match="NaN"):
        save_lidar(tmp_path / "nan.bin", torch.full((1, 5), torch.nan))
    with pytest.raises(InputError, match="does not exist"):
        save_lidar(tmp_path / "nowhere" / "a.bin", torch.zeros(1, 5))
    assert not (tmp_path / "nan.bin").exists()


def test_lidarseg_classes() -> None:
    named = [LIDARSEG[index].split(".")[-1] for index in LIDARSEG_OF_OCC3D]
    same = {"others": "other", "pedestrian": "adult", "bus": "rigid", "traffic_cone": "trafficcone"}
    same |= {"construction_vehicle": "construction", "other_flat": "other"}
    assert named == [same.get(name, name) for name in OCC3D_CLASSES[:-1]]
    ids = lidarseg_from_occ3d(torch.arange(17, dtype=torch.uint8))
    assert tuple(ids.tolist()) == LIDARSEG_OF_OCC3D
    with pytest.raises(InputError, match="got 17"):
        lidarseg_from_occ3d(torch.tensor([17], dtype=torch.uint8))


def test_the_genuine_sweep(test_data: Path) -> None:
    points = load_lidar(next((test_data / "nuscenes_frame").glob("*.pcd.bin")))
    assert points.shape == (34688, 5)
    assert points[:, 4].max() == 31
