"""Norms and sequences on features."""

import pytest
import torch
from torch import nn

from worldloom.errors import InputError
from worldloom.ops.sparse import SparseGroupNorm, SparseSequential, SubMConv3d


def test_group_norm_on_a_full_grid_is_torchs(voxels, shuffled):
    dense, active = voxels((3, 4, 5), 6, batch_size=2, density=2.0)
    ours, theirs = SparseGroupNorm(3, 6), nn.GroupNorm(3, 6)
    with torch.no_grad():
        for parameter in (ours.weight, ours.bias):
            parameter.normal_()
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(shuffled(dense, active)).dense(), theirs(dense), rtol=1e-5, atol=1e-5)


def test_group_norm_sees_one_sample_at_a_time(voxels, shuffled):
    dense, active = voxels((3, 4, 5), 4, batch_size=2)
    norm = SparseGroupNorm(2, 4)
    both = norm(shuffled(dense, active)).dense()
    for i in range(2):
        alone = norm(shuffled(dense[i : i + 1], active[i : i + 1])).dense()
        torch.testing.assert_close(both[i : i + 1], alone, rtol=1e-5, atol=1e-6)
    active[1] = False
    assert norm(shuffled(dense, active)).features.isfinite().all()
    with pytest.raises(InputError, match="6 channels in 4 groups"):
        SparseGroupNorm(4, 6)


def test_sequence_mixes_sparse_layers_and_plain_ones(voxels, shuffled):
    x = shuffled(*voxels((5, 5, 5), 3))
    conv, norm = SubMConv3d(3, 4), nn.BatchNorm1d(4)
    out = SparseSequential(conv, norm, nn.ReLU())(x)
    torch.testing.assert_close(out.features, norm(conv(x).features).relu())
    assert out.sites is x.sites
