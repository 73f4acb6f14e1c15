"""What nuScenes' attributes say of road users, by hand."""

import pytest
import torch

pytest.importorskip("shapely", reason="towns need the extra `synth`")

from worldloom.geometry import OCC3D_CLASSES, Trajectory
from worldloom.synth.dataset.annotate import Boxed, attribute
from worldloom.synth.road_users.catalogue import NUM_VARIANTS, RIDERLESS


def boxed(kind: str, variant: int, *speed: float) -> Boxed:
    """Over as many frames as there are speeds; with none it stands there for good."""
    frames = max(len(speed), 1)
    trajectory = Trajectory(
        torch.eye(4).expand(frames, 4, 4),
        torch.ones(frames, dtype=torch.bool),
        OCC3D_CLASSES.index(kind),
        (1.0, 1.0, 1.0),
        0.5,
    )
    return Boxed("it", kind, variant, trajectory, torch.tensor(speed) if speed else None, 0)


@pytest.mark.parametrize("kind", ["car", "bus", "truck", "trailer", "construction_vehicle"])
def test_vehicles_move_stop_and_park(kind: str) -> None:
    driven = boxed(kind, 0, 0.0, 0.1, 0.3, 9.0)
    assert [attribute(driven, frame) for frame in range(4)] == ["vehicle.stopped"] * 2 + ["vehicle.moving"] * 2
    assert attribute(boxed(kind, 0), 0) == "vehicle.parked"


def test_people_stand_and_walk() -> None:
    walker = boxed("pedestrian", 0, 1.3, 0.0)
    assert [attribute(walker, frame) for frame in range(2)] == ["pedestrian.moving", "pedestrian.standing"]
    assert attribute(boxed("pedestrian", 0), 0) == "pedestrian.standing"  # a worker who stays where they are


@pytest.mark.parametrize("kind", ["bicycle", "motorcycle"])
def test_cycles_have_riders_or_none(kind: str) -> None:
    riderless = RIDERLESS[kind][0]
    ridden = next(i for i in range(NUM_VARIANTS[kind]) if i not in RIDERLESS[kind])
    assert attribute(boxed(kind, riderless), 0) == "cycle.without_rider"
    assert attribute(boxed(kind, ridden, 0.0), 0) == "cycle.with_rider"  # also at a red light


@pytest.mark.parametrize("kind", ["traffic_cone", "barrier"])
def test_things_have_none(kind: str) -> None:
    assert attribute(boxed(kind, 0), 0) == ""
