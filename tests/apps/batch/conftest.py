"""A small batch of driving scenarios, made once."""

from pathlib import Path

import pytest

from worldloom.apps.batch.command import RunOptions, run_batch
from worldloom.apps.batch.folder import Batch, open_batch
from worldloom.apps.batch.plan import write_plan
from worldloom.apps.batch.store import LocalStore
from worldloom.apps.batch.sweep import sweep_from_json

# Without a network and with three frames to make, a scenario costs less than a second.
SMALL = {
    "sources": [{"clip": "sample:street"}],
    "moments": [3, 9],
    "past": 3,
    "horizon": 3,
    "path": ["log", "left"],
    "speed": [5],
    "agents": ["all", {"keep": 1, "add": {"kind": "truck", "ahead": 9, "left": 0, "heading_deg": 180, "speed": 6}}],
    "model": "copy-warp",
}


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight scenarios: as logged and to the left, as seen and with a truck that comes towards the ego."""
    path = tmp_path_factory.mktemp("plan") / "manifest.jsonl"
    assert write_plan(sweep_from_json(SMALL, "small"), path).scenarios == 8
    return path


@pytest.fixture(scope="session")
def made(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """All of them made, in this process. Nobody may change it."""
    out = tmp_path_factory.mktemp("made") / "batch"
    assert run_batch(manifest, str(out), RunOptions(backend="inline")) == 0
    return open_batch(LocalStore(out))
