"""How fast Gaussians are drawn on the CPU, forward and backward, against plain scalar code and the torch twin."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module

import torch
from torch import Tensor

from worldloom.apps.bench.result import Row, measure
from worldloom.geometry import Camera, Gaussians, intrinsics, invert, look_at, quat_from_rotmat, sh_from_rgb
from worldloom.render import Rendering, _torch, backends, render

SIZE = (360, 640)
COUNT = 200_000


def street(count: int, seed: int = 0) -> Gaussians:
    """A street canyon made of `count` flat Gaussians: road, two rows of house fronts, tree crowns, parked cars.

    Sizes shrink with the square root of the count, so that more Gaussians show more detail and not more paint.
    Colours differ with direction (degree 3), opacities run from faint to solid, as in a trained scene.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(n: int, low: float | int, high: float | int) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    road, trees, cars = int(0.3 * count), int(0.15 * count), int(0.1 * count)
    fronts = count - road - trees - cars
    length = 70.0
    points, facing, colours = [], [], []

    flat = torch.stack([uniform(road, -30, length), uniform(road, -9, 9), 0.02 * normal(road)], dim=-1)
    points.append(flat)
    facing.append(torch.tensor([0.0, 0.0, 1.0]).expand(road, 3))
    kerb = (flat[:, 1].abs() > 5.5)[:, None]
    colours.append(torch.where(kerb, torch.tensor([0.55, 0.53, 0.5]), torch.tensor([0.28, 0.28, 0.3])))

    side = torch.where(uniform(fronts, -1, 1) > 0, 1.0, -1.0)
    wall = torch.stack(
        [uniform(fronts, -30, length), side * (9 + 0.1 * normal(fronts)), uniform(fronts, 0, 14)], dim=-1
    )
    points.append(wall)
    facing.append(torch.stack([torch.zeros(fronts), -side, torch.zeros(fronts)], dim=-1))
    window = ((wall[:, 0] % 3 < 1.4) & (wall[:, 2] % 3.2 > 1.2))[:, None]
    house = torch.rand(64, 3, generator=generator)[(wall[:, 0] / 8 + 8 * (side > 0)).floor().long() % 64]
    colours.append(torch.where(window, torch.tensor([0.2, 0.25, 0.32]), 0.35 + 0.4 * house))

    crowns = torch.stack(
        [uniform(24, -30, length), 6.5 * torch.where(uniform(24, -1, 1) > 0, 1.0, -1.0), uniform(24, 3, 5)], -1
    )
    leaf = normal(trees, 3)
    points.append(crowns[torch.randint(24, (trees,), generator=generator)] + leaf * torch.tensor([0.9, 0.9, 0.8]))
    facing.append(torch.nn.functional.normalize(normal(trees, 3), dim=-1))
    colours.append(torch.tensor([0.2, 0.42, 0.15]) + 0.05 * normal(trees, 3))

    spots = torch.stack(
        [uniform(30, -30, length), 4.6 * torch.where(uniform(30, -1, 1) > 0, 1.0, -1.0), torch.full((30,), 0.75)], -1
    )
    shell = torch.nn.functional.normalize(normal(cars, 3), dim=-1)
    which = torch.randint(30, (cars,), generator=generator)
    points.append(spots[which] + shell * torch.tensor([2.1, 0.9, 0.7]))
    facing.append(shell)
    colours.append(torch.rand(30, 3, generator=generator)[which])

    mean, out = torch.cat(points), torch.cat(facing)
    turn = torch.linalg.cross(out, torch.nn.functional.normalize(normal(count, 3), dim=-1))
    first = torch.nn.functional.normalize(turn, dim=-1)
    axes = torch.stack([first, torch.linalg.cross(out, first), out], dim=-1)
    spread = 0.11 * math.sqrt(COUNT / count) * torch.exp(0.5 * normal(count, 3))
    scales = spread * torch.tensor([1.0, 1.0, 0.15])
    sh = torch.cat([sh_from_rgb(torch.cat(colours) + 0.04 * normal(count, 3)), 0.03 * normal(count, 15, 3)], dim=1)
    order = torch.randperm(count, generator=generator)
    opacities = torch.sigmoid(0.5 + 2 * normal(count))
    return Gaussians(mean[order], quat_from_rotmat(axes)[order], scales[order], opacities[order], sh[order])


