"""`worldloom doctor`: what is installed, which backends are active, and do they give the right numbers?"""

import importlib.metadata
import importlib.util
import math
import platform
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from worldloom import __version__, render
from worldloom.apps.bench.result import cpu_model
from worldloom.geometry import Camera, Gaussians, sh_from_rgb
from worldloom.ops import sparse

EXTRAS = {  # those of pyproject.toml that are not for development, and what each brings
    "apps": ("gradio", "viser"),
    "colmap": ("pycolmap",),
    "cuda": ("gsplat", "spconv_triton"),
    "distributed": ("ray", "submitit"),
    "export": ("fast_simplification", "pxr"),
    "onnx": ("onnxruntime",),
    "open3d": ("open3d",),
    "perceptual": ("stlpips_pytorch",),
    "rl": ("stable_baselines3", "gymnasium"),
    "serve": ("fastapi", "uvicorn", "httpx"),
    "sim": ("gymnasium",),
    "synth": ("embreex", "shapely"),
    "traffic": ("libsumo", "sumolib", "embreex"),
    "transformers": ("transformers",),
}


@dataclass(frozen=True)
class Check:
    """One number a backend must give."""

    what: str
    backend: str
    value: float
    expected: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return math.isfinite(self.value) and abs(self.value - self.expected) <= self.tolerance


def examine() -> bool:
    """Print the state of this installation; True if every check passed."""
    console = Console()
    torch_line = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    console.print(f"worldloom {__version__}, Python {platform.python_version()}, {torch_line}", highlight=False)
    console.print(f"CPU {cpu_model()}; CUDA device {cuda}", highlight=False)

    table = Table("part", "backend", "state")
    parts = {"rasterizer": render.backends(), "sparse convolution": sparse.backends()}
    for part, backends in parts.items():
        for backend in backends:
            state = f"{'ready' if backend.available else 'absent'}: {backend.detail}"
            table.add_row(part, backend.name, escape(state))
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        state = f"missing {', '.join(missing)}: pip install 'worldloom[{extra}]'" if missing else "present"
        table.add_row("extra", extra, escape(state))
    console.print(table)

    if any(backend.name == "native" and not backend.available for backends in parts.values() for backend in backends):
        console.print("This build lacks native kernels: the torch twins do their work, correctly and slower.")

    checks = [*scene_checks(), *convolution_checks()]
    results = Table("check", "backend", "value", "expected", "")
    for check in checks:
        verdict = "ok" if check.passed else "WRONG"
        results.add_row(check.what, check.backend, f"{check.value:.6f}", f"{check.expected:.6f}", verdict)
    console.print(results)
    wrong = sum(not check.passed for check in checks)
    console.print(f"{len(checks) - wrong} of {len(checks)} checks passed", highlight=False)
    return wrong == 0


def scene_checks() -> Iterator[Check]:
    """Two splats one behind the other, whose blend is known in closed form.

    Both are centred on the middle of pixel (8, 8), so their falloff there is exactly 1. The near one (red, opacity 0.6,
    z = 2) hides 0.6 of the far one (green, opacity 0.5, z = 4). One pixel to the right the falloff is
    exp(-1 / (2 v)) with v = (100 * scale / z)^2 + 0.3, the pixel variance with the filter of gsplat.
    """
    scale, opacities, depths = 0.03, (0.6, 0.5), (2.0, 4.0)
    gaussians = Gaussians(
        means=torch.tensor([[0, 0, depths[0]], [0, 0, depths[1]]]),
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(2, 1),
        scales=torch.full((2, 3), scale),
        opacities=torch.tensor(opacities),
        sh=sh_from_rgb(torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])),
    )
    K = torch.tensor([[100.0, 0, 8.5], [0, 100.0, 8.5], [0, 0, 1]])
    falloff = [math.exp(-0.5 / ((100 * scale / z) ** 2 + 0.3)) for z in depths]
    red_beside = opacities[0] * falloff[0]
    for backend in (found.name for found in render.backends() if found.available):
        device = "cuda" if backend == "gsplat" else "cpu"
        camera = Camera(torch.eye(4), K, (17, 17)).to(device)
        image = render.render(gaussians.to(device), camera, backend=backend)
        centre, beside = image.rgb[:, 8, 8], image.rgb[:, 8, 9]
        yield Check("scene: red at the centre", backend, centre[0].item(), 0.6, 1e-4)
        yield Check("scene: green through red", backend, centre[1].item(), 0.4 * 0.5, 1e-4)
        yield Check("scene: red one pixel on", backend, beside[0].item(), red_beside, 1e-4)
        yield Check("scene: green one pixel on", backend, beside[1].item(), (1 - red_beside) * 0.5 * falloff[1], 1e-4)
        yield Check("scene: depth", backend, image.depth[8, 8].item(), (0.6 * 2 + 0.2 * 4) / 0.8, 1e-4)


def convolution_checks() -> Iterator[Check]:
    """A submanifold convolution of three voxels in a row, small enough to do by hand.

    One channel, features 1, 2, 4 at x = 1, 2, 3 and a 3x1x1 kernel of 10, 1, 100 for the neighbours x - 1, x, x + 1:
    y = (1 + 200, 10 + 2 + 400, 20 + 4) = (201, 412, 24).
    """
    coords = torch.tensor([[0, 1, 0, 0], [0, 2, 0, 0], [0, 3, 0, 0]], dtype=torch.int32)
    for backend in (found.name for found in sparse.backends() if found.available):
        device = "cuda" if backend == "spconv" else "cpu"
        x = sparse.SparseTensor(torch.tensor([[1.0], [2.0], [4.0]]).to(device), coords.to(device), (5, 1, 1), 1)
        layer = sparse.SubMConv3d(1, 1, (3, 1, 1), bias=False, backend=backend).to(device)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([10.0, 1.0, 100.0]).reshape(3, 1, 1))
            y = layer(x).features.flatten().tolist()
        for i, expected in enumerate((201.0, 412.0, 24.0)):
            yield Check(f"convolution: voxel {i}", backend, y[i], expected, 1e-4)
