"""What towns' truth scores, as one small file: what a single scenario is held against when there is no truth of it.

`python -m worldloom.occupancy.metrics.truth_reference CLIPS OUT.json` makes it again from a folder of
`worldloom synth clips`, towns of the training split alone.
"""

import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.json_file import load_json
from worldloom.geometry.occupancy import Occupancy
from worldloom.occupancy.metrics.objects import find_objects
from worldloom.occupancy.metrics.physics import PhysicsScore, Tolerances, physics_score, score_physics
from worldloom.occupancy.metrics.realism import Surprise, movement, surprise_of
from worldloom.ops.dataclass_json import dataclass_from_json

WINDOW = 7  # frames: the present and three seconds
PATH = Path(__file__).with_name("truth_reference.json")


@dataclass(frozen=True)
class TruthReference:
    """Measured on windows of WINDOW frames of logged drives."""

    made_from: str
    num_windows: int
    surprise: Surprise
    realism_of_truth: float  # mean
    tolerances: Tolerances
    truth: PhysicsScore  # pooled, with these tolerances
    shuffled: PhysicsScore  # the same frames in another order

    @property
    def physics_of_truth(self) -> float:
        """P = 1 - V / V_shuffled of truth itself."""
        return physics_score(self.truth, self.shuffled)


@functools.cache
def truth_reference() -> TruthReference:
    """The reference that ships with the package."""
    return dataclass_from_json(load_json(PATH, dict), TruthReference, PATH.name)


def measure_reference(drives: Iterable[Occupancy], made_from: str, windows_each: int = 3) -> TruthReference:
    """Windows of drives, evenly spread; every fourth serves for the tolerances and the shuffled physics."""
    clips, values = [], []
    for drive in drives:
        last = len(drive) - WINDOW
        for i in range(windows_each):
            first = round(last * i / max(1, windows_each - 1))
            window = drive[first : first + WINDOW]
            values.append(movement(find_objects(window), window.dt))
            if len(values) % 4 == 1:
                clips.append(compact(window))
    surprise = surprise_of(values)
    tolerances = Tolerances.from_truth(clips)
    realisms = [surprise.realism(one)[0] for one in values]
    known = [value for value in realisms if value == value]
    truth = _pooled(score_physics(clip, tolerances) for clip in clips)
    shuffled = _pooled(score_physics(shuffle(clip, seed), tolerances) for seed, clip in enumerate(clips))
    return TruthReference(
        made_from, len(values), surprise, sum(known) / len(known), tolerances, truth, shuffled
    )  # fmt: skip


def shuffle(clip: Occupancy, seed: int) -> Occupancy:
    """The labels in another order under the same poses."""
    order = torch.randperm(len(clip), generator=torch.Generator().manual_seed(seed))
    return replace(clip, labels=clip.labels[order], observed=clip.observed[order])


def compact(clip: Occupancy) -> Occupancy:
    """The same, holding nothing of a longer clip that it was cut from."""
    return replace(clip, labels=clip.labels.clone(), observed=clip.observed.clone())


def _pooled(scores: Iterable[PhysicsScore]) -> PhysicsScore:
    first, *others = scores
    return sum(others, first)


def _main(arguments: Sequence[str]) -> None:
    from worldloom.synth.dataset.clips import load_driving_clip

    folder, out = map(Path, arguments)
    files = [path for path in sorted(folder.rglob("town-*/scene-*.npz")) if path.stem.count("-") == 1]
    towns = sorted({path.parent.name for path in files})
    drives = (load_driving_clip(path).occupancy for path in files)
    reference = measure_reference(drives, f"{len(files)} logged drives of {towns[0]} to {towns[-1]}")
    with atomic_path(out) as temporary:
        temporary.write_text(json.dumps(asdict(reference), indent=1) + "\n")


if __name__ == "__main__":
    import sys

    _main(sys.argv[1:])
