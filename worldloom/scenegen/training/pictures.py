"""What a step of training looks at: random panoramas, turned, mirrored and developed otherwise."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.panoramas.panorama_files import LearnedPanorama, load_panoramas


def draw_panorama(files: Sequence[tuple[Path, int]], dice: Random) -> tuple[LearnedPanorama, Float[Tensor, "3 h w"]]:
    """A random panorama, its picture, distance and parts turned and mirrored; and its picture in other light.

    Args:
        files: files and numbers in them, of `panoramas_of`.
    """
    file, i = dice.choice(files)
    one = load_panoramas(file, i)[0]
    turn, mirror = dice.randrange(one.part.shape[1]), dice.random() < 0.5
    one = one.turned(turn, mirror)
    return one, developed(one.rgb.float() / 255, dice)


def developed(rgb: Float[Tensor, "3 h w"], dice: Random) -> Float[Tensor, "3 h w"]:
    """A picture in another light and contrast, as if by another camera; still sharp."""
    if dice.random() < 0.3:
        return rgb
    gains = torch.tensor([2 ** dice.gauss(0, 0.12) for _ in range(3)]) * 2 ** dice.gauss(0, 0.3)
    grey = rgb.mean(0)
    rgb = grey + dice.uniform(0.6, 1.3) * (rgb - grey)
    return (rgb.clamp(0, 1) ** dice.uniform(0.8, 1.25) * gains[:, None, None]).clamp(0, 1)
