"""The house itself: rooms import alone and quickly, and the published figures are the measured ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from worldloom import render
from worldloom.apps.bench import publish
from worldloom.ops import sparse

ROOT = Path(__file__).parents[1]
ROOMS = (
    "geometry",
    "geometry.io",
    "ops",
    "ops.sparse",
    "render",
    "synth",
    "recon",
    "scenegen",
    "occupancy",
    "apps.cli",
)
EXTRAS = (
    "gradio",
    "viser",
    "gsplat",
    "spconv",
    "spconv_triton",
    "trimesh",
    "matplotlib",
    "open3d",
    "fast_simplification",
    "pxr",
    "gymnasium",
    "traci",
    "pycolmap",
    "ray",
    "submitit",
)

PROBE = """
import json, resource, sys
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
start = cpu()
import torch
between = cpu()
import importlib
importlib.import_module(sys.argv[1])
print(json.dumps({"torch": between - start, "room": cpu() - between, "modules": sorted(sys.modules)}))
"""


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_extra_and_costs_less_than_torch_itself(room: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, f"worldloom.{room}"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    found = json.loads(done.stdout)
    assert not {module.split(".")[0] for module in found["modules"]} & set(EXTRAS)
    # A ratio in one process, with room for a busy machine: importing a room must stay well below importing torch.
    assert found["room"] < 0.5 * found["torch"] + 0.3, found["room"]


def test_the_native_kernels_were_built() -> None:
    """Their own tests skip where they are missing; only a build that asked for none may be without them."""
    if os.environ.get("WORLDLOOM_NATIVE") == "0":
        pytest.skip("WORLDLOOM_NATIVE=0: a build without native kernels was asked for")
    native = [engine for engine in (*render.backends(), *sparse.backends()) if engine.name == "native"]
    assert [engine.detail for engine in native if not engine.available] == []


def test_published_figures_are_generated_from_the_results() -> None:
    assert publish.main(ROOT, check=True), "run python -m worldloom.apps.bench.publish"
    for result in (ROOT / "benchmarks" / "results").glob("*.json"):
        assert json.loads(result.read_text())["quick"] is False, f"{result.name} is a quick run"


def test_stale_figures_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "README.md").write_text(f"# x\n{publish.BEGIN}\nold\n{publish.END}\nrest\n")
    row = {
        "metric": "a_ms",
        "value": 3.0,
        "unit": "ms",
        "goal": "<= 2",
        "met": False,
        "baseline": {"b": 9.0},
        "note": "",
    }
    machine = {
        "cpu": "c",
        "isa": [],
        "threads": 2,
        "cores": 2,
        "load_before": 0.1,
        "python": "3.11",
        "commit": None,
        "versions": {"torch": "2"},
    }
    result = {"benchmark": "a", "quick": False, "machine": machine, "rows": [row]}
    (tmp_path / "benchmarks" / "results" / "a.json").write_text(json.dumps(result))
    assert not publish.main(tmp_path, check=True)
    publish.main(tmp_path, check=False)
    assert publish.main(tmp_path, check=True)
    assert "| a | a_ms | 3 ms | <= 2 | **no** |" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "README.md").read_text().endswith("rest\n")


def test_the_readme_says_how_well_worlds_agree_in_measured_numbers() -> None:
    intervals = {"95 % low": 0.7, "95 % high": 0.9, "floor": 0.5, "floor 95 % low": 0.2, "floor 95 % high": 0.6}
    rows = {
        "policy_correlation": (0.8, intervals),
        "policy_rank_correlation": (0.75, intervals),
        "policy_score_difference": (21.4, {}),
        "policy_starts": (12, {}),
        "policy_pdms_truth": (50.0, {"calm": 60.0, "mad": 40.0}),
    }
    result = {
        "benchmark": "apps",
        "rows": [{"metric": name, "value": value, "baseline": base} for name, (value, base) in rows.items()],
    }
    said = " ".join(publish.agreement_words([result]).split())
    assert "Over 2 policies and 12 starts" in said
    assert "**0.80** (95 % interval 0.70 to 0.90; their ranks by 0.75" in said
    assert "reaches 0.50 (0.20 to 0.60)" in said
    assert "21 points of 100" in said
    assert publish.agreement_words([{"benchmark": "io", "rows": []}]) == ""
