"""`worldloom batch report`: a page for people, and the same numbers as JSON."""

from pathlib import Path
from typing import Any

from rich.console import Console

from worldloom.apps.batch.driving.kind import PREVIEW
from worldloom.apps.batch.folder import open_batch
from worldloom.apps.batch.report.figures import gather, speed_of
from worldloom.apps.batch.report.page import page
from worldloom.apps.batch.results import Result, results_of
from worldloom.apps.batch.store import open_store
from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.json_file import save_json

MAX_PICTURES = 300


def report_batch(address: str, out: Path, only: Path | None = None, pictures: int = 24) -> int:
    """Write OUT.html and OUT.json; returns the exit code: 3 where no scenario is finished, and nothing is written.

    Raises:
        InputError: another suffix, too many pictures, or no batch there.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"expected --out to end in .html, got {out.name!r}")
    if not 0 <= pictures <= MAX_PICTURES:
        raise InputError(f"expected 0 to {MAX_PICTURES} --pictures, got {pictures}")
    store = open_store(address)
    batch, console = open_batch(store), Console(stderr=True)
    figures = gather(results_of(batch, only), pictures, batch.count)
    if not figures.results:
        console.print("nothing to report: no scenario is finished", highlight=False)
        return 3
    given_up = batch.ledger.given_up() if only is None else []
    failures = [reasons for shard in given_up[:1000] if (reasons := batch.ledger.reasons(shard)) is not None]
    facts: dict[str, Any] = {
        "batch": address,
        "scenarios": batch.count if only is None else figures.results,
        "finished": figures.results,
        "quarantined": len(given_up),
        "missing": batch.count - figures.results - len(given_up) if only is None else 0,
        "code": batch.makers.code,
        "weights": batch.makers.weights,
        "manifest_sha256": batch.manifest_sha256,
    }
    speed = speed_of(batch.ledger.entries())

    def picture(result: Result) -> bytes | None:
        return store.read(f"{result.folder}/{PREVIEW}")

    name = address.rstrip("/").rsplit("/", 1)[-1]
    content = {"made_by": "worldloom", **facts, **figures.to_json(), "speed": speed, "failures": failures}
    save_json(out.with_suffix(".json"), content)
    with atomic_path(out) as temporary:
        temporary.write_text(page(f"Batch {name}", facts, figures, speed, failures, picture), encoding="utf-8")
    console.print(f"{out} is ready, and {out.with_suffix('.json')}", highlight=False, soft_wrap=True)
    return 0
