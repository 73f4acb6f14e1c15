"""Ray and Slurm's jobs make the bytes that this process makes, and meet the same faults."""

import os
from pathlib import Path

import pytest

from tests.apps.batch.cheap import Cheap, contents, make, tasks
from worldloom.apps.batch.backends.slurm import SlurmBackend
from worldloom.apps.batch.engine import OutOfRoom
from worldloom.apps.batch.ledger import Ledger
from worldloom.apps.batch.store import LocalStore
from worldloom.errors import InputError, MissingExtra

ROOT = Path(__file__).parents[3]
# submitit leaves the log files of its debug jobs open, Ray its pipes.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::DeprecationWarning",
    "ignore::FutureWarning",
)  # fmt: skip


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    make(LocalStore(tmp_path / "whole"), tasks(8), num_workers=0)
    return contents(tmp_path / "whole")


def without_jobs(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in found.items() if not name.startswith(".slurm/")}


@pytest.mark.slow
def test_ray_makes_the_same_bytes_and_meets_the_same_faults(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="the extra 'distributed' is not installed")
    from worldloom.apps.batch.backends.ray_cluster import RayBackend

    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # Ray's workers are to find the tests
    store = LocalStore(tmp_path / "batch")
    wanted = tasks(8, n1={"do": "raise", "once": str(tmp_path / "raised")}, n4={"do": "die"})
    tally = make(store, wanted, backend=RayBackend(store.address, Cheap(), num_workers=2), retries=1)
    assert (tally.made, tally.quarantined, tally.retried) == (7, 1, 2)
    reasons = Ledger(store).reasons(wanted[4].shard)
    assert reasons is not None
    assert [failure["cause"] for failure in reasons["failures"]] == ["death", "death"]
    assert make(store, tasks(8), 0, pardon=True).made == 1
    assert contents(store.root) == whole


@pytest.mark.parametrize("chunk", [1, 3, 200])
def test_slurm_jobs_make_the_same_bytes(tmp_path: Path, whole: dict[str, bytes], chunk: int) -> None:
    pytest.importorskip("submitit", reason="the extra 'distributed' is not installed")
    store = LocalStore(tmp_path / "batch")
    backend = SlurmBackend(store.address, Cheap(), 2, chunk, cluster="debug")
    tally = make(store, tasks(8, n6={"do": "raise", "once": str(tmp_path / "raised")}), backend=backend)
    assert (tally.made, tally.retried) == (8, 1)
    assert without_jobs(contents(store.root)) == whole


def test_slurm_jobs_meet_a_full_disk(tmp_path: Path, whole: dict[str, bytes]) -> None:
    pytest.importorskip("submitit", reason="the extra 'distributed' is not installed")
    store = LocalStore(tmp_path / "batch")
    with pytest.raises(OutOfRoom):
        make(store, tasks(8, n3={"do": "fill"}), backend=SlurmBackend(store.address, Cheap(), 1, 8, cluster="debug"))
    assert Ledger(store).given_up() == []
    make(store, tasks(8), 0)
    assert without_jobs(contents(store.root)) == whole


@pytest.mark.slow
def test_a_slurm_job_that_dies_blames_the_first_scenario_it_had_not_finished(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="the extra 'distributed' is not installed")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    store = LocalStore(tmp_path / "batch")
    backend = SlurmBackend(store.address, Cheap(), 1, 4, cluster="local")
    tally = make(store, tasks(8, n2={"do": "die"}), backend=backend, retries=1)
    assert (tally.made, tally.quarantined) == (7, 1)
    assert Ledger(store).given_up() == [tasks(8)[2].shard]
    make(store, tasks(8), 0, pardon=True)
    assert without_jobs(contents(store.root)) == whole


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("cluster", "parameters", "message"),
    [
        ("moon", (), "--cluster slurm, local, debug for Slurm, got 'moon'"),
        ("debug", ("partition",), "NAME=VALUE for --slurm, got 'partition'"),
        ("debug", ("a b=1",), "NAME=VALUE for --slurm"),
        ("local", ("no_such_parameter=1",), "parameters of submitit"),
    ],
)
def test_bad_options_of_slurm(tmp_path: Path, cluster: str, parameters: tuple[str, ...], message: str) -> None:
    pytest.importorskip("submitit", reason="the extra 'distributed' is not installed")
    with pytest.raises(InputError, match=message):
        SlurmBackend(str(tmp_path), Cheap(), 1, cluster=cluster, parameters=parameters)


@pytest.mark.parametrize(("module", "backend"), [("ray", "ray"), ("submitit", "slurm")])
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, backend: str) -> None:
    import sys

    from worldloom.apps.batch.command import RunOptions, open_backend

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"pip install 'worldloom\[distributed\]'"):
        open_backend(LocalStore(tmp_path), Cheap(), RunOptions(backend=backend))
    assert os.listdir(tmp_path) == []
