"""The official nuscenes-devkit opens our data set and finds in it what we know to be there.

The devkit needs numpy below 2, so it lives in an environment of its own, and is run as a program:

    python3.11 -m venv devkit
    devkit/bin/pip install nuscenes-devkit==1.2.0 numpy==1.26.4 opencv-python-headless
    WORLDLOOM_DEVKIT_PYTHON=devkit/bin/python pytest tests/synth/test_devkit_parity.py

(The devkit asks for opencv-python; where there is no display, `pip uninstall opencv-python` and keep the headless one.)
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("libsumo", reason="towns need the extra `traffic`")
pytest.importorskip("embreex", reason="rays need the extra `synth`")

from worldloom.synth.dataset.observe import Sensors
from worldloom.synth.dataset.scenes import SceneSpec, merge_scenes, write_drive
from worldloom.synth.towns.town_files import save_town
from worldloom.synth.traffic.drive import drive_town
from worldloom.synth.traffic.sumo import STEP
from worldloom.synth.voxels.voxelize import Voxelizer

CHECK = Path(__file__).with_name("devkit_check.py")


@pytest.fixture(scope="module")
def found(small_town: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the devkit says of two short scenes."""
    python = os.environ.get("WORLDLOOM_DEVKIT_PYTHON")
    if not python:
        pytest.skip("no nuscenes-devkit: set WORLDLOOM_DEVKIT_PYTHON to the Python of its environment")
    root = tmp_path_factory.mktemp("devkit")
    specs = [SceneSpec(i, 0, 3 + i, "train", 1.5, 200.0, Sensors(True, 32)) for i in (1, 2)]
    voxelizer = Voxelizer(small_town)
    save_town(root, small_town)
    for spec in specs:
        write_drive(root, spec, voxelizer, drive_town(small_town, spec.seconds, spec.drive_seed, STEP))
    merge_scenes(root, specs)
    pictures = [str(root / name) for name in ("cameras.png", "lidar.png")]
    command = [python, str(CHECK), str(root), *pictures]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    print(done.stdout)  # shown with -s
    assert all(Path(picture).stat().st_size > 10_000 for picture in pictures)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_tables_load(found: dict[str, Any]):
    assert (found["scene"], found["sample"], found["sample_data"]) == (2, 8, 56)
    assert (found["category"], found["attribute"], found["visibility"]) == (32, 8, 4)
    assert (found["map"], found["log"], found["logs_with_maps"]) == (1, 1, 1)
    assert found["splits"] == {"synth_train": ["scene-0001", "scene-0002"], "synth_val": []}
    assert found["boxes_shown"]["LIDAR_TOP"] == found["sample_annotation"] > 50
    assert found["boxes_shown"]["CAM_FRONT"] > 0


def test_boxes_and_velocities(found: dict[str, Any]):
    assert found["velocities_compared"] > 50
    # Positions are float32 in the drive: a tenth of a millimetre in a tenth of a second.
    assert found["velocity_worst"] < 0.01
    assert (found["standing_worst"], found["heading_worst"], found["centre_worst"]) == (0, 0, 0)


def test_points_in_boxes(found: dict[str, Any]):
    assert found["points_told"] > 500
    assert abs(found["points_inside"] - found["points_told"]) < 0.02 * found["points_told"]


def test_maps(found: dict[str, Any]):
    assert found["ego_on_mask"] == 1
    (one,) = found["maps"]
    assert one["location"] == "town-0000"
    assert all(one["layers"][name] for name in ("drivable_area", "lane", "ped_crossing", "walkway", "lane_divider"))
    assert one["closest_lane_is_the_lane"]
    assert one["on_lane"]
    assert one["drivable"]