def street_camera(size: tuple[int, int] = SIZE) -> Camera:
    """Eye height, on the right-hand lane, along the street."""
    return Camera(
        look_at(torch.tensor([0.0, -1.8, 1.6]), torch.tensor([20.0, -1.0, 2.2])),
        intrinsics(math.radians(80), size),
        size,
    )


def run(quick: bool) -> list[Row]:
    """Draw the street with the native rasterizer; quick mode takes the median of few runs and fewer sizes."""
    repeats, slow_repeats = (5, 2) if quick else (40, 6)
    isa = next(engine.detail for engine in backends() if engine.name == "native")
    note = f"{COUNT // 1000}k Gaussians, degree 3, {SIZE[1]}x{SIZE[0]}, {isa}"
    scene, camera = street(COUNT), street_camera()
    rows = []

    with threads(2):
        wall = measure({"forward": draw(scene, camera)}, repeats)["forward"].wall
        rows.append(
            Row("forward_ms", median(wall), "ms", "<= 15", {"best": 1e3 * min(wall)}, f"{note}, 2 threads, wall median")
        )
        both = measure({"both": draw_and_differentiate(scene, camera)}, max(2, repeats // 2))["both"].wall
        rows.append(
            Row(
                "forward_backward_ms",
                median(both),
                "ms",
                "<= 70",
                {"best": 1e3 * min(both)},
                f"{note}, 2 threads, wall median",
            )
        )

    with threads(1):
        calls = {"native": draw(scene, camera), "scalar": draw_scalar(scene, camera)}
        timings = measure(calls, slow_repeats, warmup=1)
        ratio = min(timings["scalar"].cpu) / min(timings["native"].cpu)
        cpu = measure({"native": calls["native"]}, repeats)["native"].cpu
        rows.append(
            Row(
                "forward_cpu_ms_1_thread",
                median(cpu),
                "ms",
                "<= 25",
                {"best": 1e3 * min(cpu)},
                f"{note}, CPU time median",
            )
        )
        rows.append(
            Row(
                "cpu_ratio_vs_scalar",
                ratio,
                "x",
                ">= 20",
                {"scalar_ms": 1e3 * min(timings["scalar"].cpu), "native_ms": 1e3 * min(timings["native"].cpu)},
                f"{note}, 1 thread, best CPU times of interleaved runs; scalar: one sort of all (tile, depth)",
            )
        )

    rows += agreement()
    rows.append(
        Row(
            "thread_bitwise_equal",
            float(same_bits(scene, camera)),
            "bool",
            ">= 1",
            note="1 and 2 threads, images and gradients",
        )
    )
    with threads(2):
        rows += growth(scene, quick)
    return rows


def draw(scene: Gaussians, camera: Camera) -> Callable[[], Rendering]:
    def call() -> Rendering:
        with torch.no_grad():
            return render(scene, camera, backend="native")

    return call


def draw_and_differentiate(scene: Gaussians, camera: Camera) -> Callable[[], list[Tensor]]:
    """Images and the gradient of every tensor of the scene, from dense gradients of rgb, alpha and depth."""
    leaves = replace(scene, **{name: getattr(scene, name).clone().requires_grad_() for name in vars(scene)})
    generator = torch.Generator().manual_seed(1)
    given = [torch.rand(*shape, *camera.size, generator=generator) for shape in ((3,), (), ())]

    def call() -> list[Tensor]:
        image = render(leaves, camera, backend="native")
        return list(torch.autograd.grad([image.rgb, image.alpha, image.depth], list(vars(leaves).values()), given))

    return call


def draw_scalar(scene: Gaussians, camera: Camera) -> Callable[[], Tensor]:
    native = import_module("worldloom.render._native")
    cam_from_world = invert(camera.world_from_cam).contiguous()
    k = camera.K[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
    return lambda: native.rasterize_scalar_baseline(*vars(scene).values(), cam_from_world, tuple(k), camera.size)


def agreement(count: int = 10_000) -> list[Row]:
    """Largest difference of rgb between the native rasterizer and the torch twin, and to the scalar code.

    Whether alpha reaches 1/255, or transmittance 1e-4, can hang on the last bit, and then a whole step of colour is
    drawn or not. Pixels with a splat within 0.1 % of such a step are counted apart.
    """
    scene, camera = street(count), street_camera()
    fast, twin = draw(scene, camera)(), render(scene, camera, backend="torch")
    decided = ~undecided(scene, camera)
    difference = (fast.rgb - twin.rgb).abs().amax(0)
    scalar = (draw_scalar(scene, camera)()[:3] - twin.rgb).abs().amax(0)
    baseline = {"scalar_code": scalar[decided].max().item(), "with_undecided_pixels": difference.max().item()}
    share = 1 - decided.float().mean().item()
    note = f"{count // 1000}k Gaussians, rgb, without the {100 * share:.2f} % of pixels that hang on a last bit"
    return [Row("max_native_twin_diff", difference[decided].max().item(), "1", "<= 0.0001", baseline, note)]


def undecided(scene: Gaussians, camera: Camera) -> Tensor:
    """Pixels in which some splat's alpha is within 0.1 % of 1/255, or the transmittance behind it of 1e-4."""
    splats = _torch.project(scene, camera.world_from_cam, camera.K, camera.size, antialiased=False)
    ids = _torch.visible_mask(splats, camera.size, 0.01, 1e10).nonzero()[:, 0]
    splats = splats[ids[splats.depths[ids].argsort(stable=True)]]

    def near_a_step(
        means2d: Tensor,
        conics: Tensor,
        opacities: Tensor,
        depths: Tensor,
        values: Tensor,
        index: Tensor,
        used: Tensor,
        pixels: Tensor,
    ) -> Tensor:
        dx, dy = (pixels[:, None] - means2d[index][:, :, None]).unbind(-1)
        xx, xy, yy = conics[index][:, :, None].unbind(-1)
        sigma = (0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy).clamp(min=0)
        alpha = torch.where(used[:, :, None], opacities[index][:, :, None] * torch.exp(-sigma), 0).clamp(
            max=_torch.MAX_ALPHA
        )
        faint = (255 * alpha - 1).abs() < 1e-3
        left = (1 - torch.where(alpha >= _torch.MIN_ALPHA, alpha, 0)).cumprod(1)
        last = (left / _torch.MIN_TRANSMITTANCE - 1).abs() < 1e-3
        near = (faint | last).any(1).to(values.dtype)
        return torch.stack([near, left[:, -1], near], dim=-1)

    low, high = _torch.tile_box(splats, camera.size)
    return _torch.blend(splats, splats.depths[:, None], low, high, camera.size, near_a_step)[0][0] > 0


def same_bits(scene: Gaussians, camera: Camera) -> bool:
    results = []
    for count in (1, 2):
        with threads(count):
            image = draw(scene, camera)()
            results.append([image.rgb, image.alpha, image.depth, *draw_and_differentiate(scene, camera)()])
    return all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def growth(scene: Gaussians, quick: bool) -> list[Row]:
    """Forward time against the number of Gaussians and of pixels."""
    repeats = 3 if quick else 15
    cases = {f"forward_ms_{count // 1000}k": (count, SIZE) for count in (50_000, 100_000, 200_000, 400_000)}
    cases |= {f"forward_ms_{w}x{w * 9 // 16}": (COUNT, (w * 9 // 16, w)) for w in (320, 640, 1280)}
    cases |= {"forward_1m_ms": (1_000_000, SIZE)}
    if quick:
        cases = {name: cases[name] for name in ("forward_ms_50k", "forward_ms_320x180")}
    rows = []
    for name, (count, size) in cases.items():
        gaussians = scene if count == COUNT else street(count)
        wall = measure({"": draw(gaussians, street_camera(size))}, repeats)[""].wall
        rows.append(Row(name, median(wall), "ms", baseline={"best": 1e3 * min(wall)}, note="2 threads, wall median"))
    return rows


def median(seconds: list[float]) -> float:
    """Median in milliseconds."""
    return 1e3 * torch.tensor(seconds, dtype=torch.float64).median().item()


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(min(count, os.cpu_count() or 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)
