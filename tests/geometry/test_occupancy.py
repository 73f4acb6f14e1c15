"""Grids and clips keep their axes."""

import pytest
import torch

from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_GRID, EgoPath, Occupancy, VoxelGrid

GRID = VoxelGrid((-1.0, 0.0, 2.0), 0.5, (2, 3, 4))


def clip(*batch: int) -> Occupancy:
    labels = torch.full((*batch, 2, 3, 4), FREE, dtype=torch.uint8)
    return Occupancy(labels, labels == FREE, torch.eye(4).expand(*batch, 4, 4), GRID, OCC3D_CLASSES, 0.5)


def test_a_voxel_has_its_centre_half_a_voxel_in() -> None:
    centres = GRID.centres()
    assert centres[0, 0, 0].tolist() == [-0.75, 0.25, 2.25]
    assert centres[1, 2, 3].tolist() == [-0.25, 1.25, 3.75]
    assert OCC3D_GRID.centres()[-1, -1, -1].tolist() == pytest.approx([39.8, 39.8, 5.2])


def test_frames_are_taken_by_slice_and_samples_by_number() -> None:
    assert clip(5)[1:3].labels.shape == (2, 2, 3, 4)
    assert clip(7, 5)[2].labels.shape == (5, 2, 3, 4)
    with pytest.raises(IndexError, match=r"take \[3:4\]"):
        clip(5)[3]
    path = EgoPath(torch.eye(4).expand(5, 4, 4), 0.5)
    assert len(path[1:3]) == 2
    with pytest.raises(IndexError, match=r"take \[0:1\]"):
        path[0]


@pytest.mark.parametrize("wrong", [{"voxel_size": 0.0}, {"shape": (0, 1, 1)}])
def test_an_impossible_grid_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="voxel_size > 0"):
        VoxelGrid(**{"origin": (0.0, 0.0, 0.0), "voxel_size": 1.0, "shape": (1, 1, 1), **wrong})


def test_labels_that_do_not_fit_their_grid_are_refused() -> None:
    labels = torch.zeros(5, 2, 3, 5, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"labels must be \(\*, t, 2, 3, 4\)"):
        Occupancy(labels, labels == FREE, torch.eye(4).expand(5, 4, 4), GRID, OCC3D_CLASSES, 0.5)
