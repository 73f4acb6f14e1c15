"""Photos of a room become splats that show it from new places; a run that is stopped goes on as if it had not been."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from tests.recon.photographed_room import cameras_in_a_row, photographed
from worldloom.errors import InputError
from worldloom.geometry import Gaussians, sh_from_rgb
from worldloom.geometry.equirect import rays
from worldloom.recon import PhotoDepth, RefineConfig, refine, splats_from_depth
from worldloom.recon.depth_splats import Points, merge_points, normals_from_depth, splats_from_points
from worldloom.recon.image_metrics import exposure_matched, psnr, ssim_map
from worldloom.recon.trainable_splats import TrainableSplats
from worldloom.render import render

HELD = 2
STEPS = RefineConfig(steps=40, levels=((0.0, 2), (0.4, 1)), grow_every=10, sh_degree=1)


@pytest.fixture(scope="module")
def scene():
    """Photos to learn from with their exact depth, and one that is kept."""
    photos, depth = photographed(cameras_in_a_row())
    used = [i for i in range(len(photos)) if i != HELD]
    sure = torch.ones_like(depth)
    known = PhotoDepth(photos.cameras, depth, sure, sure < 0)
    return photos[used], known[used], photos[[HELD]]


@pytest.fixture(scope="module")
def start(scene):
    return splats_from_depth(scene[0], scene[1])


def held_psnr(gaussians: Gaussians, photos) -> float:
    return psnr(render(gaussians, photos.cameras[0]).rgb, photos.rgb[0])


def test_exact_depth_makes_splats_that_show_the_room(scene, start):
    assert held_psnr(start, scene[2]) > 18
    assert render(start, scene[2].cameras[0]).alpha.median() > 0.9


def test_refinement_shows_an_unseen_view_better(scene, start):
    done = refine(start, scene[0], STEPS, depth=scene[1])
    assert done.steps == 40
    assert held_psnr(done.gaussians, scene[2]) > held_psnr(start, scene[2]) + 3
    drawn = render(done.gaussians, scene[1].cameras[0])
    error = (drawn.median_depth / scene[1].depth[0] - 1).abs()[drawn.median_valid]
    assert error.median() < 0.03


def test_the_same_seed_gives_the_same_bits_and_another_does_not(scene, start):
    few = replace(STEPS, steps=6)
    one, two = (refine(start, scene[0], few).gaussians for _ in range(2))
    assert torch.equal(one.means, two.means)
    assert torch.equal(one.sh, two.sh)
    assert not torch.equal(one.means, refine(start, scene[0], replace(few, seed=1)).gaussians.means)


@pytest.mark.parametrize("at", [5, 12])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(scene, start, tmp_path, at):
    # Stopped where the second band of colour has had fewer steps than all else, then where splats were divided.
    few = replace(STEPS, steps=14, grow=(0.0, 1.0), grow_every=at)
    whole = refine(start, scene[0], few, depth=scene[1])

    def stop(progress):
        if progress.steps == 8:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        refine(start, scene[0], few, depth=scene[1], folder=tmp_path, tell=stop)
    rest = refine(start, scene[0], few, depth=scene[1], folder=tmp_path)
    assert rest.steps == 14
    for name in ("means", "scales", "opacities", "sh"):
        assert torch.equal(getattr(rest.gaussians, name), getattr(whole.gaussians, name)), name
    with pytest.raises(InputError, match="holds another run"):
        refine(start, scene[0], replace(few, seed=3), depth=scene[1], folder=tmp_path)


def test_a_budget_of_time_is_kept(scene, start):
    done = refine(start, scene[0], RefineConfig(minutes=0.5 / 60))
    assert done.steps >= 1
    assert done.seconds >= 0.5


def test_exposure_is_learned_and_leaves_the_scene_alone(scene, start):
    photos = scene[0]
    gain = torch.tensor([0.8, 1.2, 0.9, 1.1])[:, None, None, None]
    dimmed = replace(photos, rgb=(photos.rgb * gain).clamp(0, 1))
    learned = refine(start, dimmed, replace(STEPS, steps=50, exposure=0.0))
    ratio = learned.gain.mean(1)
    assert ratio[1] > ratio[0] + 0.02
    assert ratio[3] > ratio[2] + 0.01
    assert learned.gain.log().mean(0).abs().max() < 1e-5


def test_what_a_photo_does_not_show_teaches_nothing(scene, start):
    photos = scene[0]
    valid = photos.valid.clone()
    valid[:, :24] = False
    runs = []
    for colour in (0.0, 1.0):
        rgb = torch.where(valid[:, None], photos.rgb, colour)
        runs.append(refine(start, replace(photos, rgb=rgb, valid=valid), replace(STEPS, levels=((0.0, 1),), steps=12)))
    # Above the edge, where no window of SSIM reaches across it.
    one, two = (render(run.gaussians, photos.cameras[0]).rgb[:, :14] for run in runs)
    assert (one - two).abs().mean() < 1e-3


def test_depth_that_is_far_or_not_sure_pulls_nothing(scene, start):
    photos, depth = scene[0], scene[1]
    config = replace(STEPS, steps=6, grow=(2.0, 2.0), normal=0.0)
    alone = refine(start, photos, config).gaussians.means
    wrong = replace(depth, depth=0.5 * depth.depth)
    for nothing in (
        replace(wrong, far=torch.ones_like(wrong.far)),
        replace(wrong, confidence=torch.zeros_like(wrong.confidence)),
    ):
        assert torch.equal(refine(start, photos, config, depth=nothing).gaussians.means, alone)
    assert not torch.equal(refine(start, photos, config, depth=wrong).gaussians.means, alone)


def test_splats_turn_to_the_normals_of_the_depth(scene, start):
    """Tilted discs lie down on the surfaces, which they do not from the photos alone in so short a time."""
    photos, depth = scene[0], scene[1]
    tilted = replace(start, quats=_tilted(start.quats, 0.4))
    truth = normals_from_depth(depth.depth[0], depth.cameras[0])
    world = torch.einsum("ij,jhw->ihw", depth.cameras.world_from_cam[0, :3, :3], truth)
    error = {}
    for weight in (0.0, 0.5):
        config = replace(STEPS, steps=30, grow=(2.0, 2.0), normal=weight, normal_every=1)
        made = refine(tilted, photos, config, depth=depth).gaussians
        drawn = render(made, photos.cameras[0], normals=True).normal
        assert drawn is not None
        error[weight] = float((1 - (torch.nn.functional.normalize(drawn, dim=0) * world).sum(0)).mean())
    assert error[0.5] < 0.8 * error[0.0]


def _tilted(quats: torch.Tensor, angle: float) -> torch.Tensor:
    """Rotated by an angle about each splat's own x axis."""
    w, x, y, z = quats.unbind(-1)
    c, s = torch.tensor(angle / 2).cos(), torch.tensor(angle / 2).sin()
    return torch.stack([c * w - s * x, c * x + s * w, c * y + s * z, c * z - s * y], -1)


