"""`worldloom batch export`: finished scenarios in formats of others, as one folder, there whole or not at all."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from worldloom.apps.batch.export.nuscenes import MOST, export_nuscenes
from worldloom.apps.batch.export.openscenario import export_openscenario
from worldloom.apps.batch.export.scenarionet import export_scenarionet
from worldloom.apps.batch.export.scene import ExportScene, load_scene
from worldloom.apps.batch.export.video import export_video
from worldloom.apps.batch.folder import Batch, open_batch
from worldloom.apps.batch.results import results_of
from worldloom.apps.batch.store import open_store
from worldloom.apps.run_folder import open_run
from worldloom.errors import InputError

FORMATS = ("nuscenes", "scenarionet", "openscenario", "video")


def export_batch(
    address: str, out: Path, formats: tuple[str, ...], only: Path | None, limit: int | None, force: bool
) -> int:
    """Write OUT/<format>/ for each format; returns the exit code: 1 where some could not be written, 3 where none is.

    Raises:
        InputError: an unknown format, no batch there, or more scenes than a nuScenes data set is put together of.
    """
    formats = tuple(one.strip() for one in formats)
    if strangers := [one for one in formats if one not in FORMATS]:
        raise InputError(f"expected --to {', '.join(FORMATS)}, got {strangers[0]!r}")
    if limit is not None and limit < 1:
        raise InputError(f"expected a --limit of 1 or more, got {limit}")
    batch, console = open_batch(open_store(address)), Console(stderr=True)
    results = list(itertools.islice(results_of(batch, only), limit))
    kept = [result for result in results if result.spec.keep != "none"]
    if len(kept) < len(results):
        console.print(f"  {len(results) - len(kept)} scenarios kept no voxels, so they are left out", highlight=False)
    if not kept:
        console.print("nothing to export: no finished scenario with voxels", highlight=False)
        return 3
    if "nuscenes" in formats and len(kept) > MOST:
        raise InputError(f"expected at most {MOST} scenarios in a nuScenes data set, got {len(kept)}; choose with "
                         "filter, --only or --limit")  # fmt: skip
    request = {
        "command": "batch export",
        "batch": batch.manifest_sha256,
        "code": batch.makers.code,
        "formats": list(formats),
        "scenarios": [result.shard for result in kept],
    }
    faults: list[str] = []

    def scenes() -> Iterator[ExportScene]:
        """Read anew for each format: all of them together may not fit into memory."""
        for result in kept:
            try:
                yield load_scene(batch, result)
            except InputError as error:
                faults.append(str(error))

    with open_run(out, request, force=force) as run:
        written: dict[str, Any] = {}
        for one in formats:
            with run.stage(one):
                folder = run.folder / one
                folder.mkdir()
                written[one] = _write(one, folder, scenes())
        for fault in sorted(set(faults)):
            run.warn(fault)
        run.report({"written": written, "faults": sorted(set(faults)), **_origin(batch)})
    counts = ", ".join(f"{one}: {facts['scenarios']}" for one, facts in written.items())
    console.print(f"{out} is ready; scenarios as {counts}", highlight=False, soft_wrap=True)
    return 1 if faults else 0


def _write(one: str, folder: Path, scenes: Iterator[ExportScene]) -> dict[str, int]:
    if one == "openscenario":
        count, roads = export_openscenario(folder, scenes)
        return {"scenarios": count, "with_opendrive": roads}
    write = {"nuscenes": export_nuscenes, "scenarionet": export_scenarionet, "video": export_video}[one]
    return {"scenarios": write(folder, scenes)}


def _origin(batch: Batch) -> dict[str, Any]:
    return {"made_by_code": batch.makers.code, "weights": batch.makers.weights}
