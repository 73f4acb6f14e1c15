"""The CUDA adapter, as far as it can be held to its word without a GPU."""

import importlib
import inspect
import types

import pytest
import torch

from worldloom.ops.sparse import SparseTensor, Window, _spconv, _torch
from worldloom.ops.sparse.backend import spconv_module_name
from worldloom.ops.sparse.kernel_map import build_map

# Positions 1 to 12 of their autograd function's forward (after ctx), which the adapter fills by place.
ARGUMENTS = [
    "features", "filters", "pair_fwd", "pair_bwd", "pair_mask_fwd_splits", "pair_mask_bwd_splits",
    "mask_argsort_fwd_splits", "mask_argsort_bwd_splits", "num_activate_out", "masks", "is_train", "is_subm",
]  # fmt: skip


def gather_gemm(
    features, filters, pair_fwd, pair_bwd, pair_mask_fwd_splits, pair_mask_bwd_splits, mask_argsort_fwd_splits,
    mask_argsort_bwd_splits, num_activate_out, masks, is_train, is_subm,
):  # fmt: skip
    """What their masked implicit GEMM computes, in plain torch, by its tables and its masks."""
    out = features.new_zeros(num_activate_out, len(filters))
    for mask, order, table in (
        (pair_mask_fwd_splits[0], mask_argsort_fwd_splits[0], pair_fwd),
        (pair_mask_bwd_splits[0], mask_argsort_bwd_splits[0], pair_bwd),
    ):
        for k in range(len(table)):  # the masks must say exactly what the table says
            bit = (mask[:, k // 32].long() >> (k % 32)) & 1
            assert torch.equal(bit.bool(), table[k, order.long()] >= 0)
        words = mask.long() & 0xFFFFFFFF
        assert (words[1:, -1] >= words[:-1, -1]).all()
    for k in range(len(pair_fwd)):
        rows = (pair_fwd[k] >= 0).nonzero()[:, 0]
        out = out.index_add(0, rows, features[pair_fwd[k, rows].long()] @ filters[:, k].T)
    return out


@pytest.mark.parametrize("kind", ["submanifold", "strided", "transposed"])
@pytest.mark.parametrize("kernel", [(3, 3, 3), (5, 3, 3), (1, 1, 1)])
def test_tables_masks_and_weights(monkeypatch, voxels, shuffled, kind, kernel):
    """Through a stand-in for their kernel the adapter gives what the twin gives; 45 offsets need two mask words."""
    monkeypatch.setattr(_spconv, "functional", lambda: types.SimpleNamespace(implicit_gemm=gather_gemm))
    x = shuffled(*voxels((7, 6, 5), 3, batch_size=2))
    window = Window.centred(kernel, (1, 1, 1))
    if kind != "submanifold":
        window = Window(kernel, (2, 2, 1), window.padding, (1, 1, 1))
    kernel_map = build_map(x.sites, window, kind, (0, 0, 0))
    weight, bias = torch.randn(window.volume, 3, 4), torch.randn(4)
    torch.testing.assert_close(
        _spconv.convolve(x.features, weight, bias, kernel_map), _torch.convolve(x.features, weight, bias, kernel_map)
    )


def test_no_voxels_never_reach_them(monkeypatch):
    monkeypatch.setattr(_spconv, "functional", lambda: pytest.fail("called with an empty tensor"))
    x = SparseTensor(torch.zeros(0, 3), torch.zeros(0, 4, dtype=torch.int32), (4, 4, 4), 1)
    kernel_map = build_map(x.sites, Window.centred((3,) * 3, (1,) * 3), "submanifold")
    assert _spconv.convolve(x.features, torch.zeros(27, 3, 5), torch.zeros(5), kernel_map).shape == (0, 5)


def test_weight_layout_round_trip_and_meaning():
    kernel = (3, 2, 5)
    weight = torch.randn(30, 4, 6)
    theirs = _spconv.spconv_from_weight(weight, kernel)
    assert theirs.shape == (6, 3, 2, 5, 4)
    assert torch.equal(_spconv.weight_from_spconv(theirs), weight)
    # Their weight permuted (0, 4, 1, 2, 3) is that of conv3d; offset (2, 1, 3) is number (2 * 2 + 1) * 5 + 3 of ours.
    assert torch.equal(theirs.permute(0, 4, 1, 2, 3)[:, :, 2, 1, 3], weight[28].T)


@pytest.mark.skipif(spconv_module_name() is None, reason="neither spconv-triton nor spconv is installed")
def test_call_signature_of_the_installed_package():
    try:
        functional = importlib.import_module(f"{spconv_module_name()}.pytorch.functional")
    except (ImportError, OSError) as error:
        pytest.skip(f"{spconv_module_name()} cannot be imported here: {error}")
    names = list(inspect.signature(functional.SparseImplicitGemmFunction.forward).parameters)
    assert names[1 : 1 + len(ARGUMENTS)] == ARGUMENTS
    assert functional.implicit_gemm is not None
