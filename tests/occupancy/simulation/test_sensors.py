"""Observations of a drive: what is at which place of which array."""

import math

import numpy as np
import pytest
import torch

from tests.occupancy.moving_world import CAR, ROAD, WALL
from tests.occupancy.tiny_world import street_start, tiny_simulation
from worldloom.errors import InputError
from worldloom.geometry.occ3d_palette import OCC3D_COLOURS
from worldloom.occupancy.simulation.sensors import (
    ROUTE_POINTS,
    ROUTE_SPACING,
    SENSORS,
    Birdseye,
    Cameras,
    Lidar,
    Look,
    Numbers,
    Voxels,
    needed_reach,
    sensors_of,
)


@pytest.fixture(scope="module")
def look() -> Look:
    sim = tiny_simulation()
    return Look(sim, sim.start(street_start()))


@pytest.mark.parametrize("name", SENSORS)
def test_arrays_are_as_specified_and_new(name: str, look: Look) -> None:
    sensor = SENSORS[name]
    array, again = sensor(look), sensor(look)
    assert array.shape == sensor.spec.shape
    assert array.dtype == np.dtype(sensor.spec.dtype)
    assert sensor.spec.low <= array.min()
    assert array.max() <= sensor.spec.high
    assert np.array_equal(array, again)
    assert not np.shares_memory(array, again)


def test_numbers_say_where_the_route_and_the_others_are(look: Look) -> None:
    numbers = Numbers()(look)
    assert numbers[0] == pytest.approx(6 / 30)
    route = numbers[3 : 3 + 2 * ROUTE_POINTS].reshape(-1, 2) * 50
    assert route[:, 0] == pytest.approx(ROUTE_SPACING * np.arange(1, ROUTE_POINTS + 1), abs=0.05)
    assert route[:, 1] == pytest.approx(np.zeros(ROUTE_POINTS), abs=0.01)
    users = numbers[3 + 2 * ROUTE_POINTS :].reshape(-1, 9)
    assert users[0] == pytest.approx([1, 14 / 50, 0, 1, 0, 6 / 30, 0, 4 / 20, 1.6 / 20], abs=0.025)
    assert not users[1:].any()


def test_voxels_and_the_map_show_the_street(look: Look) -> None:
    voxels = Voxels()(look)
    assert voxels[135, 100, 2] == CAR  # 14 m ahead
    assert voxels[100, 100, 0] == ROAD
    assert (voxels[100:120, 125] == WALL).any()  # 10 m to the left
    picture = Birdseye(200)(look).astype(int)
    blue = (OCC3D_COLOURS[CAR].numpy() * 255).astype(int)
    # Ahead is up: the car is 35 voxels above the middle, under the line of the route.
    patch = picture[60:70, 97:104].reshape(-1, 3)
    assert (np.abs(patch - blue).sum(1) < 90).any()
    assert np.ptp(picture[0:20, 97:104], axis=2).min() < 10  # the route is grey, and the road is not
    assert np.ptp(picture[0:20, 110:115], axis=2).min() > 100


def test_the_front_camera_sees_the_car_and_the_back_one_does_not(look: Look) -> None:
    front, back = Cameras(("CAM_FRONT", "CAM_BACK"), 96)(look).astype(int)
    blue = (front[..., 2] > 150) & (front[..., 0] < 60) & (front[..., 1] > 60)
    assert blue.sum() > 20
    rows, columns = np.nonzero(blue)
    assert abs(columns.mean() - 48) < 3  # straight ahead
    assert rows.mean() > 0.4 * 54  # below the horizon
    assert not ((back[..., 2] > 150) & (back[..., 0] < 60) & (back[..., 1] > 60)).any()


def test_the_lidar_measures_the_car_the_walls_and_the_road(look: Look) -> None:
    ranges = Lidar(31, 360)(look)
    rig_low, rig_high = math.radians(-30.67), math.radians(10.67)
    elevation = np.linspace(rig_low, rig_high, 31)
    height = 1.84  # of the laser over the ground
    down = ranges[3, 0]  # straight ahead, steeply down: the road
    assert down == pytest.approx(height / -math.sin(elevation[3]), rel=0.1)
    level = int(np.abs(elevation + 0.03).argmin())
    assert ranges[level, 0] == pytest.approx(12 - 0.94, abs=0.6)  # the tail of the car
    assert ranges[level, 90] == pytest.approx(10, abs=0.5)  # left
    assert ranges[level, 270] == pytest.approx(10, abs=0.5)  # right
    assert ranges[-1, 0] == 40.0  # up: nothing


def test_voxels_are_drawn_once_and_only_if_somebody_looks(monkeypatch) -> None:
    sim = tiny_simulation()
    drawn = []
    original = sim.world.occupancy
    monkeypatch.setattr(sim.world, "occupancy", lambda state: drawn.append(1) or original(state))
    look = Look(sim, sim.start(street_start()))
    Numbers()(look)
    assert drawn == []
    for sensor in (Voxels(), Birdseye(), Lidar(4, 8)):
        sensor(look)
    assert drawn == [1]


def test_names_and_reach() -> None:
    assert list(sensors_of(["numbers", "lidar"])) == ["numbers", "lidar"]
    assert sensors_of({"mine": Birdseye(64)})["mine"].spec.shape == (64, 64, 3)
    assert list(sensors_of(Lidar(4, 8))) == ["lidar"]
    assert needed_reach(sensors_of("numbers")) < needed_reach(sensors_of("birdseye"))
    for bad, words in (("radar", "radar"), (["numbers", "radar"], "radar"), ([], "none")):
        with pytest.raises(InputError, match=words):
            sensors_of(bad)
    with pytest.raises(InputError, match="CAM_TOP"):
        Cameras(("CAM_TOP",))
    with pytest.raises(InputError, match="rings"):
        Lidar(rings=0)
    assert torch.equal(torch.tensor(SENSORS["cameras"].spec.shape), torch.tensor([1, 72, 128, 3]))
