"""The perceptual distance orders pictures as people do, and forgives a shift."""

import pytest
import torch
from torch.nn import functional as F

from worldloom.errors import InputError, MissingExtra
from worldloom.geometry.io import load_image
from worldloom.recon.perceptual_distance import PerceptualDistance
from worldloom.synth.samples import sample_panorama_path


@pytest.fixture(scope="module")
def model() -> PerceptualDistance:
    try:
        return PerceptualDistance.from_package()
    except MissingExtra as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return F.avg_pool2d(load_image(sample_panorama_path())[None, :, 300:812, 500:1140], 4)


def test_it_orders_the_same_a_shift_blur_noise_and_another_picture(model: PerceptualDistance, picture: torch.Tensor):
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    changed = {
        "same": picture,
        "shifted": picture.roll(1, 3),
        "little noise": (picture + 0.02 * noise).clamp(0, 1),
        "blurred": F.interpolate(F.avg_pool2d(picture, 4), picture.shape[-2:], mode="bilinear"),
        "other": picture.flip(2),
    }
    apart = {name: float(model(picture, other).mean()) for name, other in changed.items()}
    assert apart["same"] == 0
    assert apart["shifted"] < 0.25 * apart["blurred"]
    assert apart["little noise"] < apart["blurred"] < apart["other"]


def test_it_is_symmetric_and_told_place_by_place(model: PerceptualDistance, picture: torch.Tensor):
    spoilt = picture.clone()
    spoilt[..., :64] = 0.5
    apart = model(picture, spoilt)
    torch.testing.assert_close(apart, model(spoilt, picture))
    assert apart[..., :48].mean() > 5 * apart[..., 112:].mean()


@pytest.mark.parametrize(("a", "b"), [((1, 3, 64, 64), (1, 3, 64, 32)), ((1, 3, 16, 64), (1, 3, 16, 64))])
def test_pictures_of_other_sizes_are_refused(a: tuple[int, ...], b: tuple[int, ...]):
    with pytest.raises(InputError, match="one size of at least 32"):
        PerceptualDistance()(torch.zeros(a), torch.zeros(b))
