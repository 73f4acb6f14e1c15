"""The files of a driving scenario's shard.

scenario.json  the spec, and what made it
scores.json    risk, driving score, physics, realism, and agreement with the truth where there is one
future.npz     the present frame, the future, and everybody's box; future-01.npz … where all futures are kept
preview.png    the present and the end from above
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from worldloom.apps.batch.driving.future_file import load_future, save_future
from worldloom.apps.batch.driving.simulate import Given, prepare, simulate, world_model
from worldloom.apps.batch.spec import COPY_WARP, ScenarioSpec, spec_from_json
from worldloom.errors import InputError
from worldloom.geometry import Occupancy
from worldloom.geometry.io.images import image_size, save_image
from worldloom.geometry.io.json_file import load_json
from worldloom.occupancy.forecast import copy_warp
from worldloom.occupancy.future_path import first_off_log
from worldloom.occupancy.metrics import score_forecast
from worldloom.occupancy.metrics.scenario import from_now, score_scenario
from worldloom.occupancy.world_model import Futures
from worldloom.render.drive_film import view_from_above

SCENARIO, SCORES, PREVIEW = "scenario.json", "scores.json", "preview.png"
_PIXELS = 176  # rows and columns of each of the two maps


@dataclass(frozen=True)
class DrivingKind:
    """What the engine is told about driving."""

    cache: str  # folder for towns' drives

    def open(self) -> None:
        """Nothing: models are loaded by the first scenario that wants them."""
        torch.set_num_threads(1)  # sums are taken in one order, whatever the machine

    def make(self, spec: dict[str, Any], folder: Path) -> dict[str, float]:
        """Write the files; returns seconds of each part."""
        return _make(spec_from_json(spec, "spec"), Path(self.cache), folder)

    def check(self, spec: dict[str, Any], folder: Path) -> None:
        """Read everything back.

        Raises:
            InputError: a file is missing, damaged or of another scenario.
        """
        _check(spec_from_json(spec, "spec"), folder)


def _make(spec: ScenarioSpec, cache: Path, folder: Path) -> dict[str, float]:
    clock = _Clock()
    given = prepare(spec, cache)
    clock.lap("source")
    if spec.drawing.model != COPY_WARP:
        world_model(spec.drawing.model)
    clock.lap("load")
    futures = simulate(spec, given)
    clock.lap("model")
    scores = _scores(spec, given, futures)
    clock.lap("scores")
    _write_json(folder / SCENARIO, {"spec": spec.to_json(), "title": spec.title, "world": _world(given)})
    _write_json(folder / SCORES, scores)
    for i, name in enumerate(future_names(spec)):
        save_future(folder / name, from_now(given.past, futures.occupancy[i]), futures.users[i])
    clock.lap("files")
    save_image(folder / PREVIEW, _preview(given.past, futures.occupancy[0]))
    clock.lap("picture")
    return clock.seconds


def _check(spec: ScenarioSpec, folder: Path) -> None:
    found = spec_from_json(load_json(folder / SCENARIO, dict).get("spec"), SCENARIO)
    if found.key != spec.key:
        raise InputError(f"{SCENARIO}: expected the scenario {spec.title}, got {found.title}")
    load_json(folder / SCORES, dict)
    for name in future_names(spec):
        clip, _ = load_future(folder / name)
        if len(clip) != spec.horizon + 1:
            raise InputError(f"{name}: expected {spec.horizon + 1} frames, got {len(clip)}")
    image_size(folder / PREVIEW)


def future_names(spec: ScenarioSpec) -> list[str]:
    """Files of the futures that a scenario keeps."""
    count = {"none": 0, "first": 1, "all": spec.drawing.num_futures}[spec.keep]
    return ["future.npz", *(f"future-{i:02d}.npz" for i in range(1, count))][:count]


def _scores(spec: ScenarioSpec, given: Given, futures: Futures) -> dict[str, Any]:
    """All that is known about a future, as plain JSON."""
    facts: dict[str, Any] = {"added_agents_overlap": [round(share, 4) for share in given.cast.overlaps]}
    if not spec.score:
        return facts
    risk = futures.risk if len(futures.risk) else None
    facts |= score_scenario(given.past, futures.occupancy, risk).to_json()
    if spec.drawing.num_futures > 1:
        facts["uncertainty"] = round(float(futures.uncertainty().mean()), 6)
    facts["truth"] = _against_truth(spec, given, futures.occupancy[0])
    return facts


def _against_truth(spec: ScenarioSpec, given: Given, future: Occupancy) -> dict[str, Any] | None:
    """Agreement with what was seen, where the ego drives as it did among those who were there; and the floor's."""
    untouched = spec.agents.keep is None and not spec.agents.add
    if given.truth is None or given.ego_path is None or not untouched:
        return None
    if first_off_log(given.ego_path, given.truth) is not None:
        return None
    n = len(given.truth)
    end, last = given.truth[n - 1 :], slice(n - 1, n)
    floor = copy_warp(given.past, given.ego_path[:n])
    made = {"model": future, "copy_warp": floor}
    scored = {name: score_forecast(replace(f[last], dt=end.dt), end) for name, f in made.items()}
    return {
        "seconds": round(n * end.dt, 3),  # ahead: that frame alone is compared
        "protocol": next(iter(scored.values())).protocol(),
        **{f"miou_{name}": _percent(score.miou().item()) for name, score in scored.items()},
        **{f"iou_{name}": _percent(score.group_iou().item()) for name, score in scored.items()},
    }


def _world(given: Given) -> dict[str, Any]:
    """Where the scenario lies in the world of its source."""
    pose = given.past.world_from_ego[-1].double()
    return {"world_from_ego": pose.tolist(), "dt": given.past.dt, "frames_of_truth": len(given.truth or ())}


def _preview(past: Occupancy, future: Occupancy) -> torch.Tensor:
    clip = replace(
        past,
        labels=torch.cat([past.labels, future.labels]),
        observed=torch.cat([past.observed, future.observed]),
        world_from_ego=torch.cat([past.world_from_ego.double(), future.world_from_ego.double()]),
    )
    maps = [view_from_above(clip, len(past), i, _PIXELS) for i in (len(past) - 1, len(clip) - 1)]
    return torch.cat(maps, 2)


def _percent(value: float) -> float | None:
    return round(100 * value, 3) if value == value else None


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")


class _Clock:
    """Seconds of one part after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 4)
        self._last = now
