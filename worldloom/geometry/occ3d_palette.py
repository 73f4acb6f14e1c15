"""The colours in which Occ3D-nuScenes figures are drawn."""

import torch
from jaxtyping import Float
from torch import Tensor

# Rows are class ids. 1 to 16 as in the figures of OccWorld and OccSora; "others" and "free" are ours.
_RGB = (
    *((0, 0, 0), (255, 120, 50), (255, 192, 203), (255, 255, 0), (0, 150, 245), (0, 255, 255)),
    *((255, 127, 0), (255, 0, 0), (255, 240, 150), (135, 60, 0), (160, 32, 240), (255, 0, 255)),
    *((139, 137, 137), (75, 0, 75), (150, 240, 80), (230, 230, 250), (0, 175, 0), (255, 255, 255)),
)
OCC3D_COLOURS: Float[Tensor, "18 3"] = torch.tensor(_RGB) / 255
