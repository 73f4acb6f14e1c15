"""Benchmark rows say what they measured; goals are judged, not set."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from worldloom.apps.bench import command, io, rasterize, sparse
from worldloom.apps.bench.occupancy.likeness import TRUTH, likeness_rows
from worldloom.apps.bench.result import Row, Timing, measure
from worldloom.errors import InputError
from worldloom.occupancy.metrics import split_halves


@pytest.mark.parametrize(
    ("value", "goal", "met"),
    [(14.9, "<= 15", True), (15.1, "<= 15", False), (20, ">= 20", True), (math.nan, "<= 15", False), (3, "", None)],
)
def test_met_follows_from_the_goal(value: float | int, goal: str, met: bool | None) -> None:
    assert Row("m", value, "ms", goal).met is met


def test_a_goal_in_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="goal must read"):
        _ = Row("m", 1, "ms", "< 3").met


def test_methods_are_timed_in_turn() -> None:
    order: list[str] = []
    timings = measure({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3, warmup=1)
    assert order == ["a", "b", "a", "b", "a", "b", "a", "b"]
    assert len(timings["a"].wall) == len(timings["b"].cpu) == 3


def test_an_unwritable_json_is_found_before_measuring(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--json must be a file"):
        command.run_benchmark("io", quick=True, json_path=tmp_path / "no" / "such.json")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row, measured once on a small case: the test looks at no time."""

    def once(calls: dict[str, Callable[[], object]], repeats: int, warmup: int = 2) -> dict[str, Timing]:
        return measure(calls, repeats=1, warmup=0)

    for benchmark in (rasterize, sparse, io):
        monkeypatch.setattr(benchmark, "measure", once)
    monkeypatch.setattr(sparse, "CHANNELS", 8)
    monkeypatch.setattr(io, "_NUM_QUICK", 1000)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["rasterize", "sparse", "io"])
def test_quick_runs_give_every_row_with_machine_facts(name: str, tmp_path: Path) -> None:
    rows = command.run_benchmark(name, quick=True, json_path=tmp_path / "r.json")
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["quick"] is True
    assert [row["metric"] for row in result["rows"]] == [row.metric for row in rows]
    assert all(math.isfinite(row["value"]) for row in result["rows"])
    assert {"cpu", "isa", "threads", "load_before", "versions", "commit"} <= set(result["machine"])
    published = Path(__file__).parents[2] / "benchmarks" / "results" / f"{name}.json"
    # A quick run may leave sizes out; every metric with a goal is in both.
    goals = {row["metric"] for row in json.loads(published.read_text())["rows"] if row["goal"]}
    assert goals == {row.metric for row in rows if row.goal}


def test_likeness_to_truth_has_the_truths_own_floor(capsys: pytest.CaptureFixture[str]) -> None:
    draw = torch.Generator().manual_seed(0)
    truth = torch.randn(400, 6, 4, generator=draw, dtype=torch.float64)
    noise = torch.randn(400, 6, 4, generator=draw, dtype=torch.float64).cumsum(1)
    sets = {TRUTH: truth, "copy + ego-warp": truth + 2 + noise, "model": truth + 0.5 + 0.2 * noise}
    f3d, mmd, gap = likeness_rows(sets, "400 windows of 6 frames")
    for row in (f3d, mmd):
        assert row.baseline[TRUTH] < row.value < row.baseline["copy + ego-warp"]
        assert "d = 4, N = 1200" in row.note
    assert 0 < gap.value < gap.baseline["copy + ego-warp"]
    assert TRUTH not in gap.baseline
    assert likeness_rows({name: some[:2] for name, some in sets.items()}, "") == []
    assert "expected 16 true frames or more in halves of windows, got 12" in capsys.readouterr().err
    assert likeness_rows({name: some[:3] for name, some in sets.items()}, "") == []
    assert "got 12" in capsys.readouterr().err  # one window is in neither half


def test_likeness_asks_both_halves() -> None:
    truth = torch.randn(200, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for half in split_halves(torch.arange(200.0)[:, None], seed=0):
        made = truth.clone()
        made[half[:, 0].long()] += 3
        mmd = likeness_rows({TRUTH: truth, "model": made}, "200 windows")[1]
        assert mmd.value > 10 * max(abs(mmd.baseline[TRUTH]), 1e-6)
