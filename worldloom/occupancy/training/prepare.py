"""Clips of synthetic towns as training files: static scenes and moments of traffic, made once."""

from pathlib import Path

from worldloom.occupancy.training.static_examples import save_static_scene, static_scene
from worldloom.occupancy.training.traffic_examples import Boxes, moments_of, traffic_examples
from worldloom.synth.dataset.clips import load_driving_clip


def prepare_clip(path: Path, out: Path, stride: int = 2) -> None:
    """Write OUT.static.npz (of logged drives only: alternatives see the same world), then OUT.traffic.npz."""
    static, traffic = out.with_suffix(".static.npz"), out.with_suffix(".traffic.npz")
    if traffic.exists():
        return
    clip = load_driving_clip(path)
    out.parent.mkdir(parents=True, exist_ok=True)
    if not clip.manoeuvre:
        save_static_scene(static, static_scene(clip.occupancy))
    t = clip.tracks
    boxes = Boxes(t.labels, t.extents, t.present, t.centres, t.yaws)
    moments = moments_of(len(clip.occupancy), stride, clip.branch_frame)
    traffic_examples(clip.occupancy, boxes, clip.risk.collision, clip.risk.off_road, moments).save(traffic)
