"""What the cameras of a rig see at one moment."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.synth.cast import Caster
from worldloom.synth.sensors.rig import Rig
from worldloom.synth.truth import Truth, render_truth


def camera_pictures(
    caster: Caster,
    world_from_ego: Float[Tensor, "4 4"],
    rig: Rig,
    width: int = 400,
    seed: int = 0,
    paths: int = 6,
    supersample: int = 1,
) -> dict[str, Truth]:
    """One picture with its truth from each camera, by channel; the car that carries them is not seen.

    Args:
        width: of every picture, in pixels; 1600 is the sensors' own.
        seed: of the light from the sky; pictures of one keyframe differ in it.
        paths, supersample: care for light, which each four pixels share, and for edges, as `render_truth` takes them.
    """
    small = rig.scaled(width)
    generator = torch.Generator().manual_seed(seed)
    seeds = torch.randint(2**31, (len(small.cameras),), generator=generator).tolist()
    return {
        channel: render_truth(caster, small.camera(channel, world_from_ego), own, paths, supersample, shared_light=True)
        for channel, own in zip(small.cameras, seeds, strict=True)
    }
