"""The network: turning the panorama turns the answer, rows know where they are, and sizes are checked."""

import math

import pytest
import torch

from worldloom.ops.sphere_layers import latitude_features, sphere_angles
from worldloom.recon.panorama_network import STRIDE, PanoramaDepthConfig, PanoramaNetwork

TINY = PanoramaDepthConfig(64, (8, 16, 32), 8, (1, 1, 1), 64, 1)


def network(seed=0, config=TINY):
    """With no weight at its quiet start: zeros would hide every fault."""
    model = PanoramaNetwork(config).eval()
    dice = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=dice))
    return model


@torch.no_grad()
def test_turning_the_panorama_turns_the_answer():
    model = network()
    rgb = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(1))
    straight, turned = model(rgb), model(rgb.roll(STRIDE, -1))
    for name in ("log_distance", "floor", "sky"):
        was, now = getattr(straight, name), getattr(turned, name)
        assert was.std() > 0.01
        torch.testing.assert_close(was.roll(STRIDE, -1), now, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(straight.place, turned.place, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_what_is_beside_the_seam_is_seen_across_it():
    model = network()
    rgb = torch.full((1, 3, 64, 128), 0.5)
    other = rgb.clone()
    other[..., -PATCH_COLUMNS:] = 1.0
    change = (model(rgb).log_distance - model(other).log_distance).abs()[0].mean(0)
    assert change[0] > 1e-4
    assert change[:4].mean() > 0.2 * change[-4:].mean()


PATCH_COLUMNS = 4


def test_no_weight_is_idle():
    model = network()
    answer = model(torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(3)))
    answers = (answer.log_distance, answer.floor, answer.sky, answer.place)
    torch.stack([(x**2).sum() for x in answers]).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-7] == []


@torch.no_grad()
def test_rows_know_where_they_are():
    model = network()
    answer = model(torch.full((1, 3, 64, 128), 0.5)).log_distance[0]
    assert answer.view(64, 32, 4).std(1).max() < 1e-4  # nothing tells columns apart but their place in a patch
    assert answer.mean(1).std() > 0.01


def test_latitude_is_that_of_level_ground():
    sine, cosine, ground, below = latitude_features(64)
    row = 50
    elevation = math.pi / 2 - math.pi * (row + 0.5) / 64
    assert sine[row] == pytest.approx(math.sin(elevation), abs=1e-6)
    assert cosine[row] == pytest.approx(math.cos(elevation), abs=1e-6)
    assert ground[row] == pytest.approx(math.log(1 / -math.sin(elevation)) / 3, abs=1e-5)
    assert below.tolist() == [0.0] * 32 + [1.0] * 32
    assert ground[:32].tolist() == [1.0] * 32


def test_once_around_is_no_way_at_all():
    angles = sphere_angles(2).view(2, 4, 32)
    around = angles[0, :, :16]
    torch.testing.assert_close(
        torch.cos(around[0] + 4 * (around[1] - around[0])), torch.cos(around[0]), atol=1e-4, rtol=0
    )
    assert (angles[0, :, 16:] == angles[0, :1, 16:]).all()
    assert not torch.equal(angles[0, :, 16:], angles[1, :, 16:])


def test_any_rows_in_multiples_are_taken():
    model = network()
    assert model(torch.rand(2, 3, 96, 192)).floor.shape == (2, 96, 192)
    for shape in ((1, 3, 48, 96), (1, 3, 64, 64)):
        with pytest.raises(ValueError, match="multiple of 32"):
            model(torch.rand(shape))


@pytest.mark.parametrize(
    "change",
    [{"height": 40}, {"height": 0}, {"height": 1 << 20}, {"widths": (8, 12, 32)}, {"width": 96}, {"blocks": (1, 0, 1)},
     {"layers": 1000}, {"widths": (8, 16, 1 << 30)}],
)  # fmt: skip
def test_configs_that_cannot_be(change):
    with pytest.raises(ValueError, match=r"expected|must be"):
        PanoramaDepthConfig(**change)


def test_the_small_preset_fits_in_eight_megabytes():
    assert 2 * sum(p.numel() for p in PanoramaNetwork(PanoramaDepthConfig()).parameters()) < 8_000_000
