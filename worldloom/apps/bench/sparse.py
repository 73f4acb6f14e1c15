"""Sparse convolution on the CPU: 30,000 surface voxels of a street, 32 to 32 channels, against torch's own ways."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from worldloom.apps.bench.result import Row, Timing, measure
from worldloom.ops.sparse import KernelMap, Sites, SparseTensor, Window, _torch, convolve
from worldloom.ops.sparse._cpu import forward_pairs
from worldloom.ops.sparse.backend import native_module
from worldloom.ops.sparse.kernel_map import build_map

CHANNELS = 32
THREADS = 2


@dataclass(frozen=True)
class Case:
    """One input: sites, their kernel map, features, weight and the gradient that comes back."""

    x: SparseTensor
    kernel_map: KernelMap
    weight: Tensor
    grad: Tensor


def run(quick: bool) -> list[Row]:
    """Measure with two threads; `quick` takes few repeats and leaves out the slow dense baselines."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        return [*_rows_3d(quick), *_rows_4d(quick)]
    finally:
        torch.set_num_threads(before)


def street_coords(seed: int, length: int = 200, num: int = 30_000) -> Tensor:
    """Surface voxels in a grid of length x 200 x 16: uneven ground, house fronts, and gaps as a lidar leaves them."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.meshgrid(torch.arange(length), torch.arange(200), indexing="ij")
    height = (3 + 1.5 * torch.sin(x / 17) * torch.cos(y / 23) + torch.sin(x / 5 + y / 7)).round().long()
    z = torch.arange(16)
    solid = z == height[..., None]
    front = ((y % 50 == 8) & (x % 40 < 24)) | ((x % 40 == 24) & (y % 50 > 8) & (y % 50 < 20))
    solid |= front[..., None] & (z >= height[..., None]) & (z < 12)
    # Most of what is missing hides behind something, in patches of 4 x 4; the rest is missed voxel by voxel.
    missing = 1 - num / int(solid.sum())
    hidden = torch.rand(length // 4 + 1, 50, generator=generator) < 0.65 * missing
    solid &= ~hidden.repeat_interleave(4, 0).repeat_interleave(4, 1)[:length, :, None]
    coords = solid.nonzero()
    keep = torch.randperm(len(coords), generator=generator)[:num].sort().values
    return torch.cat([coords.new_zeros(len(keep), 1), coords[keep]], dim=1).int()


def _case(coords: Tensor, shape: tuple[int, ...]) -> Case:
    generator = torch.Generator().manual_seed(1)
    x = SparseTensor(torch.randn(len(coords), CHANNELS, generator=generator), coords, shape, 1)
    kernel_map = x.maps.find(x.sites, _window(len(shape)), "submanifold")
    weight = torch.randn(kernel_map.window.volume, CHANNELS, CHANNELS, generator=generator) / 10
    return Case(x, kernel_map, weight, torch.randn(len(coords), CHANNELS, generator=generator))


def _window(ndim: int) -> Window:
    return Window.centred((3,) * ndim, (1,) * ndim)


def _rows_3d(quick: bool) -> list[Row]:
    case = _case(street_coords(seed=0), (200, 200, 16))
    table = case.kernel_map.neighbours
    pairs = int((table >= 0).sum())
    gigaflop = pairs * 2 * CHANNELS**2 / 1e9
    setting = (
        f"{len(case.x)} voxels, {pairs / len(case.x):.2f} of 27 neighbours, {CHANNELS} to {CHANNELS}, {THREADS} threads"
    )

    methods = {"native": _native(case), "torch_pairs": _torch_pairs(case), "torch_gather": _torch_gather(case)}
    repeats = 3 if quick else 25
    both = measure({name: lambda m=method: _with_backward(m, case) for name, method in methods.items()}, repeats)
    with torch.no_grad():
        forward = measure(
            {name: lambda m=method: m(case.x.features, case.weight) for name, method in methods.items()}, repeats
        )
        with _instruction_set("avx2") as available:
            if available:
                forward |= measure({"native_avx2": lambda: methods["native"](case.x.features, case.weight)}, repeats)
    if not quick:
        dense = _torch_dense(case)
        both |= measure({"torch_dense": lambda: _with_backward(dense, case)}, repeats=3, warmup=1)
        with torch.no_grad():
            forward |= measure({"torch_dense": lambda: dense(case.x.features, case.weight)}, repeats=3, warmup=1)

    maps = measure({"native": lambda: _build(case.x.sites, True)}, repeats)
    maps |= measure({"torch": lambda: _build(case.x.sites, False)}, repeats=1 if quick else 3, warmup=0)
    best = min((name for name in both if name.startswith("torch")), key=lambda name: both[name].wall_median)
    ratio = both[best].wall_median / both["native"].wall_median
    cpu_ratio = min(both[best].cpu) / min(both["native"].cpu)
    return [
        _row("forward_ms", forward, "<= 5", f"{setting}, cached map"),
        _row("forward_backward_ms", both, "<= 18", "both gradients, cached map"),
        _row("map_ms", maps, "<= 10", "neighbours and their grouping for the kernels"),
        Row(
            "ratio_vs_torch",
            ratio,
            "x",
            ">= 5",
            {},
            f"forward and backward, wall medians, against {best}; {cpu_ratio:.1f} in CPU time",
        ),
        Row(
            "gflops",
            gigaflop / forward["native"].wall_median,
            "GFLOP/s",
            "",
            {},
            "useful work of the forward pass, median",
        ),
        Row("gflops_best", gigaflop / min(forward["native"].wall), "GFLOP/s", "", {}, "the same, best repeat"),
        _one_thread_row(case, repeats),
        *_accuracy(quick),
    ]


def _one_thread_row(case: Case, repeats: int) -> Row:
    """Forward on one thread, beside spconv's CPU path where it is installed: with more threads that path is wrong."""
    native = _native(case)
    torch.set_num_threads(1)
    with torch.no_grad():
        timing = measure({"native": lambda: native(case.x.features, case.weight)}, repeats)["native"]
        ours = native(case.x.features, case.weight)
    torch.set_num_threads(THREADS)
    baseline, note = {}, "one thread, cached map, wall median"
    if importlib.util.find_spec("spconv") is not None:
        milliseconds, theirs = _spconv_one_thread(case, repeats)
        difference = ((ours - theirs).abs().max() / theirs.abs().max()).item()
        baseline["spconv_cpu"] = milliseconds
        note += f"; spconv's result differs by {difference:.1e} of its largest value"
    return Row("forward_1_thread_ms", timing.wall_median * 1e3, "ms", "", baseline, note)


