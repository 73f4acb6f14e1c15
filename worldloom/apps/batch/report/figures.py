"""What a batch comes to: distributions, groups, examples and speed, gathered in one pass."""

import heapq
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from worldloom.apps.batch.results import NUMBERS, Result
from worldloom.apps.batch.spec import source_name

RISK = "risk"
SHOWN = ("collision risk", "off-road risk", "PDMS-occ", "least time to collision", "physics", "realism", "mIoU")
BINS = 20
# Range of each histogram; None is taken from the values.
RANGES: dict[str, tuple[float, float] | None] = {
    "collision risk": (0, 1),
    "off-road risk": (0, 1),
    "PDMS-occ": (0, 1),
    "least time to collision": (0, 3),
    "physics": (0, 1),
    "realism": (0, 1),
    "mIoU": (0, 100),
}


@dataclass
class Group:
    """Scenarios that share a value of an axis."""

    count: int = 0
    collided: int = 0
    looked: int = 0  # of which it is known whether they collided
    numbers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, result: Result) -> None:
        """One more."""
        self.count += 1
        if result.collided is not None:
            self.looked += 1
            self.collided += result.collided
        for name in ("PDMS-occ", "physics", "realism"):
            if (value := result.number(name)) is not None:
                self.numbers[name].append(value)
        if result.risk is not None:
            self.numbers[RISK].append(result.risk)

    def to_json(self) -> dict[str, Any]:
        """Means; null where nothing is known."""
        return {
            "scenarios": self.count,
            "collided_share": self.collided / self.looked if self.looked else None,
            **{f"mean_{name}": statistics.fmean(values) for name, values in sorted(self.numbers.items())},
        }


@dataclass
class Figures:
    """All of it."""

    results: int = 0
    values: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in NUMBERS})
    collided: int = 0
    looked: int = 0
    groups: dict[str, dict[str, Group]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Group)))
    riskiest: list[tuple[float, int, Result]] = field(default_factory=list)
    poorest: list[tuple[float, int, Result]] = field(default_factory=list)
    spread: list[Result] = field(default_factory=list)

    def summary(self, name: str) -> dict[str, Any]:
        """Of one number: how many know it, and where they lie."""
        values = sorted(self.values[name])
        if not values:
            return {"known": 0}
        return {
            "known": len(values),
            "mean": statistics.fmean(values),
            "p05": _quantile(values, 0.05),
            "median": _quantile(values, 0.5),
            "p95": _quantile(values, 0.95),
            "least": values[0],
            "most": values[-1],
        }

    def histogram(self, name: str) -> dict[str, Any]:
        """Counts in BINS equal bins; values beyond the range fall into the outer ones."""
        values = self.values[name]
        low, high = RANGES.get(name) or (min(values, default=0.0), max(values, default=1.0))
        counts = [0] * BINS
        for value in values:
            share = (value - low) / (high - low) if high > low else 0.0
            counts[min(BINS - 1, max(0, math.floor(share * BINS)))] += 1
        return {"low": low, "high": high, "counts": counts}

    def to_json(self) -> dict[str, Any]:
        """For the JSON report."""
        return {
            "scenarios": self.results,
            "collided": {"known": self.looked, "share": self.collided / self.looked if self.looked else None},
            "numbers": {name: self.summary(name) for name in NUMBERS},
            "histograms": {name: self.histogram(name) for name in SHOWN if self.values[name]},
            "groups": {
                axis: {value: group.to_json() for value, group in sorted(groups.items())}
                for axis, groups in self.groups.items()
            },
            "examples": {
                name: [result.shard for result in results] for name, results in self.examples().items() if results
            },
        }

    def examples(self) -> dict[str, list[Result]]:
        """What is shown: no scenario twice."""
        seen: set[str] = set()
        chosen: dict[str, list[Result]] = {}
        rows = {
            "The riskiest, as the model tells": _largest_first(self.riskiest),
            "The lowest driving scores": _largest_first(self.poorest),
            "Some of all, evenly spread": self.spread,
        }
        for name, results in rows.items():
            chosen[name] = [one for one in results if one.shard not in seen]
            seen |= {one.shard for one in results}
        return chosen


