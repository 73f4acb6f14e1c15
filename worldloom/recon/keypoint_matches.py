"""Points that two pictures share: SIFT features (Lowe 2004) and their matches, by COLMAP."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import MissingExtra, require

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


class Matches(NamedTuple):
    """The same points in two pictures, as pixels (u, v)."""

    first: Float[Tensor, "n 2"]
    second: Float[Tensor, "n 2"]


def keypoint_matches(rgb: Float[Tensor, "t 3 h w"], pairs: Sequence[tuple[int, int]]) -> list[Matches]:
    """Matches of pairs of frames: nearest both ways, and clearly nearer than the second nearest (ratio 0.8).

    No cameras are asked: what does not fit the epipolar geometry stays in.

    Raises:
        MissingExtra: pycolmap is not installed, or an older one.
    """
    pycolmap: Any = require("pycolmap", "colmap", "matching points of pictures")
    if not hasattr(pycolmap, "FeatureMatcher"):
        raise MissingExtra(
            f"matching points of pictures needs pycolmap>=4, got {pycolmap.__version__}; pip install -U pycolmap"
        )
    pycolmap.logging.minloglevel = 3
    extraction, matching = pycolmap.FeatureExtractionOptions(), pycolmap.FeatureMatchingOptions()
    extraction.num_threads = matching.num_threads = torch.get_num_threads()
    extractor = pycolmap.FeatureExtractor.create(extraction, pycolmap.Device.cpu)
    matcher = pycolmap.FeatureMatcher.create(matching, pycolmap.Device.cpu)
    features = []
    grey = einsum(rgb.clamp(0, 1), rgb.new_tensor(_LUMA), "t c h w, c -> t h w")
    for frame in grey.float().contiguous().numpy():
        features.append(extractor.extract_from_float32_array(frame))
    pixels = [
        torch.tensor([(point.x, point.y) for point in points], dtype=torch.float32).reshape(-1, 2)
        for points, _ in features
    ]
    found = []
    for i, j in pairs:
        index = torch.from_numpy(matcher.match(*features[i], *features[j]).astype(np.int64)).reshape(-1, 2)
        found.append(Matches(pixels[i][index[:, 0]], pixels[j][index[:, 1]]))
    return found
