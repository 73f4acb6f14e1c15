"""Forward warping: exact on planes and whole pixels, with holes where nothing was seen."""

import math

import pytest
import torch

from worldloom.geometry import Camera, compose, intrinsics, look_at
from worldloom.render.warp import warp

SIZE = (6, 9)
FOCAL = 8.0
K = torch.tensor([[FOCAL, 0, 4.5], [0, FOCAL, 3.0], [0, 0, 1]])


def camera(x: float = 0.0, y: float = 0.0, z: float = 0.0, k: torch.Tensor = K, size: tuple[int, int] = SIZE) -> Camera:
    """Looks along world z with world x to the right and y down; moved by metres."""
    return Camera(compose(torch.eye(3), torch.tensor([x, y, z])), k, size)


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(seed)) + 0.1


@pytest.mark.parametrize("footprint", ["nearest", "bilinear"])
def test_standing_still_changes_nothing(footprint):
    rgb, depth = picture(), 1 + 9 * torch.rand(SIZE)
    out = warp(rgb, depth, camera(), camera(), footprint=footprint)
    torch.testing.assert_close(out.rgb, rgb, atol=1e-4, rtol=0)
    torch.testing.assert_close(out.depth, depth)
    assert out.mask.all()


@pytest.mark.parametrize("footprint", ["nearest", "bilinear"])
@pytest.mark.parametrize(("columns", "rows"), [(2, 0), (-3, 0), (0, 1), (0, -2), (1, -1)])
def test_a_plane_moves_by_whole_pixels(columns, rows, footprint):
    """At depth 4 and focal length 8, half a metre of motion is one pixel, the other way round."""
    rgb, depth = picture(), torch.full(SIZE, 4.0)
    out = warp(rgb, depth, camera(), camera(-0.5 * columns, -0.5 * rows), footprint=footprint)
    expected = torch.zeros_like(rgb)
    height, width = SIZE
    seen = torch.zeros(SIZE, dtype=torch.bool)
    for i in range(height):
        for j in range(width):
            if 0 <= i + rows < height and 0 <= j + columns < width:
                expected[:, i + rows, j + columns] = rgb[:, i, j]
                seen[i + rows, j + columns] = True
    assert torch.equal(out.mask, seen)
    torch.testing.assert_close(out.rgb, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(out.depth, torch.where(seen, 4.0, 0.0), atol=1e-5, rtol=0)


def test_half_a_pixel_is_the_mean_of_neighbours():
    rgb = picture()
    out = warp(rgb, torch.full(SIZE, 4.0), camera(), camera(0.25))
    torch.testing.assert_close(out.rgb[:, :, :-1], (rgb[:, :, :-1] + rgb[:, :, 1:]) / 2, atol=1e-4, rtol=0)


@pytest.mark.parametrize("footprint", ["nearest", "bilinear"])
def test_the_nearest_surface_wins_and_uncovers_a_hole(footprint):
    """A near pixel in front of a far wall: it moves four times as far, hides the wall there, and leaves a hole."""
    rgb, depth = picture(), torch.full(SIZE, 8.0)
    depth[2, 5] = 2.0
    out = warp(rgb, depth, camera(), camera(1.0), footprint=footprint)  # wall 1 pixel to the left, near pixel 4
    torch.testing.assert_close(out.rgb[:, 2, 1], rgb[:, 2, 5], atol=1e-4, rtol=0)
    assert out.depth[2, 1].item() == pytest.approx(2.0)
    assert not out.mask[2, 4]
    holes = (~out.mask).nonzero().tolist()
    assert sorted(holes) == sorted([[2, 4], *([i, 8] for i in range(6))])


def test_depth_is_that_of_the_new_camera():
    out = warp(picture(), torch.full(SIZE, 4.0), camera(), camera(z=1.0))
    assert out.mask.all()
    torch.testing.assert_close(out.depth, torch.full(SIZE, 3.0))
    behind = warp(picture(), torch.full(SIZE, 4.0), camera(), camera(z=5.0))
    assert not behind.mask.any()
    assert not behind.rgb.any()


def test_bilinear_closes_the_cracks_of_magnification():
    coarse, fine = camera(), camera(k=K * torch.tensor([[1.8], [1.8], [1.0]]), size=(10, 16))
    depth = torch.full(SIZE, 4.0)
    assert not warp(picture(), depth, coarse, fine, footprint="nearest").mask.all()
    inner = warp(picture(), depth, coarse, fine, footprint="bilinear").mask
    assert inner[1:-1, 1:-1].all()


def test_rotation_and_other_cameras():
    """A point seen by both cameras lands where the pinhole equation says."""
    eye = torch.tensor([[1.0, 2.0, 0.5], [-1.0, 1.0, 2.0]])
    target = torch.tensor([5.0, 4.0, 1.0])
    pose, k = look_at(eye, target.expand(2, 3)), intrinsics(math.radians(60), (40, 60))
    src, dst = (Camera(p, k, (40, 60)) for p in pose)
    depth = torch.zeros(40, 60)
    depth[20, 30] = 3.0
    out = warp(torch.ones(1, 40, 60), depth, src, dst, footprint="nearest")
    ray = torch.tensor([(30.5 - 30) / k[0, 0], (20.5 - 20) / k[1, 1], 1.0])
    world = pose[0, :3, :3] @ (3.0 * ray) + eye[0]
    local = pose[1, :3, :3].T @ (world - eye[1])
    u, v = (k @ local)[:2] / local[2]
    assert out.mask.nonzero().tolist() == [[int(v), int(u)]]
    assert out.depth[out.mask].item() == pytest.approx(local[2].item(), rel=1e-5)


def test_invalid_pixels_are_left_out():
    rgb, depth = picture(), torch.full(SIZE, 4.0)
    depth[0, :4] = torch.tensor([torch.nan, torch.inf, 0.0, -1.0])
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[5, 8] = False
    out = warp(rgb, depth, camera(), camera(), valid)
    assert (~out.mask).nonzero().tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [5, 8]]
    assert out.rgb.isfinite().all()
    assert not out.rgb[:, 0, 0].any()


def test_batches_and_gradients():
    rgb = torch.stack([picture(0), picture(1)]).double().requires_grad_()
    depth = torch.full((2, *SIZE), 4.0, dtype=torch.float64)
    poses = torch.stack([camera().world_from_cam, camera(0.5).world_from_cam]).double()
    k = K.double().expand(2, 3, 3)
    here, there = Camera(poses[:1].expand(2, 4, 4), k, SIZE), Camera(poses, k, SIZE)
    out = warp(rgb, depth, here, there)
    single = warp(rgb[1], depth[1], here[1], there[1])
    assert torch.equal(out.rgb[1], single.rgb)
    (gradient,) = torch.autograd.grad(out.rgb.sum(), rgb)
    torch.testing.assert_close(gradient[0], torch.ones_like(gradient[0]))
    assert gradient[1, :, :, 0].abs().max() < 1e-6  # left the image
    with pytest.raises(ValueError, match="batches differ"):
        warp(rgb, depth, here[0], there)
    with pytest.raises(ValueError, match="source camera's size"):
        warp(rgb[..., 1:], depth[..., 1:], here, there)


def test_a_near_point_does_not_hide_what_it_only_grazes():
    """A tenth of the near pixel reaches into its neighbour: the wall stays there, the near surface does not grow."""
    rgb, depth = picture(), torch.full(SIZE, 8.0)
    depth[2, 5] = 2.0
    out = warp(rgb, depth, camera(), camera(0.025))
    assert out.depth[2, 5].item() == pytest.approx(2.0)
    assert out.depth[2, 4].item() == pytest.approx(8.0)
