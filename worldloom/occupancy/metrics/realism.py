"""How usual the movement of road users is, held against what truth does: neither wilder nor stiller.

Each feature of a clip (how fast, how hard on the pedals, how sharp in turns, how near to others, how steady in size)
has a mean surprise, -log p under the histogram of truth. Truth's own clips scatter around a middle; a clip is as
realistic as it is near to that middle:

    z = (surprise - median of truth) / spread of truth,    realism = mean over features of 1 / (1 + z²)

A world that is frozen is not surprising enough, a trembling one too much. 1 is the middle of truth, and truth itself
scores `TruthReference.realism_of_truth` on the average. A clip without road users has no realism.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from worldloom.occupancy.metrics.groups import VRU
from worldloom.occupancy.metrics.objects import Seen, Track, follow_objects

FEATURES = ("speed", "acceleration", "turn", "gap", "growth")
GROUPS = ("vehicle", "vulnerable")
BINS = 24
# Where the outer bins begin; speed, acceleration and gap are spaced as the root, so that slow and near are told apart.
_TOP = {"speed": 25.0, "acceleration": 12.0, "turn": math.pi, "gap": 30.0, "growth": 1.5}
_ROOT = ("speed", "acceleration", "gap")
_MOVES = 1.0  # m/s; who is slower has no direction of travel


@dataclass(frozen=True)
class Surprise:
    """What truth does: histograms of each feature and group, and how surprising its own clips are."""

    histogram: Mapping[str, tuple[float, ...]]  # "speed/vehicle" …: BINS probabilities
    median: Mapping[str, float]  # of a clip's mean surprise, by feature
    spread: Mapping[str, float]  # 1.4826 times the median distance from it: as a standard deviation

    def of(self, values: Mapping[str, Sequence[float]]) -> dict[str, float]:
        """Mean surprise of each feature that a clip has values of."""
        found = {}
        for feature in FEATURES:
            logs = [
                -math.log(self.histogram[f"{feature}/{group}"][i])
                for group in GROUPS
                for i in bins(feature, values.get(f"{feature}/{group}", ()))
            ]
            if logs:
                found[feature] = sum(logs) / len(logs)
        return found

    def realism(self, values: Mapping[str, Sequence[float]]) -> tuple[float, dict[str, float]]:
        """The mean over features, and each; NaN of a clip without road users."""
        parts = {
            feature: 1 / (1 + ((surprise - self.median[feature]) / self.spread[feature]) ** 2)
            for feature, surprise in self.of(values).items()
        }
        return (sum(parts.values()) / len(parts) if parts else math.nan), parts


def movement(objects: Sequence[Sequence[Seen]], dt: float) -> dict[str, list[float]]:
    """The values of each feature in a clip, by feature and group such as "speed/vehicle".

    Args:
        objects: what `find_objects` says of each frame.
        dt: seconds between frames.
    """
    values: dict[str, list[float]] = {f"{f}/{g}": [] for f in FEATURES for g in GROUPS}
    for track in follow_objects(objects, dt):
        group = GROUPS[track.seen[0].label in VRU]
        _add_motion(values, group, track, dt)
        for a, b in itertools.pairwise(track.seen):
            if b.frame == a.frame + 1 and a.label == b.label and min(a.rim, b.rim) > 4:
                values[f"growth/{group}"].append(abs(math.log(b.volume / a.volume)))
    for found in objects:
        for thing in found:
            others = [math.dist(thing.centre[:2], other.centre[:2]) for other in found if other is not thing]
            if others:
                values[f"gap/{GROUPS[thing.label in VRU]}"].append(min(others))
    return values


def bins(feature: str, values: Sequence[float]) -> list[int]:
    """In which bin each value falls; the last one holds all that is beyond."""
    shares = np.clip(np.asarray(values, dtype=float) / _TOP[feature], 0, 1)
    if feature in _ROOT:
        shares = np.sqrt(shares)
    return np.minimum((shares * BINS).astype(int), BINS - 1).tolist()


def surprise_of(clips: Sequence[Mapping[str, Sequence[float]]]) -> Surprise:
    """Histograms (one count more in each bin, spread over all) and scatter of clips of truth."""
    histogram = {}
    for feature, group in itertools.product(FEATURES, GROUPS):
        counts = np.full(BINS, 1 / BINS)
        for clip in clips:
            np.add.at(counts, bins(feature, clip.get(f"{feature}/{group}", ())), 1.0)
        histogram[f"{feature}/{group}"] = tuple((counts / counts.sum()).tolist())
    draft = Surprise(histogram, {}, {})
    scatter = {feature: [s[feature] for s in map(draft.of, clips) if feature in s] for feature in FEATURES}
    median = {feature: float(np.median(all_)) for feature, all_ in scatter.items()}
    spread = {
        feature: max(1.4826 * float(np.median(np.abs(np.asarray(all_) - median[feature]))), 1e-3)
        for feature, all_ in scatter.items()
    }
    return Surprise(histogram, median, spread)


def _add_motion(values: dict[str, list[float]], group: str, track: Track, dt: float) -> None:
    """Speeds of steps, and how they change; sightings with a gap between them are left out."""
    steps = []
    for a, b in itertools.pairwise(track.seen):
        way = (b.centre[0] - a.centre[0], b.centre[1] - a.centre[1])
        steps.append((b.frame, way[0] / dt, way[1] / dt) if b.frame == a.frame + 1 else None)
    for step in steps:
        if step is not None:
            values[f"speed/{group}"].append(math.hypot(step[1], step[2]))
    for first, second in itertools.pairwise(steps):
        if first is None or second is None:
            continue
        values[f"acceleration/{group}"].append(math.dist(first[1:], second[1:]) / dt)
        if math.hypot(*first[1:]) > _MOVES and math.hypot(*second[1:]) > _MOVES:
            turn = math.atan2(second[2], second[1]) - math.atan2(first[2], first[1])
            values[f"turn/{group}"].append(abs(math.remainder(turn, math.tau)))
