"""A small analytic world for tests: road, walls on both sides, users that drive on."""

import torch

from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_GRID, EgoPath, Occupancy, compose, rotz
from worldloom.synth.dataset.clips import DrivingClip, Tracks
from worldloom.synth.traffic.risk import Risk

ROAD, WALL, CAR, PEDESTRIAN = 11, 15, 4, 7


def straight_street(
    frames: int = 5, ego_speed: float = 4.0, users: tuple[tuple[int, float, float, float], ...] = ((CAR, 12, 2, 6.0),)
) -> Occupancy:
    """An ego that drives along x, and users (label, x, y, speed along x) as boxes; all is observed.

    Cars are 4 x 1.6 x 1.6 m, others 0.8 x 0.8 x 1.6 m. Frames are half a second apart.
    """
    grid = OCC3D_GRID
    centres = grid.centres()
    labels, poses = [], []
    for i in range(frames):
        x = 0.5 * i * ego_speed
        world = centres + torch.tensor([x, 0.0, 0.0])
        frame = torch.full(grid.shape, FREE, dtype=torch.uint8)
        wall = (world[..., 1].abs() > 9.9) & (world[..., 1].abs() < 10.5) & (world[..., 2] < 3)
        frame[wall & ((world[..., 0] % 8) < 6)] = WALL
        frame[(world[..., 1].abs() < 8) & (world[..., 2] < -0.6)] = ROAD
        for label, start, y, speed in users:
            half = torch.tensor([2.0, 0.8] if label == CAR else [0.4, 0.4])
            away = (world[..., :2] - torch.tensor([start + 0.5 * i * speed, y])).abs()
            frame[(away < half).all(-1) & (world[..., 2] > -0.6) & (world[..., 2] < 1.0)] = label
        labels.append(frame)
        poses.append(compose(rotz(torch.tensor(0.0, dtype=torch.float64)), torch.tensor([x, 0.0, 0.0]).double()))
    stack = torch.stack(labels)
    return Occupancy(stack, torch.ones_like(stack, dtype=torch.bool), torch.stack(poses), grid, OCC3D_CLASSES, 0.5)


def driving_clip(clip: Occupancy, speed: float) -> DrivingClip:
    """A street of `straight_street` with one car at (12, 2) and its box."""
    t = len(clip)
    centres = torch.zeros(1, t, 3)
    centres[0, :, 0], centres[0, :, 1] = 12 + 0.5 * speed * torch.arange(t), 2.0
    tracks = Tracks(
        ("car",),
        torch.tensor([CAR], dtype=torch.uint8),
        torch.tensor([False]),
        torch.tensor([[4.0, 1.6, 1.6]]),
        torch.ones(1, t, dtype=torch.bool),
        centres,
        torch.zeros(1, t),
        torch.tensor([speed, 0, 0]).expand(1, t, 3).clone(),
    )
    never = torch.zeros(t, dtype=torch.bool)
    risk = Risk(torch.full((t,), 10.0), torch.full((t,), torch.inf), never, never)
    ego = EgoPath(clip.world_from_ego.float(), 0.5)
    return DrivingClip(clip, clip.observed, ego, torch.full((t,), 8.0), tracks, risk)
