"""Generative upsampling: children, their order and values, and pruning."""

import pytest
import torch
import torch.nn.functional as F

from worldloom.errors import InputError
from worldloom.ops.sparse import SparseGenerativeUpsample, SparseTensor


def test_children_are_a_dense_transposed_conv(backend, device, voxels, shuffled):
    dense, active = voxels((4, 3, 5), 3, batch_size=2)
    layer = SparseGenerativeUpsample(3, 4, (2, 2, 1), backend=backend).to(device)
    out = layer(shuffled(dense, active).to(device))
    assert layer.bias is not None
    weight = layer.weight.unflatten(0, (2, 2, 1)).permute(3, 4, 0, 1, 2).cpu()
    occupied = active.repeat_interleave(2, 1).repeat_interleave(2, 2)
    expected = F.conv_transpose3d(dense, weight, layer.bias.cpu(), stride=(2, 2, 1)) * occupied[:, None]
    torch.testing.assert_close(out.children.dense().cpu(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(out.children.coords.cpu(), occupied.nonzero().int())
    kept = out.logits > 0
    torch.testing.assert_close(out.kept.coords, out.children.coords[kept])
    torch.testing.assert_close(out.logits, layer.occupied(out.children.features)[:, 0])


def test_known_answers_prune(voxels, shuffled):
    dense, active = voxels((4, 4), 3)
    target_dense, target = voxels((8, 8), 1, density=0.5, seed=5)
    layer = SparseGenerativeUpsample(3, 4, ndim=2)
    x = shuffled(dense, active)
    out = layer(x, keep=shuffled(target_dense, target))
    reachable = active.repeat_interleave(2, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(out.kept.coords, (target & reachable).nonzero().int())
    mask = torch.arange(len(out.children)) % 2 == 0
    assert len(layer(x, keep=mask).kept) == int(mask.sum())
    with pytest.raises(InputError, match="expected a mask over"):
        layer(x, keep=mask[1:])
    with pytest.raises(InputError, match="same grids"):
        layer(x, keep=x)


def test_occupancy_can_be_learnt():
    """Children of one voxel: the head must keep the diagonal and drop the rest."""
    x = SparseTensor(torch.ones(1, 2), torch.zeros(1, 3, dtype=torch.int32), (1, 1), 1)
    torch.manual_seed(0)
    layer = SparseGenerativeUpsample(2, 4, ndim=2)
    wanted = torch.tensor([1.0, 0.0, 0.0, 1.0])
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(layer(x).logits, wanted).backward()
        optimizer.step()
    assert layer(x).kept.coords.tolist() == [[0, 0, 0], [0, 1, 1]]
