"""A sweep becomes scenarios: every source, moment, way, speed, set of agents and seed."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from worldloom.apps.batch.driving.sources import clip_path, file_hash, frames_hash, occ3d_scenes, source_frames
from worldloom.apps.batch.manifest import MAX_SCENARIOS, save_manifest
from worldloom.apps.batch.spec import POSES, ClipSource, Occ3dSource, ScenarioSpec, Source, TownSource
from worldloom.apps.batch.sweep import Clips, Moments, Occ3dScenes, Sweep, Towns, Way
from worldloom.apps.drive import LOG
from worldloom.errors import InputError
from worldloom.geometry.manoeuvres import MANOEUVRES
from worldloom.occupancy.data.clips import open_nuscenes


@dataclass
class Plan:
    """What was planned, and what was left out and why."""

    scenarios: int = 0
    sources: int = 0  # clips, scenes and drives
    left_out: Counter[str] = field(default_factory=Counter)


def write_plan(sweep: Sweep, path: Path) -> Plan:
    """Write the manifest of a sweep; the same sweep of the same data gives the same bytes.

    Raises:
        InputError: no scenario comes of it, or too many; sources that are not there.
    """
    plan = Plan()
    specs = scenarios(sweep, plan)
    if sweep.sample is not None:
        count = sum(1 for _ in scenarios(sweep, Plan()))
        chosen = frozenset(random.Random(sweep.sample_seed).sample(range(count), min(sweep.sample, count)))
        specs = (spec for i, spec in enumerate(specs) if i in chosen)
    first = next(specs, None)
    if first is None:
        why = "; ".join(f"{count} {reason}" for reason, count in sorted(plan.left_out.items()))
        raise InputError(f"expected at least one scenario, got none{f': {why}' if why else ''}")
    plan.scenarios = save_manifest(path, itertools.chain([first], specs))
    return plan


def scenarios(sweep: Sweep, plan: Plan) -> Iterator[ScenarioSpec]:
    """All scenarios, those of one source one after another; what cannot be is counted in the plan.

    Raises:
        InputError: sources that are not there, or numbers that no scenario can have.
    """
    seen: set[bytes] = set()
    for source, frames in _sources(sweep):
        plan.sources += 1
        for now in _moments(sweep.moments, sweep.past, frames):
            if not sweep.past - 1 <= now < frames:
                plan.left_out["moments that the source does not have"] += 1
                continue
            here = _at_moment(source, sweep, now, frames)
            for spec in _of_moment(here, sweep, now, frames, plan):
                key = bytes.fromhex(spec.key)
                if key in seen:
                    plan.left_out["scenarios that are there already"] += 1
                    continue
                seen.add(key)
                if len(seen) > MAX_SCENARIOS:
                    raise InputError(f"expected at most {MAX_SCENARIOS} scenarios, got more; take a sample of them")
                yield spec


def _of_moment(source: Source, sweep: Sweep, now: int, frames: int, plan: Plan) -> Iterator[ScenarioSpec]:
    for way in sweep.ways:
        if way.word == LOG and now + sweep.horizon >= frames:
            plan.left_out["logged paths that end within the horizon"] += len(sweep.agents) * len(sweep.seeds)
            continue
        forward = way.word in (LOG, POSES, *MANOEUVRES)
        drawing = replace(sweep.drawing, mode="forward" if forward else way.word)
        speeds = sweep.speeds if way.word in MANOEUVRES else (None,)
        for speed, agents, seed in itertools.product(speeds, sweep.agents, sweep.seeds):
            yield ScenarioSpec(
                source=source,
                now=now,
                past=sweep.past,
                horizon=sweep.horizon,
                path=way.word if forward else None,
                speed=speed,
                poses=_steps(way, sweep.horizon),
                agents=agents,
                seed=seed,
                drawing=drawing,
                score=sweep.score,
                keep=sweep.keep,  # pyright: ignore[reportArgumentType]
            )


def _steps(way: Way, horizon: int) -> tuple[tuple[float, float, float], ...] | None:
    if way.steps is None:
        return None
    if len(way.steps) < horizon:
        raise InputError(f"expected a path of at least {horizon + 1} poses, got {len(way.steps) + 1}")
    return way.steps[:horizon]


def _moments(moments: Moments, past: int, frames: int) -> Iterator[int]:
    if moments.frames is not None:
        return iter(moments.frames)
    first = past - 1 if moments.first is None else moments.first
    last = frames - 1 if moments.last is None else min(moments.last, frames - 1)
    return iter(range(first, last + 1, moments.every))


def _sources(sweep: Sweep) -> Iterator[tuple[Source, int]]:
    """Each source with its number of frames; hashes of scenes are filled in for each moment."""
    for given in sweep.sources:
        if isinstance(given, Clips):
            clip = ClipSource(given.path, file_hash(clip_path(given.path)))
            yield clip, source_frames(clip)
        elif isinstance(given, Towns):
            for town, drive, density in itertools.product(given.seeds, range(given.drives), given.density):
                source = TownSource(town, drive, density, given.seconds)
                yield source, source_frames(source)
        else:
            yield from _scenes(given)


def _scenes(given: Occ3dScenes) -> Iterator[tuple[Source, int]]:
    wanted = None
    if given.split is not None or given.scenes is not None:
        wanted = {clip.name for clip in open_nuscenes(given.root, split=given.split, scenes=given.scenes)}
    for name, clip in occ3d_scenes(given.root, given.mask).items():
        if wanted is None or name in wanted:
            yield Occ3dSource(given.root, name, "", given.mask), len(clip)  # pyright: ignore[reportArgumentType]


def _at_moment(source: Source, sweep: Sweep, now: int, frames: int) -> Source:
    if not isinstance(source, Occ3dSource):
        return source
    clip = occ3d_scenes(source.root, source.mask)[source.scene]
    first, last = now - sweep.past + 1, min(now + 1 + sweep.horizon, frames)
    return replace(source, sha256=frames_hash(clip, first, last))
