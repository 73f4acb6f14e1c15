"""The benchmark of the doors: what its rows say follows from what was measured."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from worldloom.apps.bench.apps.agreement import FLOOR, MODEL, rows_of
from worldloom.apps.bench.apps.batch import steady_rate
from worldloom.apps.bench.publish import agreement_words
from worldloom.occupancy.simulation.comparison import SCORES, Comparison

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def compared(noise: float, starts: int = 6) -> Comparison:
    dice = np.random.default_rng(1)
    truth = dice.random((5, 1)) + 0.1 * dice.random((5, starts))
    model = truth + noise * dice.standard_normal((5, starts))
    names = ("stands", "calm", "brisk", "blind", "erratic")
    return Comparison(names, {score: np.stack([model, truth]) for score in SCORES})


def test_rows_of_agreement_hold_intervals_a_floor_and_every_policy() -> None:
    model, floor = compared(0.1), compared(2.0)
    rows = {row.metric: row for row in rows_of({MODEL: model, FLOOR: floor}, 8.0, lost=2)}
    found = rows["policy_correlation"]
    assert found.value == model.correlation()
    assert found.baseline["95 % low"] <= found.value <= found.baseline["95 % high"]
    assert found.baseline["floor"] == floor.correlation()
    assert rows["policy_rank_correlation"].value == model.correlation(ranks=True)
    assert set(rows["policy_pdms_model"].baseline) == set(rows["policy_pdms_truth"].baseline) == set(model.policies)
    assert rows["policy_pdms_truth"].baseline["calm"] == pytest.approx(100 * model.scores["pdms"][1, 1].mean())
    apart = np.abs(model.scores["pdms"][0] - model.scores["pdms"][1]).mean()
    assert rows["policy_score_difference"].value == pytest.approx(100 * apart)
    assert (rows["policy_starts"].value, rows["policy_starts"].baseline["not driven"]) == (6, 2)
    assert "5 policies, 6 starts" in found.note
    said = agreement_words([{"benchmark": "apps", "rows": [row.to_json() for row in rows.values()]}])
    assert f"**{found.value:.2f}**" in said


def test_a_steady_rate_leaves_the_first_result_of_each_worker_out() -> None:
    entries = [
        {"worker": worker, "at": at, "seconds": {"model": 1.5, "files": 0.3}}
        for worker in ("a", "b")
        for at in (10.0, 12.0, 14.0)
    ]
    per_hour, beyond = steady_rate(entries)
    assert per_hour == pytest.approx(3600.0)  # two workers, two seconds each
    assert beyond == pytest.approx(6 * 0.2)
    assert all(math.isnan(number) for number in steady_rate(entries[:1]))


def test_every_number_that_was_promised_is_published() -> None:
    published = {row["metric"] for row in json.loads((RESULTS / "apps.json").read_text())["rows"]}
    promised = {
        "env_steps_per_s", "env_steps_per_s_camera", "branch_speedup", "serve_p95_ms", "serve_rps", "serve_errors",
        "batch_scenarios_per_hour", "batch_overhead", "kill_resume_lost", "app_first_paint_s", "app_scene_to_walk_s",
        "viewer_fps", "policy_correlation", "policy_rank_correlation",
    }  # fmt: skip
    assert promised <= published


@pytest.mark.slow
def test_policies_are_compared_in_towns() -> None:
    pytest.importorskip("shapely", reason="towns need the extra `synth`")
    pytest.importorskip("libsumo", reason="traffic needs the extra `traffic`")
    from worldloom.apps.bench.apps.agreement import agreement_rows
    from worldloom.occupancy.world_model import WorldModel

    rows = {row.metric: row for row in agreement_rows(WorldModel.from_pretrained("small"), quick=True)}
    assert rows["policy_starts"].value == 2
    assert 0 <= rows["policy_pdms_truth"].value <= 100
    assert rows["policy_correlation"].value > 0.5