def test_the_far_shell_is_not_divided_and_what_cannot_be_seen_is_dropped(scene):
    photos, depth = scene[0], scene[1]
    upper = depth.far.clone()
    upper[:, :16] = True
    start = splats_from_depth(photos, replace(depth, far=upper))
    away = (start.means - photos.cameras.world_from_cam[:, :3, 3].mean(0)).norm(dim=-1)
    num = int((away > 20).sum())
    assert num > 50
    faint = replace(start, opacities=torch.where(torch.arange(len(start)) % 7 == 0, 0.001, start.opacities))
    done = refine(faint, photos, replace(STEPS, steps=20, grow=(0.0, 1.0), grow_every=5, pull=0.0, least_opacity=0.0))
    away = (done.gaussians.means - photos.cameras.world_from_cam[:, :3, 3].mean(0)).norm(dim=-1)
    assert int((away > 20).sum()) <= num
    assert len(done.gaussians) > 1.2 * len(start)
    assert done.gaussians.opacities.min() > 1 / 255


@pytest.mark.parametrize(
    "bad", [{}, {"minutes": 1.0, "steps": 5}, {"minutes": float("nan")}, {"steps": 0}, {"steps": 1, "sh_degree": 4}]
)
def test_a_wrong_config_is_refused(bad):
    with pytest.raises(InputError, match="expected"):
        RefineConfig(**bad)


