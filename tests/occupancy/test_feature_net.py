"""Features of frames: what they may be asked for, and that the package's own tell good frames from bad."""

import itertools
from dataclasses import replace

import pytest
import torch

from tests.occupancy.moving_world import straight_street
from worldloom.errors import InputError
from worldloom.geometry import FREE, Occupancy
from worldloom.geometry.io import load_clip
from worldloom.occupancy import FeatureNet
from worldloom.occupancy.feature_net import FeatureNetConfig
from worldloom.occupancy.metrics import fit_projection, mmd_wl, temporal_consistency
from worldloom.synth.samples import sample_clip_path

TINY = FeatureNetConfig(layers=4, widths=(8, 8, 8), code_width=8, features=6)


def labels(*shape: int) -> torch.Tensor:
    return torch.randint(0, 18, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("wavelet", [False, True])
def test_codes_are_an_eighth_as_wide_and_unfold_again(wavelet: bool) -> None:
    net = FeatureNet(replace(TINY, wavelet=wavelet))
    codes = net.codes(labels(2, 16, 32, 4))
    assert codes.shape == (2, 8, 2, 4)
    assert net.planes.unfold(net.reconstruct(codes)).shape == (2, 16, 32, 4)
    with pytest.raises(ValueError, match="multiples of 8, got"):
        net.codes(labels(1, 16, 12, 4))


@pytest.mark.parametrize(("wrong", "line"), [({"widths": (8, 8, 9)}, "multiples of 8"), ({"features": 65}, "1 to 64")])
def test_sizes_that_cannot_be(wrong: dict, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        replace(TINY, **wrong)


def test_a_frame_is_described_by_means_and_deviations_of_each_quarter() -> None:
    net = FeatureNet(TINY).eval()
    frames = labels(3, 32, 32, 4)
    moments = net.describe(frames).reshape(3, 2, 8, 2, 2)
    ahead_left = net.codes(frames).detach()[:, :, 2:, 2:]
    torch.testing.assert_close(moments[:, 0, :, 1, 1], ahead_left.mean((2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moments[:, 1, :, 1, 1], ahead_left.std((2, 3), correction=0), rtol=1e-3, atol=1e-4)


def test_what_nobody_saw_makes_no_difference() -> None:
    net = FeatureNet(FeatureNetConfig(widths=(8, 8, 8), code_width=8, features=6)).eval()
    clip = straight_street(2)
    clip = replace(clip, observed=torch.rand(clip.labels.shape, generator=torch.Generator().manual_seed(0)) < 0.5)
    other = replace(clip, labels=torch.where(clip.observed, clip.labels, 4))
    assert torch.equal(net.features(clip), net.features(other))
    assert not torch.equal(net.features(clip), net.features(replace(other, observed=torch.ones_like(clip.observed))))


def test_frames_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 4 layers, got 16"):
        FeatureNet(TINY).features(straight_street(1))
    net, clip = FeatureNet(replace(TINY, layers=16)), straight_street(1)
    with pytest.raises(ValueError, match="the 18 classes of Occ3D, got 17"):
        net.features(replace(clip, labels=clip.labels.clamp(max=16), classes=clip.classes[1:]))


def test_frames_are_described_one_by_one() -> None:
    net = FeatureNet(TINY).eval()
    frames = labels(11, 16, 16, 4)
    together = net.describe(frames)
    assert together.shape == (11, TINY.described_by)
    one_by_one = torch.cat([net.describe(frame[None]) for frame in frames])
    torch.testing.assert_close(together, one_by_one, rtol=1e-4, atol=1e-5)


def test_a_projection_is_kept_with_the_weights() -> None:
    net = FeatureNet(TINY).eval()
    frames = labels(30, 16, 16, 4)
    described = net.describe(frames)
    net.project(fit_projection(described, TINY.features))
    again = FeatureNet(TINY)
    again.load_state_dict(net.state_dict())
    torch.testing.assert_close(again.eval().mean, described.mean(0), rtol=1e-4, atol=1e-5)


def test_no_such_weights() -> None:
    with pytest.raises(InputError, match="features/model"):
        FeatureNet.from_pretrained("nowhere")


@pytest.fixture(scope="module")
def clip() -> Occupancy:
    return load_clip(sample_clip_path())[::3]


def test_the_embedded_features_order_worlds(clip: Occupancy) -> None:
    """As any metric that stands in a table: truth, mild noise, strong noise, no order at all; and an empty world."""
    net = FeatureNet.from_pretrained("small")
    truth, mild = net.features(clip), clip.labels
    for seed in range(5):
        draw = torch.Generator().manual_seed(seed)
        noise = torch.randint(0, 18, clip.labels.shape, generator=draw, dtype=torch.uint8)
        chance = torch.rand(clip.labels.shape, generator=draw)
        order = torch.randperm(clip.labels[0].numel(), generator=draw)
        mild, strong = (torch.where(chance < share, noise, clip.labels) for share in (0.05, 0.30))
        worlds = (clip.labels, mild, strong, clip.labels.flatten(1)[:, order].reshape(clip.labels.shape))
        distances = [mmd_wl(net.features(replace(clip, labels=world)), truth) for world in worlds]
        assert all(a < b for a, b in itertools.pairwise(distances)), distances
    empty = net.features(replace(clip, labels=torch.full_like(clip.labels, FREE)))
    assert mmd_wl(empty, truth) > 2 * mmd_wl(net.features(replace(clip, labels=mild)), truth)


def test_a_frozen_world_is_too_consistent(clip: Occupancy) -> None:
    features = FeatureNet.from_pretrained("small").features(clip)
    assert temporal_consistency(features[:1].expand_as(features)) > temporal_consistency(features) + 0.01
