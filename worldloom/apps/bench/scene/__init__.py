"""The scene half on worlds whose every answer is known and that no network has seen, every figure beside its floor."""

from pathlib import Path

from worldloom.apps.bench.result import Row
from worldloom.apps.bench.scene.consistency import consistency_rows
from worldloom.apps.bench.scene.distance import distance_rows
from worldloom.apps.bench.scene.paths import path_rows
from worldloom.apps.bench.scene.texts import text_rows
from worldloom.apps.bench.scene.views import view_rows
from worldloom.apps.bench.scene.whole import real_rows, scene_rows


def run(quick: bool, data: Path | None = None) -> list[Row]:
    """A whole scene, distances, camera paths, views off centre, walks, texts; with `data`, real panoramas, too."""
    real = [] if data is None else real_rows(data)
    parts = (scene_rows, distance_rows, path_rows, view_rows, consistency_rows, text_rows)
    return [*(row for part in parts for row in part(quick)), *real]
