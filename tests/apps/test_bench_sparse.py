"""The sparse benchmark measures the case it names, and every method in it computes the same thing."""

import pytest
import torch

from worldloom.apps.bench import sparse as bench
from worldloom.ops.sparse import choose_backend
from worldloom.ops.sparse.backend import native_module


def test_the_case_is_the_one_it_names():
    coords = bench.street_coords(seed=0)
    assert coords.shape == (30_000, 4)
    case = bench._case(coords, (200, 200, 16))
    assert 7.1 < float((case.kernel_map.neighbours >= 0).sum()) / len(coords) < 7.6
    assert torch.equal(bench.street_coords(seed=0), coords)


@pytest.mark.skipif(native_module() is None, reason="the compiled extension is not built")
def test_all_methods_agree():
    case = bench._case(bench.street_coords(seed=0, length=20, num=2_000), (20, 200, 16))
    assert choose_backend(case.x.features) == "native"
    expected = bench._with_backward(bench._twin(case), case_in_float64(case))
    for method in (bench._native, bench._torch_pairs, bench._torch_gather, bench._torch_dense):
        for ours, exact in zip(bench._with_backward(method(case), case), expected, strict=True):
            torch.testing.assert_close(ours.double(), exact.double(), rtol=1e-4, atol=1e-3)


def case_in_float64(case):
    return bench.Case(case.x, case.kernel_map, case.weight.double(), case.grad.double())
