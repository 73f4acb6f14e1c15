"""One place for threads, test data and what a CI run must not skip."""

import os
from pathlib import Path

import pytest
import torch

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
torch.set_num_threads(2)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Real inputs (panoramas, nuScenes, Occ3D) that are not part of the project; see CONTRIBUTING.md."""
    folder = os.environ.get("WORLDLOOM_TEST_DATA")
    if not folder:
        pytest.skip("real test inputs are not here: set WORLDLOOM_TEST_DATA to their folder")
    return Path(folder)
