"""What only the native kernels promise: the same bits at any thread count, all instruction sets, life after fork."""

import os
import signal

import pytest
import torch

from worldloom.ops.sparse import SparseTensor, SubMConv3d, Window, convolve
from worldloom.ops.sparse.backend import native_module


@pytest.fixture(autouse=True)
def native():
    module = native_module()
    if module is None:
        pytest.skip("the compiled extension is not built")
    return module


def run(features, coords, shape, weight, bias, threads):
    """Output and all gradients of a submanifold and a strided convolution, maps built afresh."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        results = []
        x = SparseTensor(features, coords, shape, 1)
        strided = Window((3,) * 3, (2,) * 3, (1,) * 3, (1,) * 3)
        for window in (Window.centred((3,) * 3, (1,) * 3), strided):
            leaves = [t.clone().requires_grad_() for t in (features, weight, bias)]
            kernel_map = x.maps.find(x.sites, window, "strided" if window is strided else "submanifold")
            out = convolve(x.replace_features(leaves[0]), leaves[1], leaves[2], kernel_map, "native").features
            out.backward(torch.arange(out.numel()).view_as(out).sin())
            results += [kernel_map.neighbours, out.detach(), *(leaf.grad for leaf in leaves)]
        return results
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    coords = (torch.rand(1, 40, 40, 12, generator=generator) < 0.25).nonzero().int()
    c_in, c_out = 24, 40
    return (
        torch.randn(len(coords), c_in, generator=generator), coords, (40, 40, 12),
        torch.randn(27, c_in, c_out, generator=generator), torch.randn(c_out, generator=generator),
    )  # fmt: skip


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
def test_same_bits_for_any_thread_count(native, case, isa, monkeypatch):
    monkeypatch.setenv("WORLDLOOM_ISA", isa)
    try:
        native.isa()
    except ValueError as error:
        pytest.skip(str(error))
    one = run(*case, threads=1)
    for threads in (2, 3, 2):
        for a, b in zip(one, run(*case, threads=threads), strict=True):
            assert torch.equal(a, b)


def test_instruction_sets_agree(native, case, monkeypatch):
    results = {}
    for isa in ("scalar", "avx2", "avx512"):
        try:
            monkeypatch.setenv("WORLDLOOM_ISA", isa)
            native.isa()
        except ValueError:
            continue
        results[isa] = run(*case, threads=2)
    for other in results.values():
        for a, b in zip(results["scalar"], other, strict=True):
            scale = a.abs().max().clamp(min=1)
            torch.testing.assert_close(a / scale, b / scale, rtol=0, atol=2e-6)


def test_an_unknown_instruction_set_is_refused(case, monkeypatch):
    monkeypatch.setenv("WORLDLOOM_ISA", "sse9")
    with pytest.raises(ValueError, match="expected an instruction set scalar, avx2 or avx512, got 'sse9'"):
        run(*case, threads=1)


def test_rows_keep_their_bits_in_any_company(case):
    """An output row is summed in offset order, whatever rows share its block: shuffling rows only permutes results."""
    features, coords, shape, weight, bias = case
    order = torch.randperm(len(coords), generator=torch.Generator().manual_seed(1))
    whole = run(features, coords, shape, weight, bias, 2)[1]
    mixed = run(features[order], coords[order], shape, weight, bias, 2)[1]
    assert torch.equal(whole[order], mixed)


def test_a_forked_child_can_convolve(native, case):
    """The child has none of the parent's threads; the pool must notice. (Torch's pool would hang: not used.)"""
    features, coords, shape, weight, _ = case
    coords = coords.contiguous()
    cube, ones = (3, 3, 3), (1, 1, 1)

    def outcome():
        table = torch.empty(len(coords), 27, dtype=torch.int32)
        native.neighbours(coords, shape, 1, coords, cube, ones, ones, ones, table, 2)
        pairs = [torch.from_numpy(part) for part in native.pairs_of(table, len(coords), 2)]
        out = torch.empty(len(coords), weight.shape[2])
        native.convolve(features, weight, None, *pairs, out, False, False, 2)
        return out.numpy().tobytes()

    expected = outcome()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that hangs dies and fails the test
        os.write(write, b"same" if outcome() == expected else b"other")
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        assert answer.read() == b"same"
    os.waitpid(child, 0)


def test_second_derivatives_are_refused(voxels, shuffled):
    x = shuffled(*voxels((5, 5, 5), 2))
    module = SubMConv3d(2, 2, backend="native")
    out = module(x.replace_features(x.features.requires_grad_())).features
    (grad,) = torch.autograd.grad(out.square().sum(), x.features, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_the_extension_guards_its_memory(native):
    """Arguments that do not belong together raise; they never reach the kernels."""
    table = torch.tensor([[5]], dtype=torch.int32)
    with pytest.raises(ValueError, match="beyond the input"):
        native.pairs_of(table, 3, 1)
    with pytest.raises(ValueError, match="beyond the input"):
        native.reverse_table(table, torch.zeros(3, 1, dtype=torch.int32), 1)
    start, source, target = (torch.from_numpy(a) for a in native.pairs_of(table, 6, 1))
    x, w, y = torch.zeros(6, 2), torch.zeros(1, 2, 3), torch.zeros(1, 3)
    with pytest.raises(ValueError, match="differ in channels"):
        native.convolve(torch.zeros(6, 1), w, None, start, source, target, y, False, False, 1)
    with pytest.raises(ValueError, match="another number of rows"):
        native.convolve(x, w, None, start, source, target, torch.zeros(2000, 3), False, False, 1)
    with pytest.raises(TypeError):
        native.convolve(x.double(), w, None, start, source, target, y, False, False, 1)
