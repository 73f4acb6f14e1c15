"""Semantic scores of an occupancy forecast: pooled counts first, one division at the end.

The means of scores over windows are not the score over all windows, so what is added up here are counts. Every score
carries the policies under which it was made, because numbers made under different ones do not belong in one table.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from worldloom.geometry.occupancy import MOVERS, Occupancy
from worldloom.occupancy.metrics.groups import VRU

Mask = Literal["observed", "none"]
Absent = Literal["nan", "one", "union", "support"]

REPORTED_SECONDS = (1.0, 2.0, 3.0)  # forecasts are compared at these horizons, and by the mean of the three
FEW = 200  # truth voxels below which a class carries no claim


@dataclass(frozen=True)
class SemanticScore:
    """Voxel counts at each future frame, pooled over windows by `+`; the last class is free.

    `mask` says which voxels were counted: "observed" skips those the truth never looked at, "none" takes all of them
    (how published forecasts are scored).
    """

    confusion: Int64[Tensor, "t c c"]  # [future frame, true class, predicted class]
    classes: tuple[str, ...]
    dt: float  # seconds between frames; the first future frame is dt ahead
    mask: Mask
    num_windows: int

    def __post_init__(self) -> None:
        c = len(self.classes)
        if self.confusion.ndim != 3 or tuple(self.confusion.shape[1:]) != (c, c) or self.confusion.dtype != torch.int64:
            raise ValueError(
                f"confusion must be int64 (t, {c}, {c}), got {self.confusion.dtype} {tuple(self.confusion.shape)}"
            )

    def __len__(self) -> int:
        return self.confusion.shape[0]

    def __add__(self, other: "SemanticScore") -> "SemanticScore":
        """The score over the windows of both."""
        mine, theirs = ((s.classes, s.dt, s.mask, len(s)) for s in (self, other))
        if mine != theirs:
            raise ValueError(f"scores pool only under one protocol (classes, dt, mask, frames): {mine} and {theirs}")
        return replace(
            self, confusion=self.confusion + other.confusion, num_windows=self.num_windows + other.num_windows
        )

    def pooled(self) -> "SemanticScore":
        """One frame that holds the counts of all of them."""
        return replace(self, confusion=self.confusion.sum(0, keepdim=True))

    @property
    def support(self) -> Int64[Tensor, "t c"]:
        """Truth voxels of each class."""
        return self.confusion.sum(2)

    @property
    def ghost(self) -> Int64[Tensor, "t c"]:
        """Voxels predicted for a class without a truth voxel at that frame: what the "nan" policy does not see."""
        return torch.where(self.support == 0, self.confusion.sum(1), 0)

    def iou(self, absent: Absent = "nan") -> Float[Tensor, "t c"]:
        """TP / (TP + FP + FN) of every class, free included.

        Args:
            absent: what a class without a truth voxel scores. "nan": NaN, left out of means (ours); "one": 1, even
                where it was predicted (OccWorld, OccSora); "union": NaN only if it was not predicted either, else 0
                (I2-World); "support": 0 (DynamicCity's default).
        """
        hit = self.confusion.diagonal(dim1=1, dim2=2)
        return _ratio(hit, self.support, self.confusion.sum(1), absent)

    def miou(self, absent: Absent = "nan", classes: Collection[int] | None = None) -> Float[Tensor, " t"]:
        """Mean IoU over `classes`: all but free, `others` included, if not given. NaN classes are left out."""
        chosen = sorted(range(len(self.classes) - 1) if classes is None else classes)
        return self.iou(absent)[:, chosen].nanmean(dim=1)

    def group_iou(self, classes: Collection[int] | None = None, absent: Absent = "nan") -> Float[Tensor, " t"]:
        """IoU of the union of `classes` against all the rest; all but free (occupied against free) if not given."""
        chosen = sorted(range(len(self.classes) - 1) if classes is None else classes)
        hit = self.confusion[:, chosen][:, :, chosen].sum((1, 2))
        return _ratio(hit, self.support[:, chosen].sum(1), self.confusion[:, :, chosen].sum((1, 2)), absent)

    def frame_at(self, seconds: float) -> int | None:
        """Index of the future frame `seconds` ahead; None where the forecast has no frame within 5 % of that time."""
        i = round(seconds / self.dt) - 1
        return i if 0 <= i < len(self) and math.isclose((i + 1) * self.dt, seconds, rel_tol=0.05) else None

    def protocol(self, absent: Absent = "nan", classes: Collection[int] | None = None) -> str:
        """What must be equal before two numbers may stand in one table."""
        count = len(self.classes) - 1 if classes is None else len(classes)
        return (
            f"pooled counts; mIoU over {count} classes without {self.classes[-1]}; mask {self.mask}; "
            f"absent classes {absent}; {len(self)} frames at {self.dt:g} s; {self.num_windows} window(s)"
        )

    def to_json(self, absent: Absent = "nan", classes: Collection[int] | None = None) -> dict:
        """Scores in percent at every frame and at 1, 2, 3 s, with supports; NaN becomes null.

        Args:
            classes: of `miou`; all but free if not given.
        """
        curves = {
            "miou": self.miou(absent, classes),
            "iou": self.group_iou(absent=absent),
            "movers_iou": self.group_iou(MOVERS, absent),
            "movers_miou": self.miou(absent, MOVERS),
            "vru_miou": self.miou(absent, VRU),
        }
        frames = {f"{seconds:g}s": self.frame_at(seconds) for seconds in REPORTED_SECONDS}
        summary = {}
        for name, curve in curves.items():
            at = {key: math.nan if i is None else curve[i].item() for key, i in frames.items()}
            summary[name] = {key: _percent(value) for key, value in {**at, "avg": sum(at.values()) / len(at)}.items()}
        total, class_iou = self.pooled(), self.pooled().iou(absent)[0]
        return {
            "protocol": self.protocol(absent, classes),
            **summary,
            "per_frame": {name: [_percent(value) for value in curve.tolist()] for name, curve in curves.items()},
            "per_class_all_frames": {
                name: {
                    "iou": _percent(class_iou[i].item()),
                    "support": int(total.support[0, i]),
                    "ghost": int(self.ghost[:, i].sum()),
                    "few": bool(total.support[0, i] < FEW),  # too few truth voxels to claim anything
                }
                for i, name in enumerate(self.classes[:-1])
            },
        }


def score_forecast(prediction: Occupancy, truth: Occupancy, mask: Mask = "observed") -> SemanticScore:
    """Count true against predicted classes at each future frame of one window.

    Raises:
        ValueError: the two differ in shape, grid or classes, or labels lie outside the classes.
    """
    if (
        prediction.labels.shape != truth.labels.shape
        or prediction.grid != truth.grid
        or prediction.classes != truth.classes
    ):
        raise ValueError(
            "prediction and truth must share shape, grid and classes, "
            f"got {tuple(prediction.labels.shape)} {prediction.grid} and {tuple(truth.labels.shape)} {truth.grid}"
        )
    if truth.labels.ndim != 4:
        raise ValueError(f"one window is (t, x, y, z), got {tuple(truth.labels.shape)}")
    if not math.isclose(prediction.dt, truth.dt, rel_tol=0.01):
        raise ValueError(f"prediction and truth must share dt, got {prediction.dt:g} s and {truth.dt:g} s")
    counted = truth.observed if mask == "observed" else torch.ones_like(truth.observed)
    c = len(truth.classes)
    frames = zip(prediction.labels, truth.labels, counted, strict=True)
    confusion = torch.stack([_count(p[m], t[m], c) for p, t, m in frames])
    return SemanticScore(confusion, truth.classes, truth.dt, mask, num_windows=1)


def _count(predicted: UInt8[Tensor, " n"], true: UInt8[Tensor, " n"], c: int) -> Int64[Tensor, "c c"]:
    worst = max((int(labels.max()) for labels in (predicted, true) if labels.numel()), default=0)
    if worst >= c:
        raise ValueError(f"labels must lie in 0..{c - 1}, got {worst}")
    return torch.bincount(true.long() * c + predicted.long(), minlength=c * c).reshape(c, c)


def _ratio(
    hit: Int64[Tensor, "*shape"], true: Int64[Tensor, "*shape"], predicted: Int64[Tensor, "*shape"], absent: Absent
) -> Float[Tensor, "*shape"]:
    """hit / (true + predicted - hit) in float64; `absent` decides where nothing is true."""
    iou = hit.double() / (true + predicted - hit).double()  # 0 / 0 is NaN
    if absent == "union":
        return iou
    return iou.masked_fill(true == 0, {"nan": math.nan, "one": 1.0, "support": 0.0}[absent])


def _percent(value: float) -> float | None:
    return None if math.isnan(value) else round(100 * value, 3)
