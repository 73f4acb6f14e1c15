"""Panorama geometry by hand, by round trip and by convergence."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from worldloom.geometry import (
    Camera,
    apply,
    cubemap_cameras,
    cubemap_from_panorama,
    depth_from_distance,
    direction_from_pixel,
    directions,
    distance_from_depth,
    intrinsics,
    invert,
    look_at,
    panorama_from_cubemap,
    pixel_from_direction,
    rays,
    sample_panorama,
    solid_angles,
    tangent_cameras,
    tangent_views,
)


def smooth(d: Tensor) -> Tensor:
    """A colour for every direction without edges, different in x, y and z; (..., 3) to (..., 3)."""
    x, y, z = d.unbind(-1)
    return 0.5 + torch.stack([0.3 * x + 0.2 * y * z, 0.3 * y - 0.15 * x * x, 0.3 * z + 0.1 * x * y], dim=-1)


def smooth_panorama(height: int) -> Tensor:
    return smooth(directions(height)).permute(2, 0, 1)


def test_directions_by_hand() -> None:
    """Height 2, width 4: rows at elevations +45 and -45 degrees, columns at azimuths 135, 45, -45, -135."""
    c, s = 0.5, math.sqrt(0.5)
    top = [[-c, c, s], [c, c, s], [c, -c, s], [-c, -c, s]]
    expected = torch.tensor([top, [[x, y, -z] for x, y, z in top]])
    assert torch.allclose(directions(2), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("direction", "u", "v"),
    [
        ((1, 0, 0), 8, 4),
        ((0, 1, 0), 4, 4),
        ((0, -1, 0), 12, 4),
        ((-1, 0, 0), 0, 4),
        ((0, 0, 1), 8, 0),
        ((0, 0, -1), 8, 8),
    ],
)
def test_axes_by_hand(direction: tuple[float, ...], u: float, v: float) -> None:
    """Height 8, width 16: forward is the middle, left a quarter to the left, up the top edge."""
    at_u, at_v = pixel_from_direction(torch.tensor(direction, dtype=torch.float64), 8)
    assert (at_u.item(), at_v.item()) == pytest.approx((u, v), abs=1e-12)


@given(st.floats(0, 15.999), st.floats(0.001, 7.999))
def test_pixel_round_trip(u: float, v: float) -> None:
    at = direction_from_pixel(torch.tensor(u, dtype=torch.float64), torch.tensor(v, dtype=torch.float64), 8)
    back_u, back_v = pixel_from_direction(3 * at, 8)
    assert at.norm().item() == pytest.approx(1)
    assert (back_u - u + 8).remainder(16).item() - 8 == pytest.approx(0, abs=1e-8)
    assert back_v.item() == pytest.approx(v, abs=1e-9)
    assert 0 <= back_u < 16


def test_solid_angles() -> None:
    omega = solid_angles(64)
    assert omega.double().sum().item() == pytest.approx(4 * math.pi, rel=1e-6)
    # The integral of z^2 over the sphere is 4 pi / 3; rows weighted without the cosine would give 2 pi.
    assert (omega * directions(64)[..., 2] ** 2).sum().item() == pytest.approx(4 * math.pi / 3, rel=1e-3)


def test_sampling_at_pixel_centres_is_the_identity() -> None:
    image = torch.rand(2, 5, 16, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(sample_panorama(image, directions(16)), image, atol=1e-4)
    labels = (image * 200).to(torch.uint8)
    assert torch.equal(sample_panorama(labels, directions(16), "nearest"), labels)
    assert torch.equal(sample_panorama(labels > 99, 7 * directions(16), "nearest"), labels > 99)


def test_seam_and_poles_by_hand() -> None:
    image = torch.arange(32.0).reshape(1, 4, 8)

    def value(u: float, v: float) -> float:
        at = direction_from_pixel(torch.tensor([[u]]), torch.tensor([[v]]), 4)
        return sample_panorama(image, at).item()

    # On the seam, halfway between columns 7 and 0 of row 1.
    assert value(8.0, 1.5) == pytest.approx((image[0, 1, 7] + image[0, 1, 0]).item() / 2, abs=1e-3)
    # A quarter of a row below the top edge: three quarters of (row 0, column 2), one quarter of (row 0, column 6).
    assert value(2.5, 0.25) == pytest.approx((0.75 * image[0, 0, 2] + 0.25 * image[0, 0, 6]).item(), abs=1e-3)
    assert value(2.5, 3.75) == pytest.approx((0.75 * image[0, 3, 2] + 0.25 * image[0, 3, 6]).item(), abs=1e-3)


def errors_fall_as(heights: list[int], errors: list[float], order: float) -> bool:
    rates = [
        math.log(a / b) / math.log(hb / ha)
        for a, b, ha, hb in zip(errors, errors[1:], heights, heights[1:], strict=False)
    ]
    return min(rates) > order - 0.3


def test_sampling_converges_everywhere() -> None:
    """Second order in the pixel, at the seam and the poles as anywhere."""
    generator = torch.Generator().manual_seed(0)
    d = torch.nn.functional.normalize(torch.randn(60, 60, 3, generator=generator), dim=-1)
    d[0, :20] = torch.tensor([1e-3, 1e-3, 1.0])
    d[1, :20] = torch.tensor([-1.0, 1e-3, 0.1])
    heights = [16, 32, 64]
    errors = [
        (sample_panorama(smooth_panorama(h), d).permute(1, 2, 0) - smooth(d / d.norm(dim=-1, keepdim=True)))
        for h in heights
    ]
    assert errors_fall_as(heights, [e.abs().max().item() for e in errors], 2)


def test_turning_the_panorama_is_rolling_it() -> None:
    image = smooth_panorama(32)
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # x to y: looks to the left
    turned = sample_panorama(image, directions(32) @ quarter.mT)
    assert torch.allclose(turned, image.roll(16, dims=-1), atol=1e-4)  # what was left is now ahead


def test_rays_and_distance() -> None:
    camera = Camera(torch.eye(4), torch.tensor([[2.0, 0.5, 1.5], [0.0, 4.0, 1.0], [0.0, 0.0, 1.0]]), (2, 3))
    pixels = rays(camera) @ camera.K.mT
    v, u = torch.meshgrid(torch.arange(2) + 0.5, torch.arange(3) + 0.5, indexing="ij")
    assert torch.allclose(pixels, torch.stack([u, v, torch.ones_like(u)], -1), atol=1e-6)
    # Focal length 1, one pixel with its centre 3 right of and 4 below the axis.
    corner = Camera(torch.eye(4), torch.tensor([[1.0, 0.0, -2.5], [0.0, 1.0, -3.5], [0.0, 0.0, 1.0]]), (1, 1))
    assert distance_from_depth(torch.tensor([[2.0]]), corner).item() == pytest.approx(2 * math.sqrt(26))


@given(st.floats(0.1, 100), st.floats(0.3, 2.5))
def test_distance_round_trip(depth: float, fov: float) -> None:
    camera = Camera(torch.eye(4).expand(2, 4, 4), intrinsics(fov, (5, 7)).expand(2, 3, 3), (5, 7))
    image = torch.full((2, 5, 7), depth)
    distance = distance_from_depth(image, camera)
    assert (distance >= image * (1 - 1e-6)).all()
    assert torch.allclose(depth_from_distance(distance, camera), image)


@pytest.mark.parametrize("num", [1, 6, 12, 20, 26])
def test_tangent_cameras_are_upright_and_apart(num: int) -> None:
    cameras = tangent_cameras(num, size=(8, 8))
    rotation = cameras.world_from_cam[:, :3, :3]
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3).expand(num, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(num), atol=1e-5)
    assert rotation[:, 2, 0].abs().max() < 1e-5
    forward = rotation[..., 2]
    closest = (forward @ forward.mT - 2 * torch.eye(num)).max()
    assert math.acos(closest.clamp(-1, 1)) > 0.75 * math.sqrt(4 * math.pi / num) or num == 1


@pytest.mark.parametrize(
    ("num", "fov_deg", "covers"), [(20, 74, True), (20, 70, False), (12, 72, True), (12, 68, False)]
)
def test_tangent_views_cover_the_sphere(num: int, fov_deg: float, covers: bool) -> None:
    cameras = tangent_cameras(num, math.radians(fov_deg), (16, 16))
    d = directions(90).reshape(1, -1, 3).expand(num, -1, 3)
    local = apply(invert(cameras.world_from_cam), d)
    tan = math.tan(math.radians(fov_deg) / 2)
    inside = (local[..., 2] > 0) & (local[..., :2].abs() <= tan * local[..., 2:]).all(-1)
    assert bool(inside.any(0).all()) is covers


def test_tangent_views_show_what_lies_there() -> None:
    """Views of the panorama converge, with second order, to the function the panorama was made of."""
    cameras = tangent_cameras(7, 1.2, (20, 24))
    truth = smooth(torch.nn.functional.normalize(rays(cameras) @ cameras.world_from_cam[:, None, :3, :3].mT, dim=-1))
    heights = [16, 32, 64]
    errors = [
        (tangent_views(smooth_panorama(h), cameras).permute(0, 2, 3, 1) - truth).abs().max().item() for h in heights
    ]
    assert errors_fall_as(heights, errors, 2)


def test_left_of_the_panorama_is_left_in_a_view() -> None:
    azimuth_sign = directions(64)[..., 1][None]  # y > 0: left half
    ahead = look_at(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]]))
    view = tangent_views(azimuth_sign, Camera(ahead, intrinsics(1.0, (8, 8))[None], (8, 8)))[0, 0]
    assert (view[:, :4] > 0).all()
    assert (view[:, 4:] < 0).all()


def test_cube_faces_by_hand() -> None:
    rotation = cubemap_cameras(4).world_from_cam[:, :3, :3]
    forward = torch.tensor([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=torch.float32)
    assert torch.equal(rotation[..., 2], forward)
    assert torch.equal(torch.linalg.det(rotation).round(), torch.ones(6))
    assert torch.allclose(torch.linalg.cross(rotation[..., 2], rotation[..., 0]), rotation[..., 1])
    # Front's top row is the bottom row of up, and front's bottom row the top row of down.
    faces = cubemap_from_panorama(smooth_panorama(256), 64)
    assert (faces[0, :, 0] - faces[4, :, -1]).abs().max() < 0.02
    assert (faces[0, :, -1] - faces[5, :, 0]).abs().max() < 0.02
    assert (faces[0, :, :, 0] - faces[1, :, :, -1]).abs().max() < 0.02  # left of front is right of left


def test_cubemap_round_trip_converges() -> None:
    heights = [16, 32, 64]
    errors = []
    for height in heights:
        panorama = smooth_panorama(height)
        back = panorama_from_cubemap(cubemap_from_panorama(panorama[None], height), height)
        errors.append((back[0] - panorama).abs().max().item())
    assert errors_fall_as(heights, errors, 1.8)
    assert errors[-1] < 2e-3


def test_cube_edges_do_not_show() -> None:
    """From exact faces, directions right at edges and corners of the cube are as good as any."""
    cameras = cubemap_cameras(32)
    faces = smooth(torch.nn.functional.normalize(rays(cameras) @ cameras.world_from_cam[:, None, :3, :3].mT, dim=-1))
    back = panorama_from_cubemap(faces.permute(0, 3, 1, 2), 96)
    assert (back - smooth_panorama(96)).abs().max() < 1e-3


def test_a_real_panorama_survives_the_cube(test_data: Path) -> None:
    from worldloom.geometry.io import load_image

    panorama = load_image(test_data / "panoramas" / "blender" / "interior.png")
    back = panorama_from_cubemap(cubemap_from_panorama(panorama, 512), 512)
    assert (back - panorama).abs().mean() < 0.01
    assert (panorama.flip(-1) - panorama).abs().mean() > 0.05  # a mirrored cube would show


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_panorama(torch.zeros(3, 4, 9), directions(2)), "1:2"),
        (lambda: sample_panorama(torch.zeros(3, 4, 8, dtype=torch.uint8), directions(2)), "nearest"),
        (lambda: directions(0), "height"),
        (lambda: tangent_cameras(0), "camera"),
    ],
)
def test_refuses(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
