"""The doors of `worldloom batch`. Nothing heavy is imported before a verb is called."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

batch = typer.Typer(
    help="Make many driving scenarios: plan, run, resume, verify, filter, export, report.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Address = Annotated[str, typer.Argument(help="The batch: a folder, or an address that fsspec knows (s3://…).")]
Only = Annotated[
    Path | None, typer.Option(help="A manifest of some of the batch's scenarios, such as `filter` writes.")
]
Backend = Annotated[str, typer.Option(help="local (processes), ray, slurm, or inline (this process).")]
Workers = Annotated[int | None, typer.Option(help="Workers; any number makes the same bytes. Default: one a core.")]
Limit = Annotated[int | None, typer.Option(help="Make so many scenarios, then stop.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be made, and make nothing.")]
Retries = Annotated[int, typer.Option(help="Further attempts for a scenario that fails, before it is quarantined.")]
Timeout = Annotated[float | None, typer.Option(help="Seconds that a scenario may take.")]
Scratch = Annotated[str | None, typer.Option(help="Folder to build in, where the batch is in an object store.")]
Where = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Address of a Ray cluster (auto finds one; a new one here if not given), or slurm, local, debug.",
    ),
]
Chunk = Annotated[int, typer.Option(help="Scenarios of one Slurm job.")]
Slurm = Annotated[
    list[str] | None,
    typer.Option("--slurm", help="Of Slurm jobs: NAME=VALUE as submitit has it, such as slurm_partition=cpu."),
]


@batch.command()
def plan(
    out: Annotated[Path, typer.Option(help="The manifest to write, a .jsonl file.")],
    sweep: Annotated[Path | None, typer.Option(help="A sweep in YAML; options below replace what it says.")] = None,
    clip: Annotated[list[str] | None, typer.Option(help="A clip file, or sample:street. Several are allowed.")] = None,
    occ3d: Annotated[list[str] | None, typer.Option(help="A data set with gts/: nuScenes with Occ3D labels.")] = None,
    split: Annotated[str | None, typer.Option(help="Of the data sets: train or val.")] = None,
    towns: Annotated[str | None, typer.Option(help="Seeds of synthetic towns, FIRST:END; END is not one.")] = None,
    drives: Annotated[int | None, typer.Option(help="Drives in each town.")] = None,
    every: Annotated[int | None, typer.Option(help="Frames between moments that are the present.")] = None,
    past: Annotated[int | None, typer.Option(help="Frames that are given.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Frames to make, two a second.")] = None,
    path: Annotated[
        str | None,
        typer.Option(help="straight, left, right, stop, log, policy, joint, video, or files; commas between."),
    ] = None,
    speed: Annotated[str | None, typer.Option(help="Of manoeuvres, m/s; commas between.")] = None,
    agents: Annotated[str | None, typer.Option(help="all, or how many of those seen stay; commas between.")] = None,
    seeds: Annotated[str | None, typer.Option(help="FIRST:END, or numbers with commas between.")] = None,
    model: Annotated[str | None, typer.Option(help="Weights: a name, a folder, or copy-warp.")] = None,
    futures: Annotated[int | None, typer.Option(help="Futures of each scenario.")] = None,
    sample: Annotated[int | None, typer.Option(help="Take so many of all scenarios at random.")] = None,
) -> None:
    """Write a manifest: one scenario a line, from clips, data sets, towns, or a sweep."""
    from worldloom.apps.batch.command import plan_batch

    sources: list[dict[str, Any]] = [{"clip": _from_here(one)} for one in clip or ()]
    sources += [{"occ3d": _from_here(one), **({"split": split} if split else {})} for one in occ3d or ()]
    if towns is not None:
        sources.append({"towns": towns, **({"drives": drives} if drives is not None else {})})
    options = {
        "sources": sources or None,
        "moments": None if every is None else {"every": every},
        "past": past,
        "horizon": horizon,
        "path": None if path is None else [_from_here(word) for word in path.split(",")],
        "speed": _numbers(speed),
        "agents": _numbers(agents),
        "seeds": _seeds(seeds),
        "model": model,
        "futures": futures,
        "sample": sample,
    }
    planned = plan_batch(out, sweep, {key: value for key, value in options.items() if value is not None})
    typer.echo(f"{out} has {planned}; make them with: worldloom batch run {shlex.quote(str(out))} --out BATCH")


@batch.command()
def run(
    manifest: Annotated[Path, typer.Argument(help="Scenarios to make, as `plan` writes them.")],
    out: Annotated[str, typer.Option(help="The batch to begin: a new folder, or an address that fsspec knows.")],
    backend: Backend = "local",
    num_workers: Workers = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    retries: Retries = 2,
    timeout: Timeout = None,
    scratch: Scratch = None,
    cluster: Where = None,
    chunk: Chunk = 200,
    slurm: Slurm = None,
) -> None:
    """Begin a batch and make its scenarios. Exit code 1: some failed; 3: there was nothing to do."""
    from worldloom.apps.batch.command import RunOptions, run_batch

    options = RunOptions(
        backend, num_workers, limit, dry_run, retries, timeout, False, scratch, cluster, chunk, tuple(slurm or ())
    )
    raise typer.Exit(run_batch(manifest, out, options))


@batch.command()
def resume(
    batch: Address,
    backend: Backend = "local",
    num_workers: Workers = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    retries: Retries = 2,
    timeout: Timeout = None,
    retry_quarantined: Annotated[bool, typer.Option("--retry-quarantined", help="Try what failed before.")] = False,
    scratch: Scratch = None,
    cluster: Where = None,
    chunk: Chunk = 200,
    slurm: Slurm = None,
) -> None:
    """Make what is missing of a batch, after a kill, a full disk or a --limit. Exit code 3: nothing was missing."""
    from worldloom.apps.batch.command import RunOptions, resume_batch

    options = RunOptions(
        backend, num_workers, limit, dry_run, retries, timeout, retry_quarantined, scratch, cluster, chunk,
        tuple(slurm or ()),
    )  # fmt: skip
    raise typer.Exit(resume_batch(batch, options))


@batch.command()
def verify(
    batch: Address,
    remake: Annotated[int, typer.Option(help="Also make so many shards again, and compare every byte.")] = 0,
) -> None:
    """Hold every file against its hash, every shard against the manifest. Exit code 1: something is wrong."""
    from worldloom.apps.batch.verify import verify_batch

    raise typer.Exit(verify_batch(batch, remake))


@batch.command("filter")
def select(
    batch: Address,
    out: Annotated[Path, typer.Option(help="The manifest to write, of those that are chosen.")],
    max_risk: Annotated[
        float | None, typer.Option(help="The model's own: collision or leaving the road, 0 to 1.")
    ] = None,
    min_risk: Annotated[float | None, typer.Option(help="For dangerous ones.")] = None,
    collided: Annotated[
        bool | None, typer.Option("--collided/--no-collided", help="The ego meets an obstacle in the made frames.")
    ] = None,
    min_pdms: Annotated[float | None, typer.Option(help="PDMS-occ, 0 to 1.")] = None,
    max_pdms: Annotated[float | None, typer.Option(help="PDMS-occ, 0 to 1.")] = None,
    min_realism: Annotated[float | None, typer.Option(help="0 to 1; truth has 0.6 or so.")] = None,
    min_physics: Annotated[
        float | None, typer.Option(help="1 is without a violation, 0 as frames in no order.")
    ] = None,
    unknown: Annotated[
        str, typer.Option(help="Scenarios of which an asked number is not known: drop or keep.")
    ] = "drop",
) -> None:
    """Choose scenarios by what came of them. Exit code 3: none is left."""
    from worldloom.apps.batch.select import Bounds, filter_batch

    bounds = Bounds(min_risk, max_risk, collided, min_pdms, max_pdms, min_realism, min_physics, unknown)
    raise typer.Exit(filter_batch(batch, out, bounds))


@batch.command()
def export(
    batch: Address,
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    to: Annotated[
        str, typer.Option(help="nuscenes (with Occ3D labels), scenarionet, openscenario, video; commas between.")
    ] = "nuscenes",
    only: Only = None,
    limit: Annotated[int | None, typer.Option(help="So many scenarios at most.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export at --out.")] = False,
) -> None:
    """Write scenarios in formats of others. Exit code 1: some could not be; 3: there was none."""
    from worldloom.apps.batch.export import export_batch

    raise typer.Exit(export_batch(batch, out, tuple(to.split(",")), only, limit, force))


@batch.command()
def report(
    batch: Address,
    out: Annotated[Path, typer.Option(help="The page, an .html file; the numbers are written beside it as .json.")],
    only: Only = None,
    pictures: Annotated[int, typer.Option(help="Scenarios that are shown.")] = 24,
) -> None:
    """One page with pictures and distributions that needs no network, and the numbers as JSON."""
    from worldloom.apps.batch.report import report_batch

    raise typer.Exit(report_batch(batch, out, only, pictures))


def _from_here(word: str) -> str:
    """A path as seen from the working folder, not from the sweep's; other words as they are."""
    word = word.strip()
    return word if word.startswith("sample:") or not Path(word).exists() else str(Path(word).absolute())


def _numbers(text: str | None) -> list[Any] | None:
    """Words with commas between, those that are numbers as numbers."""
    return None if text is None else [_plain(word.strip()) for word in text.split(",")]


def _seeds(text: str | None) -> Any:
    return text if text is None or ":" in text else _numbers(text)


def _plain(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
