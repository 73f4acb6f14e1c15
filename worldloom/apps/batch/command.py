"""`worldloom batch plan`, `run` and `resume`: from options to files, a tally and an exit code."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from worldloom.apps.batch.backends import NAMES, Backend
from worldloom.apps.batch.driving.kind import DrivingKind
from worldloom.apps.batch.engine import RETRIES, OutOfRoom, Tally, drive, missing
from worldloom.apps.batch.folder import Batch, begin_batch, check_beginning, open_batch, resuming
from worldloom.apps.batch.manifest import check_manifest
from worldloom.apps.batch.plan import write_plan
from worldloom.apps.batch.progress import Progress, duration
from worldloom.apps.batch.shard import Kind
from worldloom.apps.batch.store import Store, driving_alone, open_store
from worldloom.apps.batch.sweep import load_values, sweep_from_json
from worldloom.apps.termination import TERMINATED, Terminated, terminable
from worldloom.errors import InputError

DONE, FAILED, NOTHING_TO_DO = 0, 1, 3  # exit codes; bad input is 2, Ctrl-C 130, SIGTERM 143
MAX_WORKERS = 4096
SHOWN = 10  # scenarios that a dry run and a message name


@dataclass(frozen=True)
class RunOptions:
    """How a batch is made; nothing of it changes what comes out."""

    backend: str = "local"
    num_workers: int | None = None  # the machine's cores, as far as memory allows, if not given
    limit: int | None = None
    dry_run: bool = False
    retries: int = RETRIES
    timeout: float | None = None  # seconds for a scenario
    pardon: bool = False
    scratch: str | None = None
    address: str | None = None  # of a Ray cluster; "slurm", "local" or "debug" for Slurm
    chunk: int = 200  # scenarios of a Slurm job
    slurm: tuple[str, ...] = ()  # further parameters of submitit, NAME=VALUE

    def __post_init__(self) -> None:
        if self.backend not in NAMES:
            raise InputError(f"expected --backend {', '.join(NAMES)}, got {self.backend!r}")
        if self.num_workers is not None and not 1 <= self.num_workers <= MAX_WORKERS:
            raise InputError(f"expected --num-workers from 1 to {MAX_WORKERS}, got {self.num_workers}")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"expected a --limit of 1 or more, got {self.limit}")
        if not 0 <= self.retries <= 100:
            raise InputError(f"expected 0 to 100 --retries, got {self.retries}")
        if self.timeout is not None and not self.timeout > 0:
            raise InputError(f"expected a --timeout above 0 s, got {self.timeout:g}")
        if not 1 <= self.chunk <= 100_000:
            raise InputError(f"expected a --chunk of 1 to 100000 scenarios, got {self.chunk}")


def plan_batch(out: Path, sweep: Path | None, options: dict[str, Any]) -> str:
    """Write a manifest from a sweep's file, with options in place of its keys; returns what is in it, in words.

    Raises:
        InputError: neither gives a source, or no scenario comes of it.
    """
    given = load_values(sweep) if sweep is not None else {}
    if sweep is None and "sources" not in options:
        raise InputError("expected --clip, --occ3d, --towns or --sweep to make scenarios of, got none")
    folder = sweep.parent if sweep is not None else Path()
    values = {**given, **options} if isinstance(given, dict) else given
    planned = write_plan(sweep_from_json(values, str(sweep or "the options"), folder), out)
    console = Console(stderr=True)
    for reason, count in sorted(planned.left_out.items()):
        console.print(f"left out: {count} {reason}", highlight=False)
    return f"{planned.scenarios} scenarios, of {planned.sources} {'source' if planned.sources == 1 else 'sources'}"


def run_batch(manifest: Path, out: str, options: RunOptions, kind: Kind | None = None) -> int:
    """Begin a batch and make it; returns the exit code.

    Raises:
        InputError: bad options or manifest, or something at `out` already.
    """
    console = Console(stderr=True)
    store = open_store(out, options.scratch)
    if options.dry_run:
        facts = check_manifest(manifest)
        console.print(f"would make {_some(facts.count, options.limit)} in {store.address}", highlight=False)
        return DONE
    beginning = check_beginning(store, manifest)  # before a lock, or anything else, is left there
    with driving_alone(store):
        return _make(begin_batch(store, manifest, beginning), options, console, kind)


def resume_batch(address: str, options: RunOptions, kind: Kind | None = None) -> int:
    """Make what is missing of a batch; returns the exit code.

    Raises:
        InputError: no batch there, or one that was begun with other code or weights.
    """
    console = Console(stderr=True)
    store = open_store(address, options.scratch)
    batch = open_batch(store)
    batch.check_makers()
    if options.dry_run:
        titles = [task.title for task in missing(batch.ledger, batch.tasks(), options.pardon)]
        console.print(f"would make {_some(len(titles), options.limit)} of {batch.count}", highlight=False)
        for title in titles[: min(SHOWN, options.limit or SHOWN)]:
            console.print(f"  {title}", highlight=False, markup=False)
        return DONE if titles else NOTHING_TO_DO
    with driving_alone(store):
        return _make(batch, options, console, kind)


def _make(batch: Batch, options: RunOptions, console: Console, kind: Kind | None) -> int:
    kind = kind or DrivingKind(batch.cache())
    progress = Progress(console, batch.count, options.limit)
    console.print(f"{batch.count} scenarios in {batch.store.address}", highlight=False, soft_wrap=True)
    try:
        with terminable(), batch.ledger.journal() as journal, progress.shown():
            backend = open_backend(batch.store, kind, options)
            tally = drive(
                batch.ledger, batch.tasks(), backend, journal, progress,
                limit=options.limit, retries=options.retries, pardon=options.pardon,
            )  # fmt: skip
    except (KeyboardInterrupt, Terminated) as stop:
        console.print(f"stopped; go on with: {resuming(batch.store)}", highlight=False, soft_wrap=True)
        if isinstance(stop, KeyboardInterrupt):
            raise
        return TERMINATED
    except OutOfRoom as error:
        said = f"{error}; what is finished is kept, go on with: {resuming(batch.store)}"
        console.print(said, highlight=False, soft_wrap=True)
        return FAILED
    _say(batch, tally, progress, console)
    if tally.failed:
        return FAILED
    return NOTHING_TO_DO if tally.nothing_to_do else DONE


def open_backend(store: Store, kind: Kind, options: RunOptions) -> Backend:
    """The backend of that name.

    Raises:
        MissingExtra: Ray or submitit is not installed.
    """
    if options.backend == "inline":
        from worldloom.apps.batch.backends.inline import InlineBackend

        return InlineBackend(store, kind)
    if options.backend == "ray":
        from worldloom.apps.batch.backends.ray_cluster import RayBackend

        return RayBackend(
            store.address, kind, options.num_workers, options.timeout, options.scratch, options.address
        )  # fmt: skip
    if options.backend == "slurm":
        from worldloom.apps.batch.backends.slurm import SlurmBackend

        return SlurmBackend(
            store.address, kind, options.num_workers or 1, options.chunk, options.timeout, options.scratch,
            options.address, options.slurm,
        )  # fmt: skip
    from worldloom.apps.batch.backends.local import LocalBackend

    if store.address.startswith("memory://"):
        raise InputError("memory:// lives in one process; expected --backend inline for it, got local")
    return LocalBackend(store.address, kind, options.num_workers or usual_workers(), options.timeout, options.scratch)


def usual_workers() -> int:
    """One worker for each core, at most two gigabytes of memory for each."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), memory // (2 << 30)))


def _say(batch: Batch, tally: Tally, progress: Progress, console: Console) -> None:
    rate = progress.per_hour()
    parts = [f"{tally.made} made" + (f" ({rate:.0f}/h)" if rate else "")]
    for count, word in (
        (tally.there, "there before"),
        (tally.retried, "attempts repeated"),
        (tally.quarantined, "quarantined"),
        (tally.in_quarantine, "in quarantine before"),
        (batch.count - tally.done, "left for later"),
    ):
        if count:
            parts.append(f"{count} {word}")
    console.print("; ".join(parts), highlight=False, soft_wrap=True)
    if tally.failed:
        console.print(f"why: {batch.store.address}/quarantine; again with --retry-quarantined", highlight=False)
    elif tally.nothing_to_do:
        console.print("nothing to do: every scenario is there", highlight=False)
    elif tally.done < batch.count and rate:
        left = duration(3600 * (batch.count - tally.done) / rate)
        console.print(f"the rest would take {left} at this rate", highlight=False)


def _some(count: int, limit: int | None) -> str:
    return f"{count if limit is None else min(count, limit)} scenarios"
