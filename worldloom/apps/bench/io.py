"""Reading and writing scenes: splat files and Occ3D labels, beside the readers of others."""

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from worldloom.apps.bench.result import Row, measure
from worldloom.geometry import Gaussians
from worldloom.geometry.io import load_gaussians, load_occ3d_frame, save_gaussians
from worldloom.geometry.io.npz import save_npz
from worldloom.geometry.occupancy import FREE, OCC3D_GRID

_NUM = 1_000_000
_NUM_QUICK = 100_000


def run(quick: bool) -> list[Row]:
    """Load and save times and sizes of splats of SH degree 3, and the time to load one Occ3D label.

    gsply and plyfile are measured in turn with ours where they are installed. Both leave logits and logarithms as they
    are, where ours activates them, and gsply returns views into the file's rows: less work for the same file.
    """
    num = _NUM_QUICK if quick else _NUM
    gaussians = made_up_gaussians(num, seed=0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*_splat_rows(folder, gaussians, repeats=3 if quick else 5), *_occ3d_rows(folder)]


def made_up_gaussians(num: int, seed: int) -> Gaussians:
    """Gaussians with noisy view-dependent colour: for a compressor a harder input than a trained scene."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    spread = torch.tensor([0.8] + [0.12] * 3 + [0.08] * 5 + [0.05] * 7)  # falls with the degree, as in trained scenes
    return Gaussians(
        means=5 * normal(num, 3),
        quats=torch.nn.functional.normalize(normal(num, 4), dim=1),
        scales=(0.7 * normal(num, 3) - 4.5).exp(),
        opacities=torch.rand(num, generator=generator),
        sh=normal(num, 16, 3) * spread[:, None],
    )


def _splat_rows(folder: Path, gaussians: Gaussians, repeats: int) -> list[Row]:
    protocol = f"{len(gaussians):,} Gaussians, SH degree 3, median of {repeats}, file in the page cache"
    goals = {"ply_load_s": "<= 1", "spz_save_s": "<= 3"}
    rows = []
    for suffix in ("ply", "spz", "splat"):
        path = folder / f"ours.{suffix}"
        save_gaussians(path, gaussians)
        saves: dict[str, Callable[[], object]] = {"worldloom": lambda path=path: save_gaussians(path, gaussians)}
        loads: dict[str, Callable[[], object]] = {"worldloom": lambda path=path: load_gaussians(path)}
        other_saves, other_loads = _others(path, folder / f"others.{suffix}")
        for verb, calls in (("save", saves | other_saves), ("load", loads | other_loads)):
            times = {name: t.wall_median for name, t in measure(calls, repeats, warmup=1).items()}
            metric = f"{suffix}_{verb}_s"
            value = times.pop("worldloom")
            rows.append(Row(metric, value, "s", goals.get(metric, ""), times, protocol))
        rows.append(Row(f"{suffix}_size_mb", path.stat().st_size / 1e6, "MB", note=protocol))
    return rows


def _others(path: Path, out: Path) -> tuple[dict[str, Callable[[], object]], dict[str, Callable[[], object]]]:
    """How other packages save what they read from `path`, and load it; empty where they are not installed."""
    saves, loads = {}, {}
    if importlib.util.find_spec("gsply") and path.suffix in (".ply", ".spz"):
        import gsply

        if path.suffix == ".ply":
            data = gsply.plyread(path)
            loads["gsply"] = lambda: gsply.plyread(path)
            saves["gsply"] = lambda: gsply.plywrite(out, data)
        else:
            data = gsply.read_spz(path)
            loads["gsply"] = lambda: gsply.read_spz(path)
            saves["gsply"] = lambda: gsply.write_spz(out, data)
    if importlib.util.find_spec("plyfile") and path.suffix == ".ply":
        from plyfile import PlyData

        ply = PlyData.read(path)
        # It maps the file; a copy of the vertices is when their bytes are read.
        loads["plyfile"] = lambda: PlyData.read(path)["vertex"].data.copy()
        saves["plyfile"] = lambda: ply.write(out)
    return saves, loads


def _occ3d_rows(folder: Path) -> list[Row]:
    path = folder / "labels.npz"
    save_npz(path, made_up_label(seed=0))

    def numpy_load() -> list[np.ndarray]:
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[key] for key in arrays]

    times = measure({"worldloom": lambda: load_occ3d_frame(path), "np.load": numpy_load}, repeats=30)
    note = "one labels.npz, 200 x 200 x 16, median of 30; np.load checks nothing"
    baseline = {"np.load": 1e3 * times["np.load"].wall_median}
    return [Row("occ3d_load_ms", 1e3 * times["worldloom"].wall_median, "ms", "<= 15", baseline, note)]


def made_up_label(seed: int) -> dict[str, np.ndarray]:
    """A label with ground, walls and noise: about 40,000 voxels that are not free, masks with holes."""
    rng = np.random.default_rng(seed)
    semantics = np.full(OCC3D_GRID.shape, FREE, np.uint8)
    semantics[:, :, 0] = rng.choice(np.array([11, 13, 14], np.uint8), (5, 5)).repeat(40, 0).repeat(40, 1)
    semantics[:, ::40, :8] = 15
    semantics[rng.random(semantics.shape) < 0.02] = 16
    lidar = rng.random(semantics.shape) < 0.09
    camera = lidar & (rng.random(semantics.shape) < 0.77)
    return {"semantics": semantics, "mask_lidar": lidar.astype(np.uint8), "mask_camera": camera.astype(np.uint8)}
