"""The small and rare classes in a table of their own: a mean over all classes hides that they are gone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from scipy import ndimage
from torch import Tensor

from worldloom.geometry.occupancy import Occupancy
from worldloom.occupancy.metrics.groups import RARE, VRU
from worldloom.occupancy.metrics.semantic import FEW, Mask

SMALLEST = 2  # voxels of an object of the truth; a single one may be anything
_TOUCHING = np.ones((3, 3, 3), dtype=bool)  # 26 neighbours


@dataclass(frozen=True)
class RareScore:
    """Counts of each class, pooled over windows and frames by `+`."""

    counts: Int64[Tensor, "c 6"]  # voxels: hit, true, predicted; frames with truth; objects, objects found
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    mask: Mask

    def __add__(self, other: "RareScore") -> "RareScore":
        """The score over the windows of both."""
        if (self.labels, self.classes, self.mask) != (other.labels, other.classes, other.mask):
            raise ValueError("scores pool only under one protocol (labels, classes, mask)")
        return replace(self, counts=self.counts + other.counts)

    def object_recall(self, label: int) -> float:
        """Share of truth's objects that touch a predicted one of their class; NaN without any."""
        *_, objects, found = self.counts[self.labels.index(label)].tolist()
        return found / objects if objects else math.nan

    def iou(self, label: int) -> float:
        """Hits over union; NaN without truth."""
        hit, true, predicted, *_ = self.counts[self.labels.index(label)].tolist()
        return hit / (true + predicted - hit) if true else math.nan

    def vru_miou(self) -> float:
        """Mean IoU of the vulnerable road users that have truth; NaN without any."""
        known = [x for x in (self.iou(label) for label in VRU if label in self.labels) if not math.isnan(x)]
        return sum(known) / len(known) if known else math.nan

    def worst(self, labels: Sequence[int]) -> float:
        """Lowest IoU among classes with truth; NaN without any."""
        known = [x for x in map(self.iou, labels) if not math.isnan(x)]
        return min(known, default=math.nan)

    def to_json(self) -> dict:
        """The table; `few` marks classes that carry no claim. NaN becomes null."""
        table = {}
        for label, row in zip(self.labels, self.counts.tolist(), strict=True):
            hit, true, predicted, frames, objects, found = row
            table[self.classes[label]] = {
                "iou": _ratio(hit, true + predicted - hit) if true else None,
                "precision": _ratio(hit, predicted),
                "recall": _ratio(hit, true),
                "object_recall": _ratio(found, objects),
                "truth_voxels": true,
                "ghost": predicted if not true else 0,
                "frames": frames,
                "objects": objects,
                "few": true < FEW,
            }
        vru = self.vru_miou()
        return {"mask": self.mask, "vru_miou": None if math.isnan(vru) else round(100 * vru, 3), "classes": table}


def score_rare(
    prediction: Occupancy, truth: Occupancy, mask: Mask = "observed", labels: Sequence[int] = RARE
) -> RareScore:
    """Count voxels and objects of the rare classes in one window.

    An object is a 26-connected component of the truth with at least SMALLEST voxels. It is found if one of its voxels
    is predicted as its class: a shift by a voxel destroys the IoU of what is small, but seldom this.

    Raises:
        ValueError: prediction and truth differ in shape or classes.
    """
    if prediction.labels.shape != truth.labels.shape or prediction.classes != truth.classes or truth.labels.ndim != 4:
        raise ValueError(
            "prediction and truth must share classes and a shape (t, x, y, z), "
            f"got {tuple(prediction.labels.shape)} and {tuple(truth.labels.shape)}"
        )
    counts = torch.zeros(len(labels), 6, dtype=torch.int64)
    for predicted, true, seen in zip(prediction.labels, truth.labels, truth.observed, strict=True):
        counted = seen if mask == "observed" else torch.ones_like(seen)
        for i, label in enumerate(labels):
            counts[i] += torch.tensor(_count(predicted, true, counted, label))
    return RareScore(counts, tuple(labels), truth.classes, mask)


def _count(
    predicted: UInt8[Tensor, "x y z"], true: UInt8[Tensor, "x y z"], counted: Bool[Tensor, "x y z"], label: int
) -> tuple[int, int, int, int, int, int]:
    there, guessed = (true == label) & counted, (predicted == label) & counted
    hit, num_true = int((there & guessed).sum()), int(there.sum())
    if num_true == 0:
        return hit, 0, int(guessed.sum()), 0, 0, 0
    components = np.empty(there.shape, np.int32)
    ndimage.label(there.numpy(), structure=_TOUCHING, output=components)
    sizes = np.bincount(components.ravel())[1:]
    touched = np.bincount(components[guessed.numpy()], minlength=len(sizes) + 1)[1:]
    objects = sizes >= SMALLEST
    return hit, num_true, int(guessed.sum()), 1, int(objects.sum()), int((objects & (touched > 0)).sum())


def _ratio(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 3) if whole else None
