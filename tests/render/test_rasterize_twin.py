"""The torch twin against a dense blender, closed forms by hand, gsplat's torch functions and finite differences."""

import math
from dataclasses import replace

import numpy
import pytest
import torch
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import Camera, Gaussians, intrinsics, look_at, rotmat_from_quat, sh_from_rgb
from worldloom.geometry.harmonics import sh_basis
from worldloom.render import _torch, render


def cloud(n: int, k: int = 16, seed: int = 0, dtype: torch.dtype = torch.float64) -> Gaussians:
    """Gaussians in a 4 m cube about the origin; some lie behind or beside the cameras of these tests."""
    generator = torch.Generator().manual_seed(seed)
    means = 4 * torch.rand(n, 3, generator=generator, dtype=dtype) - 2
    quats = torch.randn(n, 4, generator=generator, dtype=dtype)
    scales = 0.03 + 0.25 * torch.rand(n, 3, generator=generator, dtype=dtype)
    sh = 0.2 * torch.randn(n, k, 3, generator=generator, dtype=dtype)
    return Gaussians(means, quats, scales, torch.rand(n, generator=generator, dtype=dtype), sh)


def camera(
    size: tuple[int, int] = (37, 50), eye: tuple[float, float, float] = (-3.0, 0.4, 0.5), shift: float = 0.0
) -> Camera:
    """A camera that looks at the origin; `shift` moves the principal point off the centre, in pixels."""
    K = intrinsics(1.1, size).double()
    K[0, 2] += shift
    K[1, 2] -= 0.7 * shift
    K[1, 1] *= 1.1
    return Camera(look_at(torch.tensor(eye, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)), K, size)


