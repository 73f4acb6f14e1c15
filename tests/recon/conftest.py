"""One file of panoramas to learn from, made once."""

import pytest

from worldloom.recon.data.panoramas import panorama_file, write_world_panoramas
from worldloom.recon.data.splits import WORLD_SPLITS, kind_of_world

OUTDOOR_SEED = next(seed for seed in WORLD_SPLITS["val"] if kind_of_world(seed) == "field")


@pytest.fixture(scope="session")
def panorama_folder(tmp_path_factory):
    """Two small panoramas of a field."""
    folder = tmp_path_factory.mktemp("panoramas")
    write_world_panoramas(folder, lambda share, doing: None, OUTDOOR_SEED, 2, 64)
    assert [path.name for path in folder.iterdir()] == [panorama_file(OUTDOOR_SEED)]
    return folder
