"""Whether the model finds likelier what is true of traffic."""

from collections.abc import Sequence

from worldloom.apps.bench.result import Row
from worldloom.occupancy.physics_quiz import arrow_of_time, what_comes_next, windows_of
from worldloom.occupancy.scene_state import HISTORY
from worldloom.occupancy.world_model import WorldModel
from worldloom.synth.dataset.clips import DrivingClip


def quiz_rows(clips: Sequence[DrivingClip], model: WorldModel, quick: bool) -> list[Row]:
    """Shares of right answers, beside chance."""
    frames = HISTORY + model.chunk
    windows = [window for clip in clips for window in windows_of(clip, frames, 12 if quick else 4)]
    rows = []
    for metric, goal, score in (
        ("arrow_of_time", ">= 75", arrow_of_time(model.traffic, windows)),
        ("what_comes_next", "", what_comes_next(model.traffic, windows)),
    ):
        if score.asked:
            note = f"{score.asked} windows of {frames} frames, exact boxes; answered by denoising loss"
            rows.append(Row(metric, 100 * score.share, "%", goal, {"chance": 100 * score.chance}, note))
    return rows
