"""What Occ3D calls the things of a world."""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from worldloom.geometry import FREE, OCC3D_CLASSES
from worldloom.synth.soup import Soup, TwoSoups
from worldloom.synth.world import SEMANTICS

_VEGETATION = ("tree", "bush")
_TERRAIN = ("grass", "rock")


def _label(semantic: str) -> int:
    if semantic in OCC3D_CLASSES:
        return OCC3D_CLASSES.index(semantic)
    if semantic == "sky":
        return FREE
    if semantic in _VEGETATION:
        return OCC3D_CLASSES.index("vegetation")
    if semantic in _TERRAIN:
        return OCC3D_CLASSES.index("terrain")
    if semantic == "clutter":
        return OCC3D_CLASSES.index("others")
    return OCC3D_CLASSES.index("other_flat" if semantic in ("water", "floor") else "manmade")


# Occ3D's class for each of SEMANTICS.
LABEL_OF_SEMANTIC = torch.tensor([_label(name) for name in SEMANTICS], dtype=torch.uint8)


def labels_on(soup: Soup | TwoSoups, face: Int[Tensor, " n"], points: Float[Tensor, "n 3"]) -> UInt8[Tensor, " n"]:
    """Occ3D labels of points on faces of a soup; things that are many things at once are asked place by place."""
    thing = soup.thing_of(face)
    semantic = soup.semantic[thing]
    for number in soup.mapped.nonzero()[:, 0].tolist():
        at = (thing == number).nonzero()[:, 0]
        semantic_at = soup.things[number].semantic_at
        if len(at) and semantic_at is not None:
            semantic[at] = semantic_at(points[at].float()).long()
    return LABEL_OF_SEMANTIC[semantic]
