"""A street that is known everywhere, as seen from a car that drives along it."""

from pathlib import Path

import pytest
import torch

from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_GRID, Occupancy, apply, path_from_steps
from worldloom.geometry.io import save_clip


def street(num_frames: int, speed: float = 6.0, dyaw: float = 0.02) -> Occupancy:
    """Road, sidewalks, houses with gaps, a parked truck, a car that overtakes; nothing is seen beyond 35 m."""
    start = torch.eye(4, dtype=torch.float64)
    start[:2, 3] = torch.tensor([300.0, -120.0])
    path = path_from_steps(start, torch.tensor([[0.5 * speed, 0.0, dyaw]] * (num_frames - 1), dtype=torch.float64), 0.5)
    centres = OCC3D_GRID.centres().double().flatten(0, 2)
    labels, near = [], centres[:, :2].norm(dim=1) < 35
    for i, world_from_ego in enumerate(path.world_from_ego):
        x, y, z = (apply(world_from_ego, centres) - start[:3, 3]).unbind(1)
        frame = torch.full((len(centres),), FREE, dtype=torch.uint8)
        frame[(z < -0.6) & (y.abs() < 7)] = 11
        frame[(z < -0.4) & (y.abs() >= 7) & (y.abs() < 10)] = 13
        frame[(z < 3) & (y.abs() >= 10) & (y.abs() < 12) & (x.remainder(20) < 14)] = 15
        for label, ahead, left in ((10, 15.0, -4.5), (4, 8.0 + 5.0 * i, 3.0)):
            frame[((x - ahead).abs() < 2.3) & ((y - left).abs() < 1.0) & (z >= -0.6) & (z < 1.0)] = label
        labels.append(torch.where(near, frame, FREE).reshape(OCC3D_GRID.shape))
    observed = near.reshape(OCC3D_GRID.shape).expand(num_frames, -1, -1, -1).clone()
    return Occupancy(torch.stack(labels), observed, path.world_from_ego, OCC3D_GRID, OCC3D_CLASSES, 0.5)


@pytest.fixture(scope="session")
def street_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames at 2 Hz, as a clip file."""
    path = tmp_path_factory.mktemp("street") / "street.npz"
    save_clip(path, street(6))
    return path
