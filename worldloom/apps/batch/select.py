"""`worldloom batch filter`: scenarios chosen by what came of them, as a manifest."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from worldloom.apps.batch.folder import open_batch
from worldloom.apps.batch.manifest import save_manifest
from worldloom.apps.batch.results import Result, results_of
from worldloom.apps.batch.spec import ScenarioSpec
from worldloom.apps.batch.store import open_store
from worldloom.errors import InputError


@dataclass(frozen=True)
class Bounds:
    """What a scenario must be to be chosen; None asks for nothing."""

    min_risk: float | None = None
    max_risk: float | None = None
    collided: bool | None = None
    min_pdms: float | None = None
    max_pdms: float | None = None
    min_realism: float | None = None
    min_physics: float | None = None
    unknown: str = "drop"  # scenarios of which an asked number is not known: drop or keep

    def __post_init__(self) -> None:
        if self.unknown not in ("drop", "keep"):
            raise InputError(f"expected --unknown drop or keep, got {self.unknown!r}")
        shares = {
            "--min-risk": self.min_risk,
            "--max-risk": self.max_risk,
            "--min-pdms": self.min_pdms,
            "--max-pdms": self.max_pdms,
            "--min-realism": self.min_realism,
        }
        for name, value in shares.items():
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"expected {name} from 0 to 1, got {value:g}")
        if self.min_physics is not None and not self.min_physics <= 1:
            raise InputError(f"expected --min-physics of at most 1, got {self.min_physics:g}")
        if all(value is None for value in (*shares.values(), self.min_physics, self.collided)):
            raise InputError("expected something to choose by, such as --max-risk 0.2 or --no-collided, got nothing")

    def reason(self, result: Result) -> str | None:
        """Why a scenario is not chosen; None if it is."""
        limits = (
            ("risk", result.risk, self.min_risk, self.max_risk),
            ("PDMS-occ", result.number("PDMS-occ"), self.min_pdms, self.max_pdms),
            ("realism", result.number("realism"), self.min_realism, None),
            ("physics", result.number("physics"), self.min_physics, None),
        )
        for name, value, low, high in limits:
            if low is None and high is None:
                continue
            if value is None:
                if self.unknown == "drop":
                    return f"{name} not known"
            elif low is not None and value < low:
                return f"{name} too low"
            elif high is not None and value > high:
                return f"{name} too high"
        if self.collided is not None:
            if result.collided is None:
                return "collision not known" if self.unknown == "drop" else None
            if result.collided != self.collided:
                return "collided" if result.collided else "did not collide"
        return None


def filter_batch(address: str, out: Path, bounds: Bounds) -> int:
    """Write the specs of those that are chosen; returns the exit code: 3 where none is, and nothing is written.

    Raises:
        InputError: no batch there.
    """
    batch, console = open_batch(open_store(address)), Console(stderr=True)
    dropped = Counter[str]()

    def chosen() -> Iterator[ScenarioSpec]:
        for result in results_of(batch):
            reason = bounds.reason(result)
            if reason is None:
                yield result.spec
            else:
                dropped[reason] += 1

    specs, count = chosen(), 0
    first = next(specs, None)
    if first is not None:
        count = save_manifest(out, itertools.chain([first], specs))
    for reason, number in dropped.most_common():
        console.print(f"  {number} {reason}", highlight=False)
    console.print(f"{count} of {count + dropped.total()} finished scenarios are chosen", highlight=False)
    if not count:
        return 3
    console.print(f"{out} names them: export and report take it with --only", highlight=False, soft_wrap=True)
    return 0