def test_growth_keeps_what_splats_cover(start):
    """A wide splat that is divided looks as before, and its moments start anew."""
    one = Gaussians(
        torch.zeros(2, 3), torch.tensor([[1.0, 0, 0, 0]] * 2), torch.tensor([[0.4, 0.1, 0.1]] * 2),
        torch.tensor([0.8, 0.001]), sh_from_rgb(torch.full((2, 3), 0.7)),
    )  # fmt: skip
    splats = TrainableSplats(one, 0, 1.0)
    splats.pull, splats.seen = torch.ones(2), torch.ones(2)
    growth = splats.grow(torch.full((2,), 0.01), torch.zeros(2, dtype=torch.bool), 0.5, 0.01, 10)
    assert (growth.split, growth.cloned, growth.pruned) == (1, 0, 1)
    made = splats.gaussians(0)
    torch.testing.assert_close(made.means.mean(0), torch.zeros(3))
    assert (made.means[0] - made.means[1]).abs()[0] > 0.3
    assert made.scales.amax() < 0.4
    again = TrainableSplats(one, 0, 1.0)
    again.pull, again.seen = torch.ones(2), torch.ones(2)
    assert again.grow(torch.full((2,), 9.0), torch.zeros(2, dtype=torch.bool), 0.5, 0.0, 3).cloned == 1
    opacity = again.gaussians(0).opacities.detach()
    assert float(1 - (1 - opacity[0]) * (1 - opacity[-1])) == pytest.approx(0.8, abs=1e-3)


def test_points_seen_from_near_win_over_those_from_far():
    grid = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0), torch.zeros(1)) / 8
    ones = torch.ones(64)
    near = Points(grid, grid, torch.zeros(64, 3), 0.01 * ones, ones)
    far = Points(grid + 0.01, grid, torch.ones(64, 3), 0.1 * ones, ones)
    merged = merge_points(Points.cat([near, far]))
    assert float(merged.rgb.max()) == 0
    assert len(merge_points(far)) == 64  # alone they stay, one in each voxel
    assert len(merge_points(Points(grid, grid, grid, 0.2 * ones, ones))) == 16


def test_normals_of_a_plane_are_exact():
    photos, _ = photographed(cameras_in_a_row(1))
    normal = torch.nn.functional.normalize(torch.tensor([0.2, -0.3, -1.0]), dim=0)
    depth = -2.0 / (rays(photos.cameras[0]) @ normal)
    found = normals_from_depth(depth, photos.cameras[0])
    torch.testing.assert_close(found, normal[:, None, None].expand_as(found), atol=1e-3, rtol=0)


def test_sparse_points_become_splats_that_touch():
    xyz = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    made = splats_from_points(xyz, torch.rand(50, 3))
    assert (made.scales > 0).all()
    assert made.scales.max() < 0.5


def test_ssim_is_one_for_equal_pictures_and_its_gradient_is_right():
    dice = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 1, 7, 13, generator=dice, dtype=torch.float64)
    assert float(ssim_map(x, x).mean()) == pytest.approx(1, abs=1e-9)
    assert float(ssim_map(x, y).mean()) < 0.5
    assert torch.autograd.gradcheck(lambda one: ssim_map(one, y), (x.requires_grad_(),), atol=1e-6)


def test_ssim_in_the_middle_is_that_of_the_formula():
    """One window in the middle of 11 x 11 pixels, written out."""
    dice = torch.Generator().manual_seed(1)
    x, y = torch.rand(2, 1, 11, 11, generator=dice, dtype=torch.float64)
    at = torch.arange(11, dtype=torch.float64) - 5
    one = torch.exp(-(at**2) / 4.5)
    w = torch.outer(one, one) / one.sum() ** 2
    mx, my = (w * x).sum(), (w * y).sum()
    sx, sy, sxy = (w * x * x).sum() - mx**2, (w * y * y).sum() - my**2, (w * x * y).sum() - mx * my
    expected = (2 * mx * my + 1e-4) * (2 * sxy + 9e-4) / ((mx**2 + my**2 + 1e-4) * (sx + sy + 9e-4))
    assert float(ssim_map(x, y)[0, 5, 5]) == pytest.approx(float(expected), rel=1e-9)


def test_exposure_matched_undoes_gain_and_offset():
    picture = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(2))
    other = 0.6 * picture + torch.tensor([0.1, 0.2, 0.0])[:, None, None]
    everywhere = torch.ones(8, 8, dtype=torch.bool)
    assert psnr(exposure_matched(picture, other, everywhere), other) > 60
    assert psnr(picture, other) < 25
