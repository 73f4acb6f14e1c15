"""What a step of training looks at: photographs of random panoramas, and their truth at the network's resolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.recon.panorama_network import PLACES
from worldloom.recon.training.photograph import photograph
from worldloom.synth.panoramas.panorama_files import SKY, LearnedPanorama, load_panoramas

WINDOW = 25.0  # camera heights: what a sky behind a window counts as, far and not sky
_FARTHEST = 150.0  # no picture tells more
_OVERHEAD = 1 / 6  # of the rows: within 30 degrees of the zenith


@dataclass(frozen=True)
class Examples:
    """A batch for the network."""

    rgb: Float[Tensor, "b 3 h w"]
    log_distance: Float[Tensor, "b h2 w2"]  # of camera heights; that of WINDOW where sky
    part: UInt8[Tensor, "b h2 w2"]
    place: Int[Tensor, " b"]  # numbers in PLACES


def draw_examples(files: Sequence[tuple[Path, int]], num: int, rows: int, dice: Random) -> Examples:
    """So many random panoramas, turned, mirrored and photographed at random."""
    batch = []
    for _ in range(num):
        file, i = dice.choice(files)
        one = load_panoramas(file, i)[0]
        turn, mirror = dice.randrange(2 * one.part.shape[0]), dice.random() < 0.5
        one = one.turned(turn, mirror)
        asked = truth_at(one, rows, (dice.random(), dice.random()))
        batch.append((photograph(_shrunk(one.rgb, rows), dice), *asked))
    return Examples(*map(torch.stack, zip(*batch, strict=True)))


def truth_at(
    truth: LearnedPanorama, rows: int, within: tuple[float, float] = (0.5, 0.5)
) -> tuple[Float[Tensor, "h w"], UInt8[Tensor, "h w"], Int[Tensor, ""]]:
    """Log distance, part and place of a panorama at fewer rows.

    Args:
        within: which pixel of those that one of the answer covers gives its truth: never a mean of near and far.
    Raises:
        InputError: the panorama's rows are no multiple of these.
    """
    height = truth.part.shape[0]
    if height % rows:
        raise InputError(f"expected panoramas whose rows are a multiple of {rows}, got {height}")
    step = height // rows
    i, j = (min(step - 1, int(share * step)) for share in within)
    part = truth.part[i::step, j::step]
    distance = torch.where(part == SKY, WINDOW, truth.distance[i::step, j::step])
    return distance.clamp(max=_FARTHEST).log(), part, torch.tensor(place_of(truth))


def _shrunk(rgb: UInt8[Tensor, "3 h w"], rows: int) -> UInt8[Tensor, "3 h2 w2"]:
    """At fewer rows, before it is photographed: that is the dearer part."""
    step = rgb.shape[1] // rows
    return rgb if step == 1 else F.avg_pool2d(rgb[None].float(), step)[0].round().byte()


def place_of(truth: LearnedPanorama) -> int:
    """Number in PLACES: rooms are indoors, elsewhere it counts whether the sky is overhead."""
    if truth.kind == "room":
        return PLACES.index("indoors")
    cap = truth.sky[: max(1, round(_OVERHEAD * truth.sky.shape[0]))]
    return PLACES.index("open" if bool(cap.float().mean() > 0.5) else "covered")
