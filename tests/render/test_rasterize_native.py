"""The native rasterizer against its torch twin: values and every gradient, on ordinary and on degenerate scenes."""

import multiprocessing
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from inspect import signature

import pytest
import torch
from torch import Tensor

from worldloom.errors import InputError, MissingExtra
from worldloom.geometry import Camera, Gaussians, intrinsics, look_at
from worldloom.render import Rendering, backends, fastest_backend, render
from worldloom.render import render as render_call

pytest.importorskip("worldloom.render._native", reason="built without the native kernels (WORLDLOOM_NATIVE=0)")

SIZE = (37, 50)
NAMES = ("means", "quats", "scales", "opacities", "sh")


def cloud(n: int = 120, k: int = 16, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    quats, sh = (
        torch.randn(n, 4, generator=generator).double(),
        0.25 * torch.randn(n, k, 3, generator=generator).double(),
    )
    return Gaussians(4 * rand(n, 3) - 2, quats, 0.03 + 0.25 * rand(n, 3), rand(n), sh)


def camera(
    size: tuple[int, int] = SIZE, eye: tuple[float, float, float] = (-3.0, 0.4, 0.5), shift: float = 0.0
) -> Camera:
    K = intrinsics(1.1, size).double()
    K[0, 2] += shift
    K[1, 2] -= 0.7 * shift
    K[1, 1] *= 1.1
    return Camera(look_at(torch.tensor(eye).double(), torch.zeros(3).double()), K, size)


def behind() -> Gaussians:
    return replace(cloud(), means=cloud().means - torch.tensor([20.0, 0, 0]).double())


def across_the_near_plane() -> Gaussians:
    """Large splats whose means lie a hand's breadth before and behind the camera."""
    scene = cloud()
    offset = torch.tensor([-3.0, 0.4, 0.5]).double()
    return replace(scene, means=0.1 * scene.means + offset, scales=2 * scene.scales)


def some_invisible() -> Gaussians:
    scene = cloud()
    opacities = scene.opacities.clone()
    opacities[::3] = 0
    opacities[1::3] = 0.999 / 255
    return replace(scene, opacities=opacities)


def needles() -> Gaussians:
    return replace(cloud(), scales=cloud().scales * torch.tensor([8.0, 1e-3, 1e-5]).double())


def opaque() -> Gaussians:
    return replace(cloud(), opacities=torch.ones(120).double(), scales=cloud().scales * 2)


def many_in_one_tile() -> Gaussians:
    """More splats than one batch of a tile's list holds, faint enough for all to count."""
    scene = cloud(700)
    return replace(scene, opacities=0.03 * scene.opacities + 0.004, means=scene.means * 0.1)


SCENES: dict[str, tuple[Gaussians, Camera]] = {
    "ordinary": (cloud(), camera()),
    "inside": (cloud(), camera(eye=(0.3, 0.2, 0.1))),
    "off-centre": (cloud(), camera(shift=9.0)),
    "colour of degree 0": (cloud(k=1), camera()),
    "colour of degree 1": (cloud(k=4), camera()),
    "colour of degree 2": (cloud(k=9), camera()),
    "dark colours clamped": (replace(cloud(), sh=cloud().sh - 0.8), camera()),
    "behind": (behind(), camera()),
    "across the near plane": (across_the_near_plane(), camera()),
    "zero opacity": (some_invisible(), camera()),
    "huge": (replace(cloud(), scales=cloud().scales * 100), camera()),
    "needles": (needles(), camera()),
    "opaque": (opaque(), camera()),
    "off screen": (replace(cloud(), means=cloud().means + torch.tensor([0, 30.0, 0]).double()), camera()),
    "empty": (cloud(0), camera()),
    "one": (cloud(1), camera()),
    "long lists": (many_in_one_tile(), camera()),
    "unnormalised quaternions": (replace(cloud(), quats=3 * cloud().quats), camera()),
    "1x1": (cloud(), camera((1, 1))),
    "16x16": (cloud(), camera((16, 16))),
    "one row": (cloud(), camera((1, 70))),
    "one column": (cloud(), camera((33, 1))),
}


def images_and_gradients(
    scene: Gaussians, view: Camera, backend: str, dtype: torch.dtype, antialiased: bool = False
) -> dict[str, Tensor]:
    """Every image and every gradient of one weighted sum of all images, seven channels of features included."""
    leaves = {name: getattr(scene, name).to(dtype, copy=True).requires_grad_() for name in NAMES}
    pose = view.world_from_cam.to(dtype, copy=True).requires_grad_()
    generator = torch.Generator().manual_seed(5)
    features = torch.randn(len(scene), 7, generator=generator).to(dtype).requires_grad_()
    drawn = render(
        Gaussians(**leaves),
        Camera(pose, view.K.to(dtype), view.size),
        backend=backend,
        normals=True,
        features=features,
        antialiased=antialiased,
    )
    named = {name: getattr(drawn, name) for name in ("rgb", "alpha", "depth", "normal", "features")}
    loss = sum((image * torch.rand(image.shape, generator=generator).to(dtype)).sum() for image in named.values())
    assert isinstance(loss, Tensor)
    loss.backward()
    info = drawn.info
    return {
        **{name: image.detach() for name, image in named.items()},
        "median_depth": drawn.median_depth,
        "median_valid": drawn.median_valid.to(dtype),
        "means2d": info.means2d,
        "radii": info.radii.to(dtype),
        "visible": info.visible.to(dtype),
        "tile_counts": info.tile_counts.to(dtype),
        "means2d_grad": info.means2d_grad if info.means2d_grad is not None else torch.zeros_like(info.means2d),
        **{f"{name}_grad": zero_if_none(leaf) for name, leaf in leaves.items()},
        "pose_grad": zero_if_none(pose),
        "features_grad": zero_if_none(features),
    }


def zero_if_none(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("name", SCENES)
def test_float64_kernels_equal_the_twin(name: str, antialiased: bool) -> None:
    """In float64 no decision hangs on rounding, so that everything must agree to many digits."""
    scene, view = SCENES[name]
    expected = images_and_gradients(scene, view, "torch", torch.float64, antialiased=antialiased)
    got = images_and_gradients(scene, view, "native", torch.float64, antialiased=antialiased)
    assert not any(tensor.isnan().any() for tensor in got.values())
    for what, want in expected.items():
        # A needle's derivative by its thin axis is a small difference of large numbers.
        room = 1e-7 * max(1.0, want.abs().max().item() if want.numel() else 0.0)
        torch.testing.assert_close(got[what], want, rtol=1e-6, atol=room, msg=lambda text, what=what: f"{what}: {text}")


@pytest.fixture(params=["scalar", "avx2", "avx512"])
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    from worldloom.render import _native

    monkeypatch.setenv("WORLDLOOM_ISA", request.param)
    try:
        _native.isa()
    except ValueError as error:
        pytest.skip(str(error))
    return request.param


@pytest.mark.parametrize("name", ["ordinary", "inside", "opaque", "needles", "long lists", "across the near plane"])
def test_float32_kernels_equal_float64(name: str, isa: str) -> None:
    """A few pixels may lose or gain a splat at alpha = 1/255; the rest, and the gradients as a whole, must agree."""
    scene, view = SCENES[name]
    scene = Gaussians(*(getattr(scene, part).float().double() for part in NAMES))
    expected = images_and_gradients(scene, view, "native", torch.float64)
    got = images_and_gradients(scene, view, "native", torch.float32)
    for what, want in expected.items():
        difference, size = (got[what].double() - want).abs(), want.abs()
        # A needle's derivative by its length is a difference of terms that are 10^5 times as large.
        loose = 5e-2 if what.endswith("grad") and name in ("needles", "across the near plane") else 1e-3
        assert difference.sum() <= loose * size.sum() + 1e-6, what
        if what in ("rgb", "alpha"):
            assert (difference > 2e-4).double().mean() < 0.01, what
            assert difference.max() < 0.05, what


def test_instruction_sets_draw_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, view = cloud(400), camera((64, 80))
    scene, view = Gaussians(*(getattr(scene, part).float() for part in NAMES)), single(view)
    pictures = []
    for name in ("scalar", "avx2", "avx512"):
        monkeypatch.setenv("WORLDLOOM_ISA", name)
        try:
            pictures.append(render(scene, view, backend="native").rgb)
        except ValueError:
            continue
    for picture in pictures[1:]:
        difference = (picture - pictures[0]).abs()
        assert (difference > 1e-4).float().mean() < 2e-3
        assert difference.max() < 5e-3


def single(view: Camera) -> Camera:
    return Camera(view.world_from_cam.float(), view.K.float(), view.size)


@pytest.fixture
def restore_threads() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("restore_threads")
def test_bits_do_not_depend_on_threads(isa: str) -> None:
    scene, view = cloud(20000, k=4), camera((120, 160))
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(images_and_gradients(scene, view, "native", torch.float32, antialiased=True))
    for other in results[1:]:
        for what, want in results[0].items():
            assert torch.equal(other[what], want), what


def test_batch_of_cameras_equals_single_calls() -> None:
    scene = Gaussians(*(getattr(cloud(), part).float() for part in NAMES))
    eyes = [(-3.0, 0.4, 0.5), (3.0, 0.1, 0.2), (0.2, 3.0, 1.0)]
    views = [single(camera(eye=eye)) for eye in eyes]
    path = Camera(torch.stack([v.world_from_cam for v in views]), torch.stack([v.K for v in views]), SIZE)
    for backend in ("torch", "native"):
        together = render(scene, path, backend=backend, normals=True)
        assert together.rgb.shape == (3, 3, *SIZE)
        assert together.info.radii.shape == (3, len(scene), 2)
        for i, view in enumerate(views):
            alone = render(scene, view, backend=backend, normals=True)
            for name in ("rgb", "alpha", "depth", "median_depth", "median_valid", "normal"):
                assert torch.equal(getattr(together, name)[i], getattr(alone, name)), name
            assert torch.equal(together.info.means2d[i], alone.info.means2d)


def test_gradients_through_a_batch_add_up() -> None:
    scene = cloud()
    eyes = [(-3.0, 0.4, 0.5), (3.0, 0.1, 0.2)]
    views = [camera(eye=eye) for eye in eyes]
    path = Camera(torch.stack([v.world_from_cam for v in views]), torch.stack([v.K for v in views]), SIZE)
    means = [scene.means.clone().requires_grad_() for _ in range(2)]
    render(replace(scene, means=means[0]), path, backend="native").rgb.square().sum().backward()
    for view in views:
        render(replace(scene, means=means[1]), view, backend="native").rgb.square().sum().backward()
    torch.testing.assert_close(means[0].grad, means[1].grad)


def test_only_some_outputs_may_have_gradients() -> None:
    """Each image alone gives the twin's gradient, with nothing flowing from the others."""
    view = camera()
    for name in ("rgb", "alpha", "depth", "features"):
        grads = []
        for backend in ("torch", "native"):
            means = cloud().means.clone().requires_grad_()
            scene = replace(cloud(), means=means)
            getattr(render(scene, view, backend=backend, features=cloud().sh[:, 0]), name).square().sum().backward()
            grads.append(means.grad)
        torch.testing.assert_close(grads[1], grads[0], rtol=1e-6, atol=1e-6)


def test_nothing_that_is_not_a_number_gets_through() -> None:
    scene = cloud()
    bad = {name: getattr(scene, name).clone() for name in NAMES}
    bad["means"][0, 0] = torch.nan
    bad["scales"][1, 1] = torch.nan
    bad["opacities"][2] = torch.nan
    bad["means"][3] = torch.inf
    clean = scene[4:]
    for backend in ("torch", "native"):
        got = render(Gaussians(**bad), camera(), backend=backend)
        torch.testing.assert_close(got.rgb, render(clean, camera(), backend=backend).rgb)


def test_near_and_far_cut() -> None:
    scene, view = cloud(), camera()
    z = (scene.means - view.world_from_cam[:3, 3]) @ view.world_from_cam[:3, 2]
    for backend in ("torch", "native"):
        cut = render(scene, view, backend=backend, near=2.5, far=3.5)
        kept = render(scene[(z >= 2.5) & (z <= 3.5)], view, backend=backend)
        torch.testing.assert_close(cut.rgb, kept.rgb)
        assert cut.median_depth[cut.median_valid].min() >= 2.5


def draw_in_child(queue: "multiprocessing.Queue[list[float]]", scene: Gaussians, view: Camera) -> None:
    queue.put(render(scene, view, backend="native").rgb[0, 0].tolist())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_can_draw() -> None:
    """The child has none of the parent's threads; nor do torch's own survive a fork, so the scene comes ready."""
    scene = Gaussians(*(getattr(cloud(5000), part).float() for part in NAMES))
    view = single(camera((120, 160)))
    expected = render(scene, view, backend="native").rgb[0, 0].tolist()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forking with threads, which is the point
        child = context.Process(target=draw_in_child, args=(queue, scene, view), daemon=True)
        child.start()
    try:
        assert queue.get(timeout=60) == expected
        child.join(timeout=60)
    finally:
        child.kill()


def test_auto_is_native_on_the_cpu() -> None:
    assert fastest_backend("cpu") == "native"
    assert fastest_backend("cpu", torch.float64) == "torch"
    assert [engine.name for engine in backends()] == ["native", "torch", "gsplat"]
    assert backends()[0].available
    scene = Gaussians(*(getattr(cloud(), part).float() for part in NAMES))
    assert render(scene, single(camera())).backend == "native"


WITHOUT = """
import sys, warnings, torch
sys.modules["worldloom.render._native"] = None
from worldloom.errors import MissingExtra
from worldloom.geometry import Camera, Gaussians, intrinsics
from worldloom.render import backends, render
scene = Gaussians(torch.ones(1, 3), torch.ones(1, 4), torch.ones(1, 3), torch.ones(1), torch.ones(1, 1, 3))
camera = Camera(torch.eye(4), intrinsics(1.0, (8, 8)), (8, 8))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    assert render(scene, camera).backend == "torch" and render(scene, camera).rgb.max() > 0.5
assert len(said) == 1 and "slow torch backend" in str(said[0].message), said
assert not backends()[0].available
try:
    render(scene, camera, backend="native")
except MissingExtra as error:
    assert "C++17 compiler" in str(error)
else:
    raise AssertionError("nothing was raised")
"""


def test_without_native_kernels_the_twin_draws_and_says_so() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT], check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})