def gather(results: Iterable[Result], pictures: int, expected: int) -> Figures:
    """Look at each result once.

    Args:
        pictures: examples to choose: a third by risk, a third by driving score, the rest evenly spread.
        expected: how many results there are, about.
    """
    found = Figures()
    third = max(1, pictures // 3) if pictures else 0
    stride = max(1, expected // max(1, pictures - 2 * third))
    for number, result in enumerate(results):
        found.results += 1
        for name in NUMBERS:
            if (value := result.number(name)) is not None:
                found.values[name].append(value)
        if result.collided is not None:
            found.looked += 1
            found.collided += result.collided
        for axis, value in _axes(result):
            found.groups[axis][value].add(result)
        _keep(found.riskiest, result.risk, -number, result, third)
        score = result.number("PDMS-occ")
        _keep(found.poorest, None if score is None else -score, -number, result, third)
        if number % stride == 0 and len(found.spread) < pictures - 2 * third:
            found.spread.append(result)
    return found


def speed_of(entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """How fast shards were made, by the journal: mean seconds of each part, and scenarios in an hour."""
    parts: dict[str, list[float]] = defaultdict(list)
    causes: Counter[str] = Counter()
    ends: list[float] = []
    workers: set[str] = set()
    for entry in entries:
        if isinstance(entry.get("cause"), str):
            causes[entry["cause"]] += 1
        seconds = entry.get("seconds")
        if not isinstance(seconds, dict) or not seconds:
            continue
        for name, value in seconds.items():
            if isinstance(value, (int, float)):
                parts[name].append(float(value))
        ends.append(float(entry.get("at", 0.0)))
        workers.add(str(entry.get("worker", "")))
    if not ends:
        return {"made": 0, "failed_attempts": dict(causes)}
    # Pauses between runs are no work: gaps ten times longer than usual are left out.
    gaps = [b - a for a, b in zip(sorted(ends)[:-1], sorted(ends)[1:], strict=True)]
    usual = statistics.median(gaps) if gaps else 0.0
    counted = [gap for gap in gaps if gap <= max(60.0, 10 * usual)]
    return {
        "made": len(ends),
        "worker_processes": len(workers),
        "mean_seconds": {name: statistics.fmean(values) for name, values in parts.items()},
        "scenarios_per_hour": 3600 * len(counted) / sum(counted) if counted and sum(counted) > 0 else None,
        "failed_attempts": dict(causes),
    }


def _axes(result: Result) -> list[tuple[str, str]]:
    spec = result.spec
    agents = "as seen" if spec.agents.keep is None else f"{spec.agents.keep} kept"
    agents += "".join(f" + {one.kind}" for one in spec.agents.add)
    axes = [
        ("way", spec.path or spec.drawing.mode),
        ("source", source_name(spec.source)),
        ("agents", agents),
        ("model", spec.drawing.model),
    ]
    if spec.speed is not None:
        axes.append(("speed", f"{spec.speed:g} m/s"))
    return axes


def _keep(heap: list[tuple[float, int, Result]], value: float | None, number: int, result: Result, most: int) -> None:
    """The largest values; `number` falls from result to result, so that of equal ones the first are kept."""
    if value is None or most < 1:
        return
    if len(heap) < most:
        heapq.heappush(heap, (value, number, result))
    elif (value, number) > heap[0][:2]:
        heapq.heapreplace(heap, (value, number, result))


def _largest_first(heap: list[tuple[float, int, Result]]) -> list[Result]:
    return [result for _, _, result in sorted(heap, key=lambda entry: entry[:2], reverse=True)]


def _quantile(ordered: list[float], share: float) -> float:
    """By linear interpolation."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
