"""Clips as training files: static scenes and moments of traffic, made once."""

from pathlib import Path

import torch

from worldloom.geometry.ego_path import Trajectory
from worldloom.geometry.rigid import yaw_from_rotmat
from worldloom.occupancy.data.clips import Clip
from worldloom.occupancy.training.static_examples import save_static_scene, static_scene
from worldloom.occupancy.training.traffic_examples import Boxes, moments_of, traffic_examples
from worldloom.synth.dataset.clips import load_driving_clip


def prepare_clip(clip: Clip, out: Path, stride: int = 2) -> None:
    """Write OUT.static.npz (of logged drives only: alternatives see the same world), then OUT.traffic.npz.

    Recordings have neither collisions nor egos off the road: a log is safe, and only synthetic drives teach danger.
    """
    static, traffic = out.with_suffix(".static.npz"), out.with_suffix(".traffic.npz")
    if traffic.exists():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    never = torch.zeros(len(clip), dtype=torch.bool)
    if clip.path is not None:
        driven = load_driving_clip(clip.path)
        occupancy, tracks = driven.occupancy, driven.tracks
        boxes = Boxes(tracks.labels, tracks.extents, tracks.present, tracks.centres, tracks.yaws)
        collision, off_road = driven.risk.collision, driven.risk.off_road
    else:
        occupancy, users, collision, off_road = clip.load(), clip.users(), never, never
        boxes = None if not users else _boxes(users)
    if not clip.manoeuvre:
        save_static_scene(static, static_scene(occupancy))
    moments = moments_of(len(clip), stride, clip.branch_frame)
    traffic_examples(occupancy, boxes, collision, off_road, moments).save(traffic)


def _boxes(users: tuple[Trajectory, ...]) -> Boxes:
    poses = torch.stack([user.world_from_actor for user in users])
    return Boxes(
        torch.tensor([user.label for user in users], dtype=torch.uint8),
        torch.tensor([user.extent for user in users]),
        torch.stack([user.present for user in users]),
        poses[..., :3, 3],
        yaw_from_rotmat(poses[..., :3, :3]),
    )
