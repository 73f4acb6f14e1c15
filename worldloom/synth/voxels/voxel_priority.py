"""What a voxel is called when several things reach into it."""

import torch

from worldloom.geometry import OCC3D_CLASSES

# Where two things share a voxel the later one keeps it: small before large, road users before what they stand on.
_ORDER = (
    *("free", "driveable_surface", "other_flat", "sidewalk", "terrain", "vegetation", "manmade", "others"),
    *("truck", "trailer", "bus", "construction_vehicle", "car", "barrier", "traffic_cone"),
    *("motorcycle", "bicycle", "pedestrian"),
)
RANK_OF_LABEL = torch.tensor([_ORDER.index(name) for name in OCC3D_CLASSES], dtype=torch.uint8)
LABEL_OF_RANK = torch.tensor([OCC3D_CLASSES.index(name) for name in _ORDER], dtype=torch.uint8)
