"""The genuine figures that towns are held against."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from worldloom.geometry import OCC3D_CLASSES
from worldloom.synth.voxels.occupancy_statistics import (
    GENUINE_LABEL,
    TRAINING_AVERAGE,
    occupancy_statistics,
    statistics_table,
)


def test_figures_of_the_genuine_label_are_its_own(test_data: Path) -> None:
    (label,) = sorted((test_data / "occ3d" / "gts").glob("*/*/labels.npz"))
    with np.load(label) as arrays:
        names = ("semantics", "mask_lidar", "mask_camera")
        labels, lidar, camera = (torch.from_numpy(arrays[name]) for name in names)
    figures = occupancy_statistics(labels, lidar.bool(), camera.bool())
    for field in fields(figures):
        measured, stored = getattr(figures, field.name), getattr(GENUINE_LABEL, field.name)
        torch.testing.assert_close(stored, measured, rtol=1e-4, atol=0.0, equal_nan=True)


def test_genuine_figures_agree_with_each_other() -> None:
    assert GENUINE_LABEL.classes.sum() == GENUINE_LABEL.heights.sum() == GENUINE_LABEL.occupied
    known = GENUINE_LABEL.occupied_known * GENUINE_LABEL.occupied + GENUINE_LABEL.free_known
    assert abs(known / 640_000 - GENUINE_LABEL.mask_lidar) < 1e-5
    # The published count of free voxels, which is not kept: with it, the counts are those of full grids.
    assert round(float(TRAINING_AVERAGE.double().sum()) + 17_126_390_780 / 28_130) == 640_000


def test_a_table_has_a_column_for_the_data_set() -> None:
    table = statistics_table(GENUINE_LABEL, [GENUINE_LABEL], TRAINING_AVERAGE).splitlines()
    cells = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:4] for line in table[2:]}
    assert cells["vegetation"] == ["18,699", "8,972", "18,699"]
    assert cells["occupied voxels"] == ["39,092", "31,170", "39,092"]
    assert cells["layer 0"] == ["11,546", "–", "11,546"]
    assert len(OCC3D_CLASSES) - 1 == sum(name in cells for name in OCC3D_CLASSES)
