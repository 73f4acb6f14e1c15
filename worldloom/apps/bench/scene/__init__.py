<<<<<<< HEAD
"""The scene half on worlds that no network has seen, every figure beside its floor."""

from worldloom.apps.bench.result import Row
from worldloom.apps.bench.scene.distance import distance_rows


def run(quick: bool) -> list[Row]:
    """Distance of panoramas."""
    return distance_rows(quick)
=======
"""The scene half on worlds whose every answer is known, every figure beside its floor."""

from worldloom.apps.bench.result import Row
from worldloom.apps.bench.scene.paths import path_rows


def run(quick: bool) -> list[Row]:
    """Camera paths."""
    return path_rows(quick)
>>>>>>> main
