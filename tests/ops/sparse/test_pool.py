"""Pooling over active voxels against dense pooling."""

import pytest
import torch
import torch.nn.functional as F

from worldloom.errors import InputError
from worldloom.ops.sparse import SparseAveragePool, SparseMaxPool, SparseTensor


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, None, 0), (3, 2, 1), (3, 1, 1)])
def test_max_pool_is_dense_where_inactive_is_minus_infinity(voxels, shuffled, kernel, stride, padding):
    dense, active = voxels((8, 7, 9), 3, batch_size=2)
    out = SparseMaxPool(kernel, stride, padding)(shuffled(dense, active))
    hidden = dense.masked_fill(~active[:, None], -torch.inf)
    expected = F.max_pool3d(hidden, kernel, stride, padding)
    torch.testing.assert_close(out.dense(), expected.masked_fill(expected == -torch.inf, 0))


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, None, 0), (3, 2, 1)])
def test_average_pool_divides_by_active_voxels(voxels, shuffled, kernel, stride, padding):
    dense, active = voxels((8, 9), 3, batch_size=2)
    out = SparseAveragePool(kernel, stride, padding, ndim=2)(shuffled(dense, active))
    total = F.avg_pool2d(dense, kernel, stride, padding, divisor_override=1)
    count = F.avg_pool2d(active[:, None].float(), kernel, stride, padding, divisor_override=1)
    torch.testing.assert_close(out.dense(), total / count.clamp(min=1))


@pytest.mark.parametrize("pool", [SparseMaxPool, SparseAveragePool])
def test_gradcheck(voxels, shuffled, pool):
    x = shuffled(*voxels((6, 5), 2, dtype=torch.float64, density=0.5))
    layer = pool(3, 2, 1, ndim=2)
    assert torch.autograd.gradcheck(lambda f: layer(x.replace_features(f)).features, (x.features.requires_grad_(),))


def test_nan_is_not_hidden():
    coords = torch.tensor([[0, 0], [0, 1]], dtype=torch.int32)
    for features in ([[float("nan")], [1.0]], [[1.0], [float("nan")]]):
        x = SparseTensor(torch.tensor(features), coords, (2,), 1)
        assert SparseMaxPool(2, ndim=1)(x).features.isnan().all()


def test_no_voxels():
    x = SparseTensor(torch.zeros(0, 3), torch.zeros(0, 4, dtype=torch.int32), (4, 4, 4), 1)
    assert SparseMaxPool(2)(x).features.shape == (0, 3)
    assert SparseAveragePool(2)(x).features.shape == (0, 3)
    with pytest.raises(InputError, match="1 to 4 axes, got 5"):
        SparseMaxPool(2, ndim=5)
