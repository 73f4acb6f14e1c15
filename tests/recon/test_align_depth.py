"""Scale and offset in inverse depth are found among outliers; a prior joins what stereo is sure about."""

import pytest
import torch

from tests.recon.photographed_room import cameras_in_a_row, photographed
from worldloom.errors import InputError
from worldloom.recon import Alignment, PhotoDepth, align
from worldloom.recon.depth_prior import join_prior


def some_depth(num: int = 2000) -> torch.Tensor:
    return 1 + 9 * torch.rand(num, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("offset", [0.0, 0.05, -0.02])
def test_a_third_of_outliers_does_no_harm(offset):
    known = some_depth()
    given = 2.5 / (1 / known - offset)
    given[::3] = some_depth()[torch.randperm(2000, generator=torch.Generator().manual_seed(1))[: len(given[::3])]]
    found = align(given, known)
    assert found.scale == pytest.approx(2.5, rel=0.01)
    assert found.offset == pytest.approx(offset, abs=1e-3)
    assert 0.6 < found.inliers < 0.8
    torch.testing.assert_close(found(given)[1], known[1], rtol=0.02, atol=0)


def test_scale_alone_needs_no_offset():
    found = align(0.3 * some_depth(), some_depth(), offset=False)
    assert (found.scale, found.offset) == (pytest.approx(0.3, rel=1e-6), 0)
    assert found.residual < 1e-6


def test_what_cannot_be_aligned_is_refused():
    with pytest.raises(InputError, match="at least 20 pixels"):
        align(torch.full((100,), torch.nan), torch.ones(100))


@pytest.fixture(scope="module")
def half_known():
    """Exact depth in the left half, a guess in the right one."""
    photos, truth = photographed(cameras_in_a_row(3))
    sure = torch.zeros_like(truth)
    sure[..., :32] = 0.8
    return PhotoDepth(photos.cameras, torch.where(sure > 0, truth, 9.0), sure, sure < 0), truth


def test_a_prior_of_any_scale_fills_in(half_known):
    found, truth = half_known
    joined = join_prior(found, 7 * truth)
    assert joined.common
    torch.testing.assert_close(joined.depth.depth, truth, rtol=1e-3, atol=0)
    assert joined.depth.confidence.min() > 0.8
    relative = join_prior(found, 1 / (1 / truth + 0.3))
    assert not relative.common
    torch.testing.assert_close(relative.depth.depth, truth, rtol=2e-2, atol=0)


def test_a_prior_that_fits_nothing_is_refused(half_known):
    found, truth = half_known
    noise = 0.1 + torch.rand(truth.shape, generator=torch.Generator().manual_seed(0)) ** 8 * 1000
    with pytest.raises(InputError, match="fit the photos"):
        join_prior(found, noise)
    with pytest.raises(InputError, match="above 0"):
        join_prior(found, torch.full_like(truth, torch.nan))
    with pytest.raises(InputError, match="expected depths"):
        join_prior(found, truth[:1])


def test_what_is_put_beyond_infinity_is_infinite():
    aligned = Alignment(scale=1.0, offset=-0.5, inliers=1.0, residual=0.0)(torch.tensor([1.0, 2.0, 4.0]))
    assert aligned.tolist() == [2.0, torch.inf, torch.inf]


def test_far_pixels_count_as_much_as_near_ones():
    """Relative noise: rows are weighted, so that the near ones' large errors do not hide where the far ones lie."""
    dice = torch.Generator().manual_seed(7)
    known = torch.logspace(-1, 2, 4000)
    noisy = known * (1 + 0.02 * torch.randn(4000, generator=dice))
    found = align(1 / (2 * (1 / noisy - 0.004)), known)
    assert found.offset == pytest.approx(0.004, abs=2e-4)
    assert found.scale == pytest.approx(0.5, rel=0.005)


def test_a_wall_at_one_depth_tells_the_scale():
    found = align(torch.full((100,), 4.0), torch.full((100,), 2.0))
    assert found.inliers == 1
    assert float(found(torch.tensor(4.0))) == pytest.approx(2.0, rel=1e-3)


def test_a_prior_that_is_not_exact_leaves_alone_what_stereo_is_sure_of(half_known):
    found, truth = half_known
    noisy = truth * (1 + 0.03 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(5)))
    joined = join_prior(found, noisy)
    assert torch.equal(joined.depth.depth[..., :32], found.depth[..., :32])
    assert (joined.depth.depth[..., 32:] / truth[..., 32:] - 1).abs().mean() < 0.05
