"""Futures stand side by side: each around its own ego, in their order, and none reaches into another."""

import math
from pathlib import Path

import pytest
import torch

from worldloom.apps.walk import Viewer
from worldloom.apps.walk.abreast import GAP, WIDTH, Abreast
from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, OCC3D_GRID, Occupancy, compose, rotz
from worldloom.geometry.gaussians import SH_C0
from worldloom.geometry.io import save_clip
from worldloom.geometry.occ3d_palette import OCC3D_COLOURS
from worldloom.geometry.occupancy import FREE

CAR, TREE, ROAD = 4, 16, 11


def future(label: int, frames: int = 2) -> Occupancy:
    """A road, and ahead to the left of the ego a thing, one voxel nearer in each frame. The ego turns and leaves."""
    labels = torch.full((frames, *OCC3D_GRID.shape), FREE, dtype=torch.uint8)
    labels[..., 0] = ROAD
    for frame in range(frames):
        labels[frame, 130 - frame, 110, 3] = label
    yaw = torch.arange(frames, dtype=torch.float32) + label
    poses = compose(rotz(yaw), torch.full((frames, 3), 100.0 * label))
    observed = torch.ones(labels.shape, dtype=torch.bool)
    return Occupancy(labels, observed, poses, OCC3D_GRID, OCC3D_CLASSES, 0.5)


def place_of(drawn, label: int) -> torch.Tensor:
    colours = 0.5 + SH_C0 * drawn.sh[:, 0]
    return drawn.means[(colours - OCC3D_COLOURS[label]).abs().amax(1) < 1e-3].mean(0)


def test_each_stands_around_its_ego_with_the_first_on_the_left() -> None:
    abreast = Abreast([future(CAR), future(TREE)])
    assert len(abreast) == 2
    assert abreast.places == (pytest.approx((WIDTH + GAP) / 2), pytest.approx(-(WIDTH + GAP) / 2))
    for frame in (0, 1):
        drawn = abreast[frame]
        for label, y in zip((CAR, TREE), abreast.places, strict=True):
            ahead = -40 + (130.5 - frame) * 0.4
            middle = -40 + 110.5 * 0.4
            assert place_of(drawn, label)[:2].tolist() == pytest.approx([ahead, y + middle], abs=0.05)
        gap = drawn.means[:, 1].abs() < GAP / 2 - 0.5
        assert not bool(gap.any())
        assert float(drawn.means[:, 1].max()) == pytest.approx(WIDTH + GAP / 2, abs=0.3)


def test_futures_of_two_lengths_are_no_moment() -> None:
    with pytest.raises(InputError, match=r"futures of one length .*, got \[2, 3\]"):
        Abreast([future(CAR), future(TREE, 3)])
    with pytest.raises(InputError, match="got none"):
        Abreast([])


def test_a_viewer_shows_them_by_the_names_of_their_files(tmp_path: Path) -> None:
    pytest.importorskip("viser", reason="the viewer needs the extra `apps`")
    save_clip(tmp_path / "future.npz", future(CAR))
    save_clip(tmp_path / "future-01.npz", future(TREE))
    viewer = Viewer(server_render=True)
    try:
        viewer.show_result(tmp_path, ["future.npz", "future-01.npz"])
        both = viewer.frame()
        assert both is not None
        assert math.isfinite(float(place_of(both, CAR)[0] + place_of(both, TREE)[0]))
        viewer.show_result(tmp_path)
        one = viewer.frame()
        assert one is not None
        assert not math.isfinite(float(place_of(one, TREE)[0]))
        with pytest.raises(InputError, match=r"scene\.ply or future\.npz none\.npz"):
            viewer.show_result(tmp_path, ["future.npz", "none.npz"])
    finally:
        viewer.stop()
