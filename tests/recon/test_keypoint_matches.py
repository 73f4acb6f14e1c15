"""Matches lie where the points are, in the project's pixels."""

import sys

import pytest
import torch

from worldloom.errors import MissingExtra
from worldloom.recon.keypoint_matches import keypoint_matches

SIZE = (60, 80)


def blobs(centres: torch.Tensor) -> torch.Tensor:
    """Spots of several sizes and brightnesses around points (u, v)."""
    dice = torch.Generator().manual_seed(2)
    sizes = 2 + 2 * torch.rand(len(centres), generator=dice)
    lights = 0.3 + 0.7 * torch.rand(len(centres), generator=dice)
    v, u = torch.meshgrid(torch.arange(SIZE[0]) + 0.5, torch.arange(SIZE[1]) + 0.5, indexing="ij")
    apart = (u - centres[:, 0, None, None]) ** 2 + (v - centres[:, 1, None, None]) ** 2
    spots = lights[:, None, None] * torch.exp(-apart / (2 * sizes[:, None, None] ** 2))
    return spots.amax(0).expand(3, -1, -1)


def test_matched_points_are_where_they_were_put_and_moved_to() -> None:
    pytest.importorskip("pycolmap")
    centres = torch.tensor([[15.0, 14.0], [32.0, 22.0], [24.0, 42.0], [52.0, 16.0], [58.0, 40.0]])
    step = torch.tensor([6.0, 2.0])
    ((first, second),) = keypoint_matches(torch.stack([blobs(centres), blobs(centres + step)]), [(0, 1)])
    assert len(first) >= 4
    nearest = torch.cdist(first, centres).min(1)
    # Some features are of pairs of spots; those of one lie on it, half a pixel or more would be another convention.
    single = nearest.values < 0.4
    assert int(single.sum()) >= 3
    assert float(nearest.values[single].median()) < 0.2
    assert float((second - first - step).norm(dim=-1).median()) < 0.2


def test_without_colmap_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(MissingExtra, match=r"worldloom\[colmap\]"):
        keypoint_matches(torch.zeros(2, 3, *SIZE), [(0, 1)])