def test_import_is_cheap() -> None:
    code = "import sys, worldloom.render; assert not {'gsplat', 'worldloom.render._native'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_half_precision_is_refused() -> None:
    scene = Gaussians(*(getattr(cloud(3), part).half() for part in NAMES))
    view = Camera(camera().world_from_cam.half(), camera().K.half(), SIZE)
    with pytest.raises(InputError, match="float32 or float64"):
        render(scene, view, backend="native")


def test_unknown_instruction_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLDLOOM_ISA", "sse9")
    scene = Gaussians(*(getattr(cloud(3), part).float() for part in NAMES))
    with pytest.raises(ValueError, match="sse9"):
        render(scene, single(camera()), backend="native")


def test_scalar_yardstick_draws_the_same_picture() -> None:
    from worldloom.render import _native

    scene = Gaussians(*(getattr(cloud(2000), part).float() for part in NAMES))
    view = single(camera((90, 120)))
    fx, fy, cx, cy = view.K[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
    images = _native.rasterize_scalar_baseline(
        *(scene.means, scene.quats, scene.scales, scene.opacities, scene.sh),
        view.cam_from_world.contiguous(),
        (fx, fy, cx, cy),
        view.size,
    )
    drawn = render(scene, view, backend="native")
    difference = (images - torch.cat([drawn.rgb, drawn.alpha[None]])).abs()
    assert (difference > 1e-4).float().mean() < 5e-3
    assert difference.max() < 1e-2


def test_adapter_calls_fit_the_installed_gsplat() -> None:
    gsplat = pytest.importorskip("gsplat", reason="gsplat is not installed")
    known = signature(gsplat.rasterization).parameters
    used = {"viewmats", "Ks", "width", "height", "near_plane", "far_plane", "packed", "tile_size", "rasterize_mode"}
    assert used | {"sh_degree", "render_mode"} <= set(known)
    assert list(known)[:5] == ["means", "quats", "scales", "opacities", "colors"]


@pytest.mark.gpu
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("name", ["ordinary", "inside", "off-centre", "opaque", "long lists"])
def test_gsplat_on_cuda_equals_the_twin(name: str, antialiased: bool) -> None:
    scene, view = SCENES[name]
    expected = images_and_gradients(scene, view, "torch", torch.float64, antialiased=antialiased)
    to_gpu: Callable[[Tensor], Tensor] = lambda t: t.float().cuda()  # noqa: E731
    leaves = Gaussians(*(to_gpu(getattr(scene, part)) for part in NAMES))
    got = images_and_gradients(
        leaves,
        Camera(to_gpu(view.world_from_cam), to_gpu(view.K), view.size),
        "gsplat",
        torch.float32,
        antialiased=antialiased,
    )
    for what, want in expected.items():
        difference = (got[what].cpu().double() - want).abs()
        assert difference.sum() <= 5e-3 * want.abs().sum() + 1e-5, what


@pytest.mark.gpu
def test_auto_is_gsplat_on_cuda() -> None:
    assert fastest_backend("cuda") == "gsplat"
    scene = Gaussians(*(getattr(cloud(), part).float().cuda() for part in NAMES))
    drawn: Rendering = render_call(scene, single(camera()).to("cuda"))
    assert drawn.backend == "gsplat"


def test_asked_for_gsplat_without_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(MissingExtra, match=r"worldloom\[cuda\]"):
        render(cloud(3), camera(), backend="gsplat")
