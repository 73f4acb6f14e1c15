"""A small analytic town whose voxels are exact at any ego pose, and the perturbations that metrics must order."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from worldloom.geometry import FREE, OCC3D_CLASSES, EgoPath, Occupancy, VoxelGrid, path_from_steps, rotz
from worldloom.geometry.io import load_clip
from worldloom.synth import sample_clip_path

GRID = VoxelGrid((-20.0, -20.0, -1.0), 0.4, (100, 100, 8))
DT = 0.5


@dataclass
class Box:
    """A box of one class: its middle on the ground at each frame (x, y, yaw), and its size."""

    label: int
    poses: list[tuple[float, float, float]]  # one for all frames, or one each
    size: tuple[float, float, float]
    bottom: float = 0.0

    def at(self, frame: int) -> tuple[float, float, float]:
        return self.poses[min(frame, len(self.poses) - 1)]


@dataclass
class SmallTown:
    """Road along x, a side street, sidewalks, terrain, and boxes."""

    boxes: list[Box]
    grid: VoxelGrid = GRID
    ground: bool = True
    hidden: dict[int, set[int]] = field(default_factory=dict)  # boxes that are left out of a frame

    def frame(self, world_from_ego: Tensor, frame: int = 0) -> Tensor:
        pose = world_from_ego.double()
        centres = self.grid.centres().double()
        flat = centres[:, :, 0, :2]
        world = flat @ pose[:2, :2].T + pose[:2, 3]
        labels = torch.full(self.grid.shape, FREE, dtype=torch.uint8)
        if self.ground:
            x, y = world.unbind(-1)
            street = (y.abs() < 5) | ((x - 12).abs() < 4)
            walk = (y.abs() < 7.5) | ((x - 12).abs() < 6.5)
            labels[:, :, 0] = torch.where(street, 11, torch.where(walk, 13, 14)).to(torch.uint8)
        z = centres[0, 0, :, 2]
        for i, box in enumerate(self.boxes):
            if i in self.hidden.get(frame, set()):
                continue
            x, y, heading = box.at(frame)
            cos, sin = math.cos(heading), math.sin(heading)
            offset = world - torch.tensor([x, y], dtype=torch.float64)
            along, across = offset @ torch.tensor([cos, sin]).double(), offset @ torch.tensor([-sin, cos]).double()
            inside = (along.abs() < box.size[0] / 2) & (across.abs() < box.size[1] / 2)
            # The ground is the lowest layer; what stands begins above it.
            tall = (z > -0.6 + box.bottom) & (z < -0.6 + box.bottom + box.size[2])
            labels[inside[:, :, None] & tall] = box.label
        return labels

    def clip(self, path: EgoPath) -> Occupancy:
        labels = torch.stack([self.frame(pose, i) for i, pose in enumerate(path.world_from_ego)])
        seen = torch.ones_like(labels, dtype=torch.bool)
        return Occupancy(labels, seen, path.world_from_ego.float(), self.grid, OCC3D_CLASSES, path.dt)


def standing_things(seed: int) -> list[Box]:
    """Houses off the street, trees and poles on the sidewalks."""
    draw = torch.Generator().manual_seed(seed)

    def between(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=draw))

    boxes = []
    for side in (-1, 1):
        for block in range(-4, 7):
            x = 9.0 * block + between(-1, 1)
            if abs(x - 12) > 9:
                boxes.append(Box(15, [(x, side * between(11, 14), between(-0.4, 0.4))], (between(4, 7), 5.0, 4.0)))
            boxes.append(Box(16, [(x + between(2, 4), side * between(6, 9), 0.3)], (1.2, 1.2, between(2, 4))))
            boxes.append(Box(15, [(x + between(-4, -2), side * 6.2, 0.0)], (0.5, 0.5, 4.0)))
    return boxes


def moving(label: int, start: tuple[float, float], yaw: float, speed: float, size: tuple[float, float, float], n: int):
    """A box that drives straight at constant speed."""
    c, s = math.cos(yaw), math.sin(yaw)
    x, y = start
    return Box(label, [(x + c * speed * DT * i, y + s * speed * DT * i, yaw) for i in range(n)], size)


def road_users(n: int) -> list[Box]:
    """Two cars, a truck, a bicycle and a pedestrian that keep clear of one another."""
    return [
        moving(4, (-6.0, -2.4), 0.0, 5.0, (4.4, 1.8, 1.6), n),
        moving(4, (18.0, 2.4), math.pi, 6.0, (4.4, 1.8, 1.6), n),
        moving(10, (8.0, -2.4), 0.0, 5.0, (6.8, 2.6, 2.4), n),
        moving(2, (-3.0, 5.6), 0.0, 3.0, (2.0, 1.0, 1.6), n),
        moving(7, (2.0, -6.0), 0.0, 1.2, (1.0, 1.0, 1.8), n),
    ]


def arc(speed: float, yaw_rate: float, n: int) -> EgoPath:
    """n poses of a car that drives at constant speed and yaw rate."""
    turn = yaw_rate * DT
    chord = speed * DT * (math.sin(turn / 2) / (turn / 2) if turn else 1.0)
    step = torch.tensor([chord * math.cos(turn / 2), chord * math.sin(turn / 2), turn], dtype=torch.float64)
    return path_from_steps(torch.eye(4, dtype=torch.float64), step.expand(n - 1, 3), DT)


def flipped(occupancy: Occupancy, share: float, seed: int) -> Occupancy:
    """A share of all labels replaced by random ones."""
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randint(0, 18, occupancy.labels.shape, generator=draw, dtype=torch.uint8)
    flip = torch.rand(occupancy.labels.shape, generator=draw) < share
    return with_labels(occupancy, torch.where(flip, noise, occupancy.labels))


def shaken(path: EgoPath, metres: float, seed: int) -> EgoPath:
    """Poses moved at random in the plane, and turned by 3 degrees a metre, as by a model that leaves its path."""
    draw = torch.Generator().manual_seed(seed)
    poses = path.world_from_ego.double().clone()
    n = len(path) - 1
    poses[1:, :2, 3] += metres * torch.randn(n, 2, generator=draw, dtype=torch.float64)
    turn = math.radians(3) * metres * torch.randn(n, generator=draw, dtype=torch.float64)
    poses[1:, :3, :3] = poses[1:, :3, :3] @ rotz(turn)
    return EgoPath(poses, path.dt)


def with_labels(occupancy: Occupancy, labels: Tensor) -> Occupancy:
    return Occupancy(
        labels, occupancy.observed, occupancy.world_from_ego, occupancy.grid, occupancy.classes, occupancy.dt
    )


def shuffled(occupancy: Occupancy, seed: int) -> Occupancy:
    """The frames' labels in another order, under the poses of the old one; no frame keeps its place."""
    n = len(occupancy)
    draw = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(n, generator=draw)
        if not (order == torch.arange(n)).any():
            return with_labels(occupancy, occupancy.labels[order])


