"""Haar wavelets lose nothing, keep lengths, and look at no frame to come."""

import pytest
import torch

from worldloom.ops.wavelet import causal_haar, haar, inverse_causal_haar, inverse_haar

VIDEO = torch.randn(2, 3, 9, 8, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("over", [(-2, -1), (-1,), (-2,)])
def test_planes_come_back(over: tuple[int, ...]) -> None:
    bands = haar(VIDEO, over)
    assert bands.shape[1] == 3 * 2 ** len(over)
    assert bands.numel() == VIDEO.numel()
    torch.testing.assert_close(bands.norm(), VIDEO.norm())
    torch.testing.assert_close(inverse_haar(bands, over), VIDEO, atol=1e-6, rtol=0)


def test_sums_come_first() -> None:
    flat = torch.ones(1, 2, 1, 4, 4)
    bands = haar(flat)
    assert torch.allclose(bands[:, :2], torch.full((1, 2, 1, 2, 2), 2.0))
    assert not bands[:, 2:].any()


@pytest.mark.parametrize("levels", [1, 2])
def test_videos_come_back(levels: int) -> None:
    bands = causal_haar(VIDEO, levels)
    assert bands.shape == (2, 3 * 8**levels, 1 + 8 // 2**levels, 8 // 2**levels, 4 // 2**levels)
    torch.testing.assert_close(inverse_causal_haar(bands, levels), VIDEO, atol=1e-5, rtol=0)


@pytest.mark.parametrize("levels", [1, 2])
def test_a_frame_changes_no_code_before_its_own(levels: int) -> None:
    bands = causal_haar(VIDEO, levels)
    for frame in range(9):
        other = VIDEO.clone()
        other[:, :, frame] += 1
        changed = (causal_haar(other, levels) != bands).any((0, 1, 3, 4))
        own = -(-frame // 2**levels)
        assert not changed[:own].any()
        assert changed[own]


def test_a_picture_is_a_video_of_one_frame() -> None:
    bands = causal_haar(VIDEO[:, :, :1])
    assert bands.shape[2] == 1
    torch.testing.assert_close(inverse_causal_haar(bands), VIDEO[:, :, :1], atol=1e-6, rtol=0)


def test_lengths_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="even length along axis -3, got 9"):
        haar(VIDEO, (-3,))
    with pytest.raises(ValueError, match="1 \\+ k x 4 frames, got 8"):
        causal_haar(VIDEO[:, :, :8], 2)
