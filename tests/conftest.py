"""One place for threads, test data and what a CI run must not skip."""

import os
import signal
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch loads OpenMP

import pytest
import torch
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # as under `make test`: each core has a worker of its own
    os.environ["OMP_NUM_THREADS"] = "1"  # and the commands that it starts stay on it
    torch.set_num_threads(1)
else:
    torch.set_num_threads(2)
# A run started in the background inherits an ignored Ctrl-C, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Times vary too much on shared machines for a deadline; CI draws the same examples every time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Real inputs (panoramas, nuScenes, Occ3D) that are not part of the project; see CONTRIBUTING.md."""
    folder = os.environ.get("WORLDLOOM_TEST_DATA")
    if not folder:
        pytest.skip("real test inputs are not here: set WORLDLOOM_TEST_DATA to their folder")
    return Path(folder)


@pytest.fixture(scope="session")
def panorama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to learn from: two small panoramas of a field."""
    from worldloom.synth.panoramas.panorama_files import panorama_file, write_world_panoramas
    from worldloom.synth.panoramas.world_splits import WORLD_SPLITS, kind_of_world

    seed = next(seed for seed in WORLD_SPLITS["val"] if kind_of_world(seed) == "field")
    folder = tmp_path_factory.mktemp("panoramas")
    write_world_panoramas(folder, lambda share, doing: None, seed, 2, 64)
    assert [path.name for path in folder.iterdir()] == [panorama_file(seed)]
    return folder