def hidden_by_box(occupancy: Occupancy, low: Sequence[int], high: Sequence[int]) -> Occupancy:
    """The same clip with a block of voxels that nobody looked at."""
    seen = occupancy.observed.clone()
    seen[:, low[0] : high[0], low[1] : high[1], low[2] : high[2]] = False
    return Occupancy(occupancy.labels, seen, occupancy.world_from_ego, occupancy.grid, occupancy.classes, occupancy.dt)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Many small calls: two threads that wait for each other on a busy machine take twenty times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small() -> SimpleNamespace:
    """What tests of metrics share."""
    return SimpleNamespace(
        Box=Box,
        SmallTown=SmallTown,
        standing_things=standing_things,
        road_users=road_users,
        moving=moving,
        arc=arc,
        flipped=flipped,
        shaken=shaken,
        shuffled=shuffled,
        with_labels=with_labels,
        hidden_by_box=hidden_by_box,
    )


@pytest.fixture(scope="session")
def town_clip() -> Occupancy:
    """Ten frames of the small town with its road users, seen from a car that bears left."""
    return SmallTown(standing_things(0) + road_users(10)).clip(arc(4.0, 0.08, 10))


@pytest.fixture(scope="session")
def sample_clip() -> Occupancy:
    """The bundled drive: twenty frames of a town as sensors know it."""
    return load_clip(sample_clip_path())
