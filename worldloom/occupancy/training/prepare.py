"""Clips of synthetic towns as training files: static scenes and moments of traffic, made once."""

from collections.abc import Callable
from pathlib import Path

from worldloom.occupancy.training.static_examples import save_static_scene, static_scene
from worldloom.occupancy.training.traffic_examples import Boxes, moments_of, traffic_examples
from worldloom.synth.dataset.clips import load_driving_clip


def prepare_clip(path: Path, out: Path, stride: int = 2) -> None:
    """Write OUT.static.npz (of logged drives only: alternatives see the same world) and OUT.traffic.npz."""
    clip = load_driving_clip(path)
    static, traffic = out.with_suffix(".static.npz"), out.with_suffix(".traffic.npz")
    out.parent.mkdir(parents=True, exist_ok=True)
    if not clip.manoeuvre and not static.exists():
        save_static_scene(static, static_scene(clip.occupancy))
    if not traffic.exists():
        t = clip.tracks
        boxes = Boxes(t.labels, t.extents, t.present, t.centres, t.yaws)
        moments = moments_of(len(clip.occupancy), stride, clip.branch_frame)
        traffic_examples(clip.occupancy, boxes, clip.risk.collision, clip.risk.off_road, moments).save(traffic)


def prepare(
    clips: Path, out: Path, tell: Callable[[str], None] = lambda line: None, part: tuple[int, int] = (0, 1)
) -> None:
    """Prepare every clip below a folder; what is there already is not made again.

    Args:
        part: (i, n) prepares only each n-th clip from the i-th on: for n processes side by side.
    """
    files = sorted(clips.rglob("scene-*.npz"))[part[0] :: part[1]]
    for number, path in enumerate(files):
        prepare_clip(path, out / path.relative_to(clips).with_suffix(""))
        tell(f"{number + 1} of {len(files)}")
