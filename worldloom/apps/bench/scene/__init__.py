"""The scene half on worlds whose every answer is known and that no network has seen, every figure beside its floor."""

from worldloom.apps.bench.result import Row
from worldloom.apps.bench.scene.distance import distance_rows
from worldloom.apps.bench.scene.paths import path_rows


def run(quick: bool) -> list[Row]:
    """Distance of panoramas, and camera paths."""
    return [*distance_rows(quick), *path_rows(quick)]