def dense(scene: Gaussians, view: Camera, antialiased: bool, near: float = 0.01) -> tuple[Tensor, Tensor, Tensor]:
    """rgb, alpha and expected depth, every pixel against every Gaussian, straight from the rules."""
    height, width = view.size
    R, t = view.cam_from_world[:3, :3], view.cam_from_world[:3, 3]
    p = scene.means @ R.T + t
    order = p[:, 2].argsort(stable=True)
    rgb, depth, left = (
        torch.zeros(3, height, width).double(),
        torch.zeros(height, width).double(),
        torch.ones(height, width).double(),
    )
    ended = torch.zeros(height, width, dtype=torch.bool)
    v, u = torch.meshgrid(torch.arange(height).double() + 0.5, torch.arange(width).double() + 0.5, indexing="ij")
    fx, fy, cx, cy = view.K[0, 0], view.K[1, 1], view.K[0, 2], view.K[1, 2]
    for i in order.tolist():
        x, y, z = p[i]
        if z < near:
            continue
        limit_x, limit_y = 0.3 * 0.5 * width / fx, 0.3 * 0.5 * height / fy
        a = (x / z).clamp(-(cx / fx + limit_x), (width - cx) / fx + limit_x)
        b = (y / z).clamp(-(cy / fy + limit_y), (height - cy) / fy + limit_y)
        J = torch.stack([torch.stack([fx / z, 0 * z, -fx * a / z]), torch.stack([0 * z, fy / z, -fy * b / z])])
        M = rotmat_from_quat(scene.quats[i]) @ torch.diag(scene.scales[i])
        flat = J @ R @ M @ M.T @ R.T @ J.T
        wide = flat + 0.3 * torch.eye(2).double()
        opacity = (
            scene.opacities[i] * (flat.det() / wide.det()).clamp(min=0).sqrt() if antialiased else scene.opacities[i]
        )
        d = torch.stack([u - (fx * x / z + cx), v - (fy * y / z + cy)], dim=-1)
        sigma = 0.5 * torch.einsum("hwi,ij,hwj->hw", d, wide.inverse(), d)
        alpha = (opacity * torch.exp(-sigma)).clamp(max=0.999)
        drawn = (alpha >= 1 / 255) & ~ended
        ended |= drawn & (left * (1 - alpha) <= 1e-4)
        weight = torch.where(drawn & ~ended, alpha * left, 0)
        away = torch.nn.functional.normalize(scene.means[i] - view.world_from_cam[:3, 3], dim=0)
        colour = (0.5 + sh_basis(away, scene.sh.shape[1]) @ scene.sh[i]).clamp(min=0)
        rgb, depth, left = rgb + colour[:, None, None] * weight, depth + z * weight, left - weight
    return rgb, 1 - left, depth / (1 - left).clamp(min=1e-10)


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize(
    "view",
    [camera(), camera(eye=(0.3, 0.2, 0.1)), camera((16, 33), shift=9.0), camera((1, 1))],
    ids=["outside", "inside", "off-centre", "one pixel"],
)
def test_twin_equals_a_dense_blender(view: Camera, antialiased: bool) -> None:
    scene = cloud(100)
    expected = dense(scene, view, antialiased)
    drawn = render(scene, view, backend="torch", antialiased=antialiased)
    for got, want in zip((drawn.rgb, drawn.alpha, drawn.depth), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def one(opacity: float = 0.6, scale: float = 0.2, mean: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Gaussians:
    red = sh_from_rgb(torch.tensor([[0.9, 0.2, 0.1]], dtype=torch.float64))
    unit = torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64)
    scales = torch.full((1, 3), scale, dtype=torch.float64)
    return Gaussians(
        torch.tensor([mean], dtype=torch.float64), unit, scales, torch.tensor([opacity], dtype=torch.float64), red
    )


def straight_camera(size: tuple[int, int], focal: float) -> Camera:
    """At z = -2 in a world whose axes are the camera's: image right = +x, image down = +y."""
    height, width = size
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[2, 3] = -2
    return Camera(pose, K, size)


def test_one_splat_by_hand() -> None:
    """A ball of 0.2 m at 2 m with focal length 40 is a Gaussian of variance 4^2 + 0.3 about the image centre."""
    drawn = render(one(), straight_camera((20, 30), 40.0), backend="torch")
    variance = (40 * 0.2 / 2) ** 2 + 0.3
    for row, column in ((10, 15), (9, 14), (4, 20), (13, 15)):
        squared = (column + 0.5 - 15) ** 2 + (row + 0.5 - 10) ** 2
        alpha = 0.6 * math.exp(-0.5 * squared / variance)
        assert drawn.alpha[row, column].item() == pytest.approx(alpha, abs=1e-12)
        assert drawn.rgb[:, row, column].tolist() == pytest.approx([0.9 * alpha, 0.2 * alpha, 0.1 * alpha], abs=1e-7)
        assert drawn.depth[row, column].item() == pytest.approx(2.0)
    assert drawn.info.means2d[0].tolist() == [15, 10]
    reach = min(3.33, math.sqrt(2 * math.log(255 * 0.6))) * math.sqrt(variance)
    assert drawn.info.radii[0].tolist() == [math.ceil(reach)] * 2


def test_right_is_right_and_down_is_down() -> None:
    drawn = render(one(mean=(0.3, -0.2, 0.0), scale=0.05), straight_camera((20, 30), 40.0), backend="torch")
    assert drawn.info.means2d[0].tolist() == pytest.approx([15 + 40 * 0.3 / 2, 10 - 40 * 0.2 / 2])
    assert divmod(drawn.alpha.argmax().item(), 30) in {(5, 20), (6, 20), (5, 21), (6, 21)}


def test_front_hides_back_and_ends_the_pixel() -> None:
    """Three opaque balls: alpha is capped at 0.999, and the one that would leave 1e-4 or less is not drawn."""
    near, far = one(1.0, 2.0), one(1.0, 2.0, (0.0, 0.0, 3.0))
    scene = Gaussians.cat([far, far, near])
    drawn = render(scene, straight_camera((1, 1), 1e-2), backend="torch")
    assert drawn.alpha.item() == pytest.approx(0.999, abs=1e-12)
    assert drawn.depth.item() == pytest.approx(2.0)
    assert drawn.median_depth.item() == pytest.approx(2.0)
    assert drawn.median_valid.item()


def test_median_depth_is_where_half_is_hidden() -> None:
    layers = Gaussians.cat([one(0.4, 50.0, (0.0, 0.0, z)) for z in (3.0, 1.0, 2.0, 4.0)])
    layers = replace(layers, scales=layers.scales * torch.tensor([1, 1, 1e-3]))
    view = straight_camera((1, 1), 1.0)
    assert render(layers, view, backend="torch").median_depth.item() == pytest.approx(2.0 + 2.0)  # 0.6, then 0.36
    alone = render(layers[:1], view, backend="torch")
    assert not alone.median_valid.item()
    assert alone.median_depth.item() == 0


def test_ties_are_drawn_by_index() -> None:
    red, blue = one(0.9, 5.0), replace(one(0.9, 5.0), sh=sh_from_rgb(torch.tensor([[0.0, 0, 1]], dtype=torch.float64)))
    view = straight_camera((1, 1), 1.0)
    assert render(Gaussians.cat([red, blue]), view, backend="torch").rgb[0] > 0.7
    assert render(Gaussians.cat([blue, red]), view, backend="torch").rgb[0] < 0.2


def test_background_shows_through() -> None:
    behind = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    view = straight_camera((20, 30), 40.0)
    bare, filled = render(one(), view, backend="torch"), render(one(), view, backend="torch", background=behind)
    torch.testing.assert_close(filled.rgb, bare.rgb + (1 - bare.alpha) * behind[:, None, None])
    assert filled.rgb[:, 0, 0].tolist() == behind.tolist()


def test_normals_face_the_camera() -> None:
    """A thin disc shows its short axis from both sides, in world coordinates."""
    disc = replace(one(0.9, 0.5), scales=torch.tensor([[0.5, 0.01, 0.5]], dtype=torch.float64))
    for y, sign in ((-3.0, -1.0), (3.0, 1.0)):
        view = Camera(
            look_at(torch.tensor([0.1, y, 0.2]).double(), torch.zeros(3).double()),
            intrinsics(0.5, (9, 9)).double(),
            (9, 9),
        )
        drawn = render(disc, view, backend="torch", normals=True)
        assert drawn.normal is not None
        unit = drawn.normal[:, 4, 4] / drawn.alpha[4, 4]
        torch.testing.assert_close(unit, torch.tensor([0.0, sign, 0.0], dtype=torch.float64), rtol=0, atol=1e-6)


def test_projection_equals_gsplat() -> None:
    oracle = pytest.importorskip("gsplat.cuda._torch_impl", reason="gsplat is not installed")
    scene, view = cloud(200), camera((40, 61), shift=5.0)
    covariances, _ = oracle._quat_scale_to_covar_preci(scene.quats, scene.scales)
    height, width = view.size
    camera_of = (view.cam_from_world[None], view.K[None], width, height)
    radii, means2d, depths, conics, factor = oracle._fully_fused_projection(
        scene.means, covariances, *camera_of, calc_compensations=True
    )
    ours = _torch.project(scene, view.world_from_cam, view.K, view.size, antialiased=True)
    keep = (radii[0] > 0).all(-1)
    assert keep.sum() > 50
    torch.testing.assert_close(ours.means2d[keep], means2d[0, keep])
    torch.testing.assert_close(ours.conics[keep], conics[0, keep])
    torch.testing.assert_close(ours.depths[keep], depths[0, keep])
    torch.testing.assert_close(ours.opacities[keep], (scene.opacities * factor[0])[keep])


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_harmonics_equal_gsplat(degree: int) -> None:
    oracle = pytest.importorskip("gsplat.cuda._torch_impl", reason="gsplat is not installed")
    k = (degree + 1) ** 2
    direction = torch.nn.functional.normalize(
        torch.randn(50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64), dim=-1
    )
    sh = cloud(50, k).sh
    expected = oracle._spherical_harmonics(degree, direction, sh)
    torch.testing.assert_close(torch.einsum("nk,nkc->nc", sh_basis(direction, k), sh), expected, rtol=1e-6, atol=1e-7)


def test_harmonics_are_orthonormal() -> None:
    """Integral of Y_i Y_j over the sphere, by a product rule exact for polynomials of degree 6."""
    nodes, weights = (torch.from_numpy(part) for part in numpy.polynomial.legendre.leggauss(8))
    azimuth = 2 * math.pi * torch.arange(16, dtype=torch.float64) / 16
    z, a = torch.meshgrid(nodes, azimuth, indexing="ij")
    ring = (1 - z * z).sqrt()
    basis = sh_basis(torch.stack([ring * a.cos(), ring * a.sin(), z], dim=-1), 16)
    gram = torch.einsum("zai,zaj,z->ij", basis, basis, weights * 2 * math.pi / 16)
    torch.testing.assert_close(gram, torch.eye(16, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("antialiased", [False, True])
def test_twin_derivatives(antialiased: bool) -> None:
    scene, view = cloud(6, k=9, seed=3), camera((6, 7))
    scene = replace(scene, scales=scene.scales + 0.2)
    weights = torch.randn(9, 6, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    features = torch.rand(6, 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def loss(*tensors: Tensor) -> Tensor:
        moved = replace(view, world_from_cam=rigid(tensors[6]) @ view.world_from_cam)
        options = {"backend": "torch", "antialiased": antialiased, "normals": True}
        drawn = render(Gaussians(*tensors[:5]), moved, features=tensors[5], **options)
        assert drawn.normal is not None
        assert drawn.features is not None
        return (
            torch.cat([drawn.rgb, drawn.alpha[None], drawn.depth[None], drawn.normal, drawn.features]) * weights
        ).sum()

    inputs = [
        t.clone().requires_grad_() for t in (*vars(scene).values(), features, torch.zeros(6, dtype=torch.float64))
    ]
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-5, rtol=1e-4, fast_mode=True)


def rigid(twist: Tensor) -> Tensor:
    """World motion by a rotation vector and a translation."""
    zero = torch.zeros_like(twist[0])
    rows = [
        zero,
        -twist[2],
        twist[1],
        twist[3],
        twist[2],
        zero,
        -twist[0],
        twist[4],
        -twist[1],
        twist[0],
        zero,
        twist[5],
    ]
    return torch.linalg.matrix_exp(torch.stack([*rows, zero, zero, zero, zero]).view(4, 4))


def test_means2d_gradient_is_the_image_shift() -> None:
    """Moving the only splat by one pixel and moving the principal point by one pixel are the same thing."""
    view = straight_camera((20, 30), 40.0)
    weights = torch.rand(20, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scene = replace(one(), means=one().means.requires_grad_())
    drawn = render(scene, view, backend="torch")
    (drawn.alpha * weights).sum().backward()
    assert drawn.info.means2d_grad is not None

    def shifted(step: float) -> float:
        K = view.K.clone()
        K[0, 2] += step
        return (render(one(), replace(view, K=K), backend="torch").alpha * weights).sum().item()

    assert drawn.info.means2d_grad[0, 0].item() == pytest.approx((shifted(1e-5) - shifted(-1e-5)) / 2e-5, rel=1e-6)


def test_small_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, view = cloud(100), camera()
    whole = render(scene, view, backend="torch").rgb
    monkeypatch.setattr(_torch, "BATCH_VALUES", 1)
    torch.testing.assert_close(render(scene, view, backend="torch").rgb, whole)


def test_bad_input_is_named() -> None:
    scene, view = cloud(3), camera()
    with pytest.raises(InputError, match="one device and float type"):
        render(replace(scene, means=scene.means.float()), view)
    with pytest.raises(InputError, match="one row for each of 3"):
        render(scene, view, features=torch.zeros(4, 2, dtype=torch.float64))
    with pytest.raises(InputError, match="backend must be"):
        render(scene, view, backend="vulkan")
    with pytest.raises(InputError, match="on CUDA only"):
        render(scene, view, backend="gsplat")
    skewed = view.K.clone()
    skewed[0, 1] = 2
    with pytest.raises(InputError, match="no skew"):
        render(scene, replace(view, K=skewed))