def _spconv_one_thread(case: Case, repeats: int) -> tuple[float, Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "case.npz", Path(folder) / "out.npz"
        np.savez(
            source,
            coords=case.x.coords.numpy(),
            features=case.x.features.numpy(),
            weight=case.weight.numpy(),
            shape=np.array(case.x.spatial_shape),
            repeats=repeats,
        )
        command = [sys.executable, "-m", "worldloom.apps.bench.spconv_cpu", str(source), str(target)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        result = np.load(target, allow_pickle=False)
        return float(result["seconds"]) * 1e3, torch.from_numpy(result["out"])


def _rows_4d(quick: bool) -> list[Row]:
    """Eight frames of a street that drives by: 81 offsets, time as the first axis."""
    frames = []
    for t in range(8):
        coords = street_coords(seed=2, length=25, num=3_750)
        coords[:, 2] = (coords[:, 2] + 2 * t) % 200
        frames.append(torch.cat([coords[:, :1], torch.full_like(coords[:, :1], t), coords[:, 1:]], dim=1))
    case = _case(torch.cat(frames), (8, 25, 200, 16))
    pairs = int((case.kernel_map.neighbours >= 0).sum())
    setting = f"{len(case.x)} voxels in 8 frames, {pairs / len(case.x):.2f} of 81 neighbours"
    methods = {"native": _native(case), "torch_pairs": _torch_pairs(case)}
    repeats = 2 if quick else 15
    both = measure(
        {name: lambda m=method: _with_backward(m, case) for name, method in methods.items()}, repeats, warmup=1
    )
    with torch.no_grad():
        calls = {name: lambda m=method: m(case.x.features, case.weight) for name, method in methods.items()}
        forward = measure(calls, repeats, warmup=1)
    maps = measure({"native": lambda: _build(case.x.sites, True)}, repeats)
    return [
        _row("forward_4d_ms", forward, "", f"{setting}, cached map"),
        _row("forward_backward_4d_ms", both, "", "both gradients, cached map"),
        _row("map_4d_ms", maps, "", "81 offsets"),
    ]


def _row(metric: str, timings: dict[str, Timing], goal: str, note: str) -> Row:
    native = timings["native"]
    note = f"{note}; wall median (best {min(native.wall) * 1e3:.2f}, CPU best {min(native.cpu) * 1e3:.2f})"
    others = {name: timing.wall_median * 1e3 for name, timing in timings.items() if name != "native"}
    return Row(metric, native.wall_median * 1e3, "ms", goal, others, note)


def _build(sites: Sites, use_native: bool) -> None:
    """Everything a first forward and backward pass needs to know about the sites."""
    kernel_map = build_map(sites, _window(sites.ndim), "submanifold", use_native=use_native)
    if use_native:
        forward_pairs(kernel_map)


def _with_backward(method: Callable[[Tensor, Tensor], Tensor], case: Case) -> tuple[Tensor, ...]:
    features, weight = case.x.features.detach().requires_grad_(), case.weight.detach().requires_grad_()
    out = method(features, weight)
    return (out.detach(), *torch.autograd.grad(out, (features, weight), case.grad))


def _native(case: Case) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda features, weight: (
        convolve(case.x.replace_features(features), weight, None, case.kernel_map, "native").features
    )


def _torch_pairs(case: Case) -> Callable[[Tensor, Tensor], Tensor]:
    """For each offset: select, matmul, index_add. The pair lists are ready beforehand."""
    table = case.kernel_map.neighbours
    rows = [(table[:, k] >= 0).nonzero()[:, 0] for k in range(table.shape[1])]
    pairs = [(row, table[row, k].long()) for k, row in enumerate(rows)]

    def run(features, weight):
        out = features.new_zeros(len(table), weight.shape[2])
        for k, (row, source) in enumerate(pairs):
            out = out.index_add_(0, row, features.index_select(0, source) @ weight[k])
        return out

    return run


def _torch_gather(case: Case) -> Callable[[Tensor, Tensor], Tensor]:
    """Gather all neighbours of a voxel into one long row, zero where there is none, and multiply once."""
    table = case.kernel_map.neighbours
    source = torch.where(table >= 0, table, len(case.x)).long().flatten()

    def run(features, weight):
        padded = F.pad(features, (0, 0, 0, 1))
        return padded.index_select(0, source).view(len(table), -1) @ weight.flatten(0, 1)

    return run


def _torch_dense(case: Case) -> Callable[[Tensor, Tensor], Tensor]:
    """conv3d over the whole grid in channels_last_3d; scattering and gathering included."""
    cells = case.x.sites.cells()
    shape = case.x.spatial_shape

    def run(features, weight):
        flat = features.new_zeros(torch.Size(shape).numel(), CHANNELS).index_copy(0, cells, features)
        grid = flat.view(1, *shape, CHANNELS).movedim(-1, 1)  # channels last in memory
        kernel = weight.unflatten(0, (3, 3, 3)).permute(4, 3, 0, 1, 2).contiguous(memory_format=torch.channels_last_3d)
        return F.conv3d(grid, kernel, padding=1).movedim(1, -1).reshape(-1, CHANNELS).index_select(0, cells)

    return run


def _accuracy(quick: bool) -> list[Row]:
    """Errors relative to the largest value of the float64 answer, and equality of bits for one and two threads."""
    length = 40 if quick else 200
    case = _case(street_coords(seed=3, length=length, num=150 * length), (length, 200, 16))
    native = _native(case)
    out, grad_features, grad_weight = _with_backward(native, case)
    exact = _with_backward(_twin(case), Case(case.x, case.kernel_map, case.weight.double(), case.grad.double()))
    grid = case.x.replace_features(case.x.features.double()).dense()
    kernel = case.weight.double().unflatten(0, (3, 3, 3)).permute(4, 3, 0, 1, 2)
    dense = F.conv3d(grid, kernel, padding=1).movedim(1, -1).reshape(-1, CHANNELS)[case.x.sites.cells()]

    def error(ours: Tensor, reference: Tensor) -> float:
        return float((ours - reference).abs().max() / reference.abs().max())

    torch.set_num_threads(1)
    alone = _with_backward(native, case)
    torch.set_num_threads(THREADS)
    same = all(torch.equal(a, b) for a, b in zip(alone, (out, grad_features, grad_weight), strict=True))
    return [
        Row("max_error", error(out, dense), "relative", "<= 0.00001", {}, "forward against dense conv3d in float64"),
        Row(
            "gradient_error",
            max(error(grad_features, exact[1]), error(grad_weight, exact[2])),
            "relative",
            "<= 0.00001",
            {},
            "both gradients against float64 autograd of the torch twin",
        ),
        Row("thread_bitwise_equal", float(same), "bool", ">= 1", {}, "forward and both gradients, 1 and 2 threads"),
    ]


def _twin(case: Case) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda features, weight: _torch.convolve(features.double(), weight, None, case.kernel_map)


@contextmanager
def _instruction_set(name: str):
    """Run the native kernels with another instruction set; yields whether this CPU has it and it is not the default."""
    extension = native_module()
    assert extension is not None, "the native kernels have run before"
    before = os.environ.get("WORLDLOOM_ISA")
    default = extension.isa()
    os.environ["WORLDLOOM_ISA"] = name
    try:
        try:
            extension.isa()
        except ValueError:
            yield False
        else:
            yield default != name
    finally:
        if before is None:
            del os.environ["WORLDLOOM_ISA"]
        else:
            os.environ["WORLDLOOM_ISA"] = before
