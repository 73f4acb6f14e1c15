"""What a voxel is called when several things reach into it."""

import torch

from worldloom.geometry import FREE, OCC3D_CLASSES
from worldloom.synth.world import SEMANTICS

# Where two things share a voxel the later one keeps it: small before large, road users before what they stand on.
_ORDER = (
    *("free", "driveable_surface", "other_flat", "sidewalk", "terrain", "vegetation", "manmade", "others"),
    *("truck", "trailer", "bus", "construction_vehicle", "car", "barrier", "traffic_cone"),
    *("motorcycle", "bicycle", "pedestrian"),
)
RANK_OF_LABEL = torch.tensor([_ORDER.index(name) for name in OCC3D_CLASSES], dtype=torch.uint8)
LABEL_OF_RANK = torch.tensor([OCC3D_CLASSES.index(name) for name in _ORDER], dtype=torch.uint8)

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
    return OCC3D_CLASSES.index("other_flat" if semantic in ("water", "floor") else "manmade")


# Occ3D's class for each of SEMANTICS.
LABEL_OF_SEMANTIC = torch.tensor([_label(name) for name in SEMANTICS], dtype=torch.uint8)
