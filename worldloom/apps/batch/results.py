"""What came of a batch's scenarios, one after another: the spec, the scores, and where the files are."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldloom.apps.batch.driving.kind import SCORES
from worldloom.apps.batch.folder import Batch
from worldloom.apps.batch.manifest import read_manifest
from worldloom.apps.batch.shard import finished, shard_folder
from worldloom.apps.batch.spec import ScenarioSpec, spec_from_json
from worldloom.errors import InputError


@dataclass(frozen=True)
class Result:
    """One finished scenario."""

    shard: str
    spec: ScenarioSpec
    scores: dict[str, Any]

    @property
    def folder(self) -> str:
        """Its name in the store."""
        return shard_folder(self.shard)

    def number(self, name: str) -> float | None:
        """One of NUMBERS; None where it is not known."""
        value: Any = self.scores
        for key in NUMBERS[name]:
            value = value.get(key) if isinstance(value, dict) else None
        return float(value) if isinstance(value, (int, float)) else None

    @property
    def risk(self) -> float | None:
        """The likelier of a collision and of leaving the road, as the model tells."""
        told = [one for one in (self.number("collision risk"), self.number("off-road risk")) if one is not None]
        return max(told, default=None)

    @property
    def collided(self) -> bool | None:
        """Whether the ego meets an obstacle in the made frames; None where nobody looked."""
        value = (self.scores.get("grid") or {}).get("collided")
        return value if isinstance(value, bool) else None


# Where each number stands in scores.json.
NUMBERS: dict[str, tuple[str, ...]] = {
    "collision risk": ("risk", "collision"),
    "off-road risk": ("risk", "off_road"),
    "PDMS-occ": ("grid", "pdms_occ"),
    "least time to collision": ("grid", "min_ttc_s"),
    "progress": ("grid", "progress"),
    "physics": ("physics", "score"),
    "realism": ("realism", "score"),
    "mIoU": ("truth", "miou_model"),
    "mIoU of copy-warp": ("truth", "miou_copy_warp"),
    "uncertainty": ("uncertainty",),
}


def results_of(batch: Batch, only: Path | None = None) -> Iterator[Result]:
    """Finished scenarios in the manifest's order.

    Args:
        only: a manifest; others are passed over.
    Raises:
        InputError: a manifest with scenarios that are not of the batch, or scores that are damaged.
    """
    wanted = None if only is None else _keys(batch, only)
    for task in batch.tasks():
        if (wanted is None or task.facts["key"] in wanted) and finished(batch.store, task.shard) is not None:
            text = batch.store.read(f"{shard_folder(task.shard)}/{SCORES}")
            try:
                scores = json.loads(text or b"")
            except ValueError as error:
                raise InputError(f"{batch.store.address}/{shard_folder(task.shard)}/{SCORES}: expected JSON, "
                                 f"got {error}; `worldloom batch verify` finds what is damaged") from error  # fmt: skip
            yield Result(task.shard, spec_from_json(task.spec, task.shard), scores)


def _keys(batch: Batch, only: Path) -> frozenset[str]:
    keys = frozenset(spec.key for spec in read_manifest(only))
    there = frozenset(task.facts["key"] for task in batch.tasks())
    if strangers := keys - there:
        raise InputError(f"{only}: expected scenarios of {batch.store.address}, got {len(strangers)} that are not")
    return keys
