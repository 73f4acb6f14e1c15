"""How good a panorama's distance is, without any alignment: the camera's height alone sets the scale."""

import math
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from worldloom.geometry.equirect import directions, solid_angles
from worldloom.geometry.panorama import Panorama
from worldloom.recon.panorama_network import PLACES
from worldloom.recon.training.examples import place_of
from worldloom.synth.panoramas.panorama_files import FLOOR, OBJECT, LearnedPanorama

FARTHEST = 150.0  # camera heights; what is farther is not asked
STANDS = 0.85  # of the way to level ground: what is nearer stands on it
_LOOK_DOWN = math.sin(math.radians(8))  # nearer to the horizon a slight tilt moves the ground more than that
_INDOORS = PLACES.index("indoors")


@dataclass(frozen=True)
class DepthScore:
    """Sums over panoramas; scores of several are added with +."""

    absrel: tuple[float, ...] = ()  # mean |d - d*| / d* of each panorama, by solid angle
    absrel_nonfloor: tuple[float, ...] = ()
    delta1: tuple[float, ...] = ()  # share with max(d / d*, d* / d) < 1.25
    # True and false positives and false negatives, as solid angles
    objects: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    sky: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    false_sky_indoors: tuple[float, ...] = ()  # share of the sphere

    def __add__(self, other: "DepthScore") -> "DepthScore":
        return DepthScore(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def figures(self) -> dict[str, float]:
        """Means over panoramas; objects and sky pooled. NaN where nothing was asked."""
        hit, ghost, missed = self.objects.tolist()
        sky = self.sky.tolist()
        return {
            "absrel": _mean(self.absrel),
            "absrel_nonfloor": _mean(self.absrel_nonfloor),
            "delta1": _mean(self.delta1),
            "object_recall": _ratio(hit, hit + missed),
            "object_precision": _ratio(hit, hit + ghost),
            "sky_iou": _ratio(sky[0], sum(sky)),
            "false_sky_indoors": _mean(self.false_sky_indoors),
        }


def score_depth(predicted: Panorama, truth: LearnedPanorama) -> DepthScore:
    """Score one panorama, predicted with a camera height of 1.

    Distances are asked where the truth is no sky and nearer than FARTHEST, whether it was taken for sky or not: that is
    what the figures of sky are for. Objects are asked 8 degrees and more under the horizon, among pixels that are truly
    floor or things on it: does the prediction stand up from level ground? Sky is asked out of doors; what windows of
    rooms show counts as neither.
    """
    height = truth.part.shape[0]
    area = solid_angles(height).double()
    given = (predicted.distance.double() / truth.distance.double()).clamp(1e-6, 1e6)
    asked = ~truth.sky & (truth.distance < FARTHEST)
    nonfloor = asked & (truth.part != FLOOR)
    error, good = (given - 1).abs(), (torch.maximum(given, 1 / given) < 1.25).double()

    down = -directions(height)[..., 2]
    ground = 1 / down.clamp(min=_LOOK_DOWN)
    below = (down > _LOOK_DOWN) & ~truth.sky
    standing = below & (truth.part == OBJECT) & (truth.distance < STANDS * ground)
    lying = below & (truth.part == FLOOR)
    stands = (predicted.distance < STANDS * ground) & ~predicted.sky

    indoors = place_of(truth) == _INDOORS
    return DepthScore(
        _weighted(error, asked, area),
        _weighted(error, nonfloor, area),
        _weighted(good, asked, area),
        _confusion(stands, standing, area * (standing | lying)),
        _confusion(predicted.sky, truth.sky, area * (not indoors)),
        _weighted(predicted.sky.double(), ~truth.sky, area) if indoors else (),
    )


def _weighted(values: Tensor, where: Tensor, area: Tensor) -> tuple[float, ...]:
    weight = area * where
    return (float((weight * values).sum() / weight.sum()),) if bool(where.any()) else ()


def _confusion(predicted: Tensor, truth: Tensor, area: Tensor) -> Tensor:
    pairs = (predicted & truth, predicted & ~truth, ~predicted & truth)
    return torch.stack([(area * pair).sum() for pair in pairs])


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values) if values else math.nan


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
