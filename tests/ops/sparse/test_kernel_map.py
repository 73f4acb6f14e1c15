"""Kernel maps: native against twin, the shared cache, and pairing by name."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.errors import InputError
from worldloom.ops.sparse import KernelMaps, Sites, SparseConv3d, SparseInverseConv3d, SparseMaxPool, SubMConv3d, Window
from worldloom.ops.sparse.kernel_map import build_map

axis = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))


@settings(deadline=None)
@given(st.lists(axis, min_size=1, max_size=4), st.integers(0, 60), st.integers(0, 99), st.sampled_from([1, 1 << 12]))
def test_native_maps_equal_the_twin(axes, count, seed, spread):
    """Any window; `spread` makes the grid so large that the native index hashes instead of using a dense directory."""
    shape, kernel, stride, padding, dilation = zip(*axes, strict=True)
    shape = (shape[0] * spread * spread, *shape[1:])
    generator = torch.Generator().manual_seed(seed)
    low = [*shape]
    low[0] = min(low[0], 40)  # near one another, some at the far end
    rows = torch.stack([torch.randint(n, (count,), generator=generator) for n in (2, *low)], 1)
    rows[::3, 1] = shape[0] - 1 - rows[::3, 1].clamp(max=shape[0] - 1)
    rows = rows.unique(dim=0)[torch.randperm(len(rows.unique(dim=0)), generator=generator)]
    sites = Sites.checked(rows.int(), shape, 2)
    window = Window(kernel, stride, padding, dilation)
    for kind in ("strided", "transposed"):
        try:
            twin = build_map(sites, window, kind, (0,) * len(shape), use_native=False)
        except InputError:
            continue
        native = build_map(sites, window, kind, (0,) * len(shape))
        assert native.outputs.same_as(twin.outputs)
        assert torch.equal(native.neighbours, twin.neighbours)
        assert torch.equal(native.reverse, twin.reverse)
        cells = native.outputs.cells()
        assert (cells[1:] > cells[:-1]).all()


def test_submanifold_reverse_is_the_mirror(voxels, shuffled):
    x = shuffled(*voxels((6, 7, 5), 1, batch_size=2))
    window = Window.centred((3, 5, 3), (2, 1, 1))
    kernel_map = build_map(x.sites, window, "submanifold")
    expected = torch.full_like(kernel_map.neighbours, -1)
    for i, k in (kernel_map.neighbours >= 0).nonzero().tolist():
        expected[kernel_map.neighbours[i, k], k] = i
    assert torch.equal(kernel_map.reverse, expected)
    assert torch.equal(kernel_map.neighbours[:, window.volume // 2], torch.arange(len(x)).int())


def test_layers_share_maps(voxels, shuffled):
    x = shuffled(*voxels((8, 8, 8), 4))
    for _ in range(2):
        x = SubMConv3d(4, 4, indice_key="a")(x)
    assert len(x.maps) == 1
    y = SparseConv3d(4, 4, 3, 2, 1, indice_key="down")(x)
    assert SparseConv3d(4, 6, 3, 2, 1)(x).sites is y.sites
    assert len(x.maps) == 2
    SubMConv3d(4, 4)(y)
    SubMConv3d(4, 4, 3, dilation=2)(y)
    assert len(y.maps) == 4
    assert SparseInverseConv3d(4, 4, 3, "down")(y).sites is x.sites
    assert len(y.maps) == 4


def test_inverse_after_pooling(voxels, shuffled):
    x = shuffled(*voxels((8, 8, 8), 4))
    y = SparseMaxPool(2, indice_key="pool")(x)
    assert SparseInverseConv3d(4, 4, 2, "pool")(y).sites is x.sites


def test_names_are_checked(voxels, shuffled):
    x = shuffled(*voxels((8, 8, 8), 4))
    SubMConv3d(4, 4, indice_key="a")(x)
    with pytest.raises(InputError, match="indice_key 'a' already names a submanifold map"):
        SparseConv3d(4, 4, 3, 2, 1, indice_key="a")(x)
    with pytest.raises(InputError, match="no layer has left a map named 'b'; known names: \\['a'\\]"):
        SparseInverseConv3d(4, 4, 3, "b")(x)
    y = SparseConv3d(4, 4, 3, 2, 1, indice_key="down")(x)
    with pytest.raises(InputError, match="expected kernel size \\(3, 3, 3\\) of the layer paired"):
        SparseInverseConv3d(4, 4, 2, "down")(y)
    with pytest.raises(InputError, match="expected features on the map's inputs"):
        SparseInverseConv3d(4, 4, 3, "down")(x)


def test_a_grid_that_grows_beyond_its_numbers_is_refused():
    sites = Sites.checked(torch.zeros(1, 4, dtype=torch.int32), (1 << 20,) * 3, 1)
    with pytest.raises(InputError, match=r"at most 2\^62 cells"):
        KernelMaps().find(sites, Window((2,) * 3, (4,) * 3, (0,) * 3, (1,) * 3), "transposed", (0,) * 3)
