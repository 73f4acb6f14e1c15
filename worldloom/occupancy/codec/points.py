"""Sparse sets of voxels as lists: what is small, rare and does not move, such as traffic cones."""

import numpy as np
from jaxtyping import Int64

from worldloom.errors import InputError
from worldloom.occupancy.codec.entropy import Coder, Sizes

MAX_POINTS = 1 << 16


def code_points(coder: Coder, places: Int64[np.ndarray, " n"] | None, size: int) -> Int64[np.ndarray, " n"]:
    """Increasing flat places in a volume of `size` voxels, as ways from one to the next.

    With z the fastest axis, a cone's voxels follow each other: a way of one.

    Raises:
        InputError: the stream says more than MAX_POINTS, or a place outside.
    """
    ways = Sizes()
    count = Sizes().code(coder, None if places is None else len(places))
    if count > MAX_POINTS:
        raise InputError(f"expected at most {MAX_POINTS} voxels in a list of a clip's stream, got {count}")
    said = np.zeros(count, np.int64)
    last = -1
    for i in range(count):
        last += 1 + ways.code(coder, None if places is None else int(places[i]) - last - 1)
        if last >= size:
            raise InputError(f"expected voxels within {size} in a clip's stream, got number {last}")
        said[i] = last
    return said
