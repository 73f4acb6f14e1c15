"""Sparse tensors: round trips with dense ones, and one-line errors for coordinates that cannot be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worldloom.errors import InputError
from worldloom.ops.sparse import Sites, SparseTensor, cat
from worldloom.ops.sparse.sites import cells_of, coords_of


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_dense_round_trip(shape, channels, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randn(batch_size, channels, *shape, generator=generator)
    dense = dense * (torch.rand(batch_size, 1, *shape, generator=generator) < 0.4)
    x = SparseTensor.from_dense(dense)
    torch.testing.assert_close(x.dense(), dense, rtol=0, atol=0)
    assert len(x) == int((dense != 0).any(1).sum())
    again = SparseTensor(x.features, x.coords, x.spatial_shape, x.batch_size)
    torch.testing.assert_close(again.dense(), dense, rtol=0, atol=0)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 99))
def test_cell_numbers_round_trip_and_sort_lexicographically(shape, seed):
    grid = torch.ones(3, *shape).nonzero().int()
    cells = cells_of(grid, tuple(shape))
    assert cells.tolist() == list(range(len(grid)))
    torch.testing.assert_close(coords_of(cells, tuple(shape)), grid)


def test_dense_carries_gradient(voxels, shuffled):
    x = shuffled(*voxels((3, 4), 2, dtype=torch.float64))
    features = x.features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: x.replace_features(f).dense(), (features,))


def test_axis_order_and_batch_column():
    coords = torch.tensor([[1, 2, 0, 3]], dtype=torch.int32)
    dense = SparseTensor(torch.tensor([[5.0]]), coords, (3, 2, 4), 2).dense()
    assert dense.shape == (2, 1, 3, 2, 4)
    assert dense[1, 0, 2, 0, 3] == 5
    assert dense.sum() == 5


@pytest.mark.parametrize("use_native", [True, False])
@pytest.mark.parametrize(
    ("coords", "message"),
    [
        ([[0, 0, 0], [0, 3, 0]], "got \\[0, 3, 0\\] in row 1"),
        ([[0, -1, 0]], "got \\[0, -1, 0\\] in row 0"),
        ([[2, 0, 0]], "expected coords in batch size 2 and spatial shape \\(3, 4\\), got \\[2, 0, 0\\]"),
        ([[-1, 0, 0]], "got \\[-1, 0, 0\\] in row 0"),
        ([[0, 2147483647, -2147483648]], "in row 0"),
        ([[0, 1, 1], [1, 1, 1], [0, 1, 1]], "expected unique coords, got \\[0, 1, 1\\] again in row 2"),
    ],
)
def test_hostile_coords(monkeypatch, use_native, coords, message):
    if not use_native:
        monkeypatch.setattr("worldloom.ops.sparse.sites.native_module", lambda: None)
    coords = torch.tensor(coords, dtype=torch.int32)
    with pytest.raises(InputError, match=message):
        SparseTensor(torch.zeros(len(coords), 1), coords, (3, 4), 2)


def test_hostile_shapes_and_dtypes():
    coords = torch.zeros(1, 3, dtype=torch.int32)
    features = torch.zeros(1, 2)
    with pytest.raises(InputError, match=r"expected int32 coords, got torch\.int64"):
        SparseTensor(features, coords.long(), (3, 4), 1)
    with pytest.raises(InputError, match="4 columns for spatial shape \\(3, 4, 5\\), got shape \\(1, 3\\)"):
        SparseTensor(features, coords, (3, 4, 5), 1)
    with pytest.raises(InputError, match="expected features of \\[1, c\\]"):
        SparseTensor(torch.zeros(2, 2), coords, (3, 4), 1)
    with pytest.raises(InputError, match=r"floating-point features, got torch\.int32"):
        SparseTensor(features.int(), coords, (3, 4), 1)
    with pytest.raises(InputError, match="1 to 4 positive sizes, got \\(0, 4\\)"):
        SparseTensor(features, coords, (0, 4), 1)
    with pytest.raises(InputError, match="batch size of at least 0, got -1"):
        SparseTensor(features, coords, (3, 4), -1)
    with pytest.raises(InputError, match=r"at most 2\^62 cells, got batch size 8 x spatial shape"):
        SparseTensor(torch.zeros(1, 2), torch.zeros(1, 5, dtype=torch.int32), (1 << 20,) * 4, 8)
    with pytest.raises(InputError, match=r"at most 2\^30 voxels along an axis"):
        SparseTensor(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.int32), (1 << 31,), 1)
    with pytest.raises(InputError, match="1 to 4 axes\\), got shape \\(3, 4\\)"):
        SparseTensor.from_dense(torch.zeros(3, 4))
    with pytest.raises(InputError, match="1 to 4 axes\\), got shape \\(1, 1, 0\\)"):
        SparseTensor.from_dense(torch.zeros(1, 1, 0))


def test_sites_keep_their_own_copy_and_notice_writes(voxels, shuffled):
    coords = torch.tensor([[0, 1, 1]], dtype=torch.int32)
    x = SparseTensor(torch.ones(1, 1), coords, (3, 4), 1)
    coords.zero_()
    assert x.coords.tolist() == [[0, 1, 1]]
    x.coords.zero_()
    with pytest.raises(InputError, match="written to in place"):
        _ = x.coords


def test_add_and_cat_need_the_same_sites(voxels, shuffled):
    dense, active = voxels((4, 5), 2)
    x = shuffled(dense, active)
    twin = SparseTensor(x.features, x.coords, x.spatial_shape, x.batch_size)
    torch.testing.assert_close((x + twin).dense(), 2 * dense)
    torch.testing.assert_close(cat([x, twin]).dense(), torch.cat([dense, dense], 1))
    other = shuffled(dense, active, seed=2)
    with pytest.raises(InputError, match="expected sparse tensors on the same sites"):
        _ = x + other
    with pytest.raises(InputError, match="expected sparse tensors on the same sites"):
        cat([x, x.prune(torch.ones(len(x), dtype=torch.bool).index_fill(0, torch.tensor([0]), False))])
    with pytest.raises(InputError, match="got none"):
        cat([])


def test_rows_at_and_prune(voxels, shuffled):
    dense, active = voxels((4, 5, 3), 2, batch_size=2)
    x = shuffled(dense, active)
    everywhere = Sites.checked(torch.ones_like(active).nonzero().int(), (4, 5, 3), 2)
    rows = x.rows_at(everywhere)
    assert ((rows >= 0) == active.flatten()).all()
    torch.testing.assert_close(x.coords[rows[rows >= 0].long()], everywhere.coords[rows >= 0])
    keep = x.features[:, 0] > 0
    torch.testing.assert_close(x.prune(keep).dense(), dense * (dense[:, :1] > 0))
