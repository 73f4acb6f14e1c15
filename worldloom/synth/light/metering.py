"""How long to expose a world, as a photographer would who cannot change its light."""

import torch

from worldloom.geometry import solid_angles
from worldloom.geometry.io.images import LUMINANCE
from worldloom.synth.cast import Caster
from worldloom.synth.light.pathtrace import path_trace
from worldloom.synth.views import PanoramaView

_HEIGHT, _SPP = 24, 16
_GREY = 0.18  # radiance that a middle surface should have after exposure, of a white that is 1
_RANGE = (0.3, 60.0)


def metered_exposure(caster: Caster, num_stands: int = 2, seed: int = 0) -> float:
    """An exposure for all pictures of a world: it makes the log-mean of what is seen from its first stands middle grey.

    Worlds with their lamps off or their sun high come out as pictures that show something; views of one world stay
    comparable, which exposing each for itself would spoil. A world without stands or light keeps its own exposure.
    """
    weight = solid_angles(_HEIGHT).flatten()
    total, count = 0.0, 0
    for i, stand in enumerate(caster.world.stands[:num_stands]):
        radiance = path_trace(caster, PanoramaView(stand, _HEIGHT), _SPP, seed + i)
        luminance = torch.einsum("c,chw->hw", radiance.new_tensor(LUMINANCE), radiance).flatten()
        lit = luminance > 1e-5
        if bool(lit.any()):
            total += float((luminance[lit].log() * weight[lit]).sum() / weight[lit].sum())
            count += 1
    if not count:
        return caster.world.exposure
    low, high = _RANGE
    return min(max(_GREY / float(torch.tensor(total / count).exp()), low), high)
