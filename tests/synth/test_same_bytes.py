"""The same seed gives the same bytes in every process, whatever its hash seed and number of threads."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("libsumo", reason="towns need the extra `traffic`")
pytest.importorskip("embreex", reason="rays need the extra `synth`")

from tests.synth.digests import steered
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.simulator import Simulator, Snapshot


@pytest.fixture(scope="module")
def answers() -> list[dict[str, Any]]:
    """All digests from two processes."""
    program = Path(__file__).with_name("digests.py")
    results = []
    for hash_seed, threads in (("1", "1"), ("12345", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": threads}
        command = [sys.executable, str(program)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        results.append(json.loads(done.stdout.splitlines()[-1]))
    return results


def test_everything_made_by_seed(answers: list[dict[str, Any]]) -> None:
    one, other = answers
    assert one == other
    assert len(set(one["digests"].values())) == len(one["digests"]) == 8


def test_a_snapshot_of_another_process(small_town: Town, answers: list[dict[str, Any]]) -> None:
    with Simulator(small_town, seed=1, density=2.0) as simulator:
        simulator.load(Snapshot.from_bytes(bytes.fromhex(answers[0]["snapshot"])))
        assert steered(simulator) == answers[0]["after"]
