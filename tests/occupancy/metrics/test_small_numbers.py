"""Bits, rare classes, feature distances, risk, intervals and records, each by hand."""

import json
import math

import numpy as np
import pytest
import torch

from worldloom.occupancy.metrics import (
    Consistency,
    Interval,
    Number,
    auroc,
    bootstrap,
    code_bits,
    code_entropy,
    entropy_bits,
    expected_calibration_error,
    f3d_wl,
    fit_projection,
    lossless_bits,
    mmd_wl,
    quantise,
    raw_bits,
    score_rare,
    score_risk,
    split_halves,
    stream_bits,
    temporal_consistency,
    wrong_path_honesty,
)


def test_published_ratios_in_bits() -> None:
    """The table of the definitions: 2.669 Mbit a frame, 85.40 a clip, 22.5 kbit of codes, 3,796 and 118.6 times."""
    frame = raw_bits(200 * 200 * 16)
    assert frame == pytest.approx(2.669e6, rel=1e-3)
    assert 32 * frame == pytest.approx(85.40e6, rel=1e-3)
    codes = code_bits(4 * 25 * 25, 512)
    assert codes == 22_500
    assert 32 * frame / codes == pytest.approx(3796, abs=1)
    assert frame / code_bits(50 * 50, 512) == pytest.approx(118.6, abs=0.1)


def test_entropies() -> None:
    counts = torch.tensor([4, 2, 1, 1, 0])
    assert code_entropy(counts) == pytest.approx(1.75)
    assert entropy_bits(100, counts) == pytest.approx(175)
    assert math.isnan(code_entropy(torch.zeros(3, dtype=torch.int64)))
    stream = torch.repeat_interleave(torch.arange(4), torch.tensor([400, 200, 100, 100]))
    train = torch.bincount(stream, minlength=4)
    assert stream_bits(stream, train) == pytest.approx(entropy_bits(800, train), rel=1e-3)
    assert stream_bits(torch.tensor([4]), torch.tensor([3, 3, 0, 0, 0])) == pytest.approx(math.log2(11))


def test_lossless_packers(sample_clip) -> None:
    frame = sample_clip.labels[0]
    assert lossless_bits(frame) < lossless_bits(frame, "deflate") < raw_bits(frame.numel())
    assert lossless_bits(torch.zeros(10_000, dtype=torch.uint8)) < 1000


def test_quantised_latents() -> None:
    latents = torch.tensor([0.1, 0.9, 1.1, -0.2])
    rounded, bits = quantise(latents, 1.0)
    assert rounded.tolist() == [0, 1, 1, 0]
    assert bits == pytest.approx(4)
    with pytest.raises(ValueError, match="above 0"):
        quantise(latents, 0.0)


def test_objects_are_found_where_voxels_are_not(small) -> None:
    """A pedestrian of 2 x 2 x 4 voxels, shifted by one: IoU 1/3, found; another is lost; a lone voxel is no object."""
    town = small.SmallTown([], ground=False)
    clip = town.clip(small.arc(0.0, 0.0, 1))
    true, guess = clip.labels.clone(), clip.labels.clone()
    true[0, 10:12, 10:12, 1:5] = 7
    guess[0, 11:13, 10:12, 1:5] = 7
    true[0, 40:42, 10:12, 1:5] = 7
    true[0, 60, 60, 1] = 7
    guess[0, 80, 80, 1:4] = 8
    score = score_rare(small.with_labels(clip, guess), small.with_labels(clip, true))
    assert score.object_recall(7) == 0.5
    assert score.iou(7) == pytest.approx(8 / (33 + 16 - 8))
    row = score.to_json()["classes"]["pedestrian"]
    assert (row["objects"], row["frames"], row["truth_voxels"], row["few"]) == (2, 1, 33, True)
    assert score.to_json()["classes"]["traffic_cone"]["ghost"] == 3
    assert score.to_json()["classes"]["traffic_cone"]["iou"] is None
    assert (score + score).object_recall(7) == 0.5
    assert score.vru_miou() == score.iou(7) == score.worst((2, 6, 7, 8))
    json.dumps(score.to_json(), allow_nan=False)


def gaussian(n: int, d: int, seed: int, mean: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    return mean + scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_frechet_distance_in_closed_form() -> None:
    """A shift by m gives |m|^2; a scale by s of covariance S gives (1 - s)^2 Tr S, both exactly on the sample."""
    x = gaussian(400, 6, 0)
    shift = torch.tensor([1.0, -2.0, 0.0, 0.5, 0.0, 0.0])
    assert f3d_wl(x, x) == pytest.approx(0, abs=1e-9)
    assert f3d_wl(x + shift, x) == pytest.approx(5.25)
    centred = x - x.mean(0)
    assert f3d_wl(3 * centred, centred) == pytest.approx(4 * float(centred.T.cov().trace()))
    assert f3d_wl(x, 2 * x) == pytest.approx(f3d_wl(2 * x, x))
    with pytest.raises(ValueError, match="12 rows"):
        f3d_wl(x[:11], x)
    with pytest.raises(ValueError, match="finite"):
        f3d_wl(x / 0, x)


def test_frechet_distance_of_other_axes_against_scipy() -> None:
    from scipy.linalg import sqrtm

    a, b = gaussian(300, 5, 1) @ gaussian(5, 5, 2), gaussian(300, 5, 3) @ gaussian(5, 5, 4)
    S1, S2 = a.T.cov().numpy(), b.T.cov().numpy()
    exact = float((a.mean(0) - b.mean(0)).square().sum()) + np.trace(S1 + S2 - 2 * np.real(sqrtm(S1 @ S2)))
    assert f3d_wl(a, b) == pytest.approx(exact, rel=1e-6)


def test_unbiased_mmd_is_centred_at_zero_and_the_linear_one_blind_to_spread() -> None:
    values = [mmd_wl(gaussian(40, 4, 2 * s), gaussian(40, 4, 2 * s + 1)) for s in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values))
    x = gaussian(200, 4, 0)
    wide = 2 * (x - x.mean(0)) + x.mean(0)
    assert mmd_wl(wide, x, "linear") == pytest.approx(0, abs=1e-12)
    assert mmd_wl(wide, x) > 0.5
    two = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    assert mmd_wl(two, two) == pytest.approx(2 * 1 - 2 * (1.5**3 + 3**3 + 1 + 1) / 4)


def test_projections_and_floors() -> None:
    x = gaussian(500, 8, 0) * torch.tensor([5.0, 3.0, 1, 1, 1, 1, 1, 1])
    project = fit_projection(x, 2)
    assert project(x).var(0).tolist() == pytest.approx([25, 9], rel=0.2)
    assert project(x).mean(0).abs().max() < 1e-9
    one, other = split_halves(x, 0)
    assert len(one) == len(other) == 250
    assert 0 < f3d_wl(one, other) < f3d_wl(one + 3, other)


def test_a_frozen_clip_is_perfectly_consistent() -> None:
    frozen = torch.ones(5, 3)
    assert temporal_consistency(frozen) == pytest.approx(1)
    turning = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    assert temporal_consistency(turning) == pytest.approx((0 + (0 - 1) / 2) / 2)
    assert Consistency(1.0, 0.8).gap == pytest.approx(0.2)
    assert math.isnan(temporal_consistency(frozen[:1]))


def test_auroc_by_pairs() -> None:
    draw = torch.Generator().manual_seed(0)
    score = torch.randint(0, 5, (60,), generator=draw).double()
    event = torch.rand(60, generator=draw) < 0.4
    pairs = score[event][:, None] - score[~event][None]
    assert auroc(score, event) == pytest.approx(float(((pairs > 0) + 0.5 * (pairs == 0)).mean()))
    assert auroc(-score, event) == pytest.approx(1 - auroc(score, event))
    assert math.isnan(auroc(score, torch.zeros(60, dtype=torch.bool)))


def test_calibration_error() -> None:
    p = torch.full((3000,), 0.3, dtype=torch.float64)
    event = torch.arange(3000) % 10 < 3
    assert expected_calibration_error(p, event) == pytest.approx(0, abs=1e-9)
    assert expected_calibration_error(p + 0.2, event) == pytest.approx(0.2)
    assert math.isnan(expected_calibration_error(p[:0], event[:0]))


def test_imagined_success() -> None:
    probability = torch.tensor([0.9, 0.1, 0.8, 0.2, 0.2])
    contact = torch.tensor([True, True, False, False, False])
    score = score_risk(probability, contact)
    assert (score.base_rate, score.hallucinated) == (0.4, 0.5)
    assert score.false_alarm == pytest.approx(1 / 3)
    wrong = torch.tensor([True, True, True, False, False])
    assert wrong_path_honesty(probability >= 0.5, wrong) == pytest.approx(2 / 3)
    assert math.isnan(score_risk(probability[2:], contact[2:]).hallucinated)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        score_risk(probability * 2, contact)


def test_intervals_cover_and_repeat() -> None:
    draw = np.random.default_rng(0)
    covered, scenes = 0, [0.0]
    for trial in range(100):
        scenes = draw.normal(3.0, 1.0, 30).tolist()
        low, high = bootstrap(scenes, lambda s: sum(s) / len(s), trial, 200)
        covered += low <= 3.0 <= high
    assert 85 <= covered <= 99
    assert bootstrap(scenes, lambda s: sum(s) / len(s), 1) == bootstrap(scenes, lambda s: sum(s) / len(s), 1)
    assert math.isnan(bootstrap([1.0], sum, 1).low)
    with pytest.raises(ValueError, match="no scene"):
        bootstrap([], sum, 1)


def test_records_are_complete_and_names_are_free() -> None:
    lost = {"flat peak": 0.1}
    number = Number("follow_ade_8s", 0.3, Interval(0.2, math.nan), 4, 0.1, "registration", 0, abstained=lost)
    record = number.to_json()
    assert record["ci95"] == [0.2, None]
    assert set(record) == {
        *("name", "value", "ci95", "n", "support", "floor", "anchors", "protocol", "absent_policy", "seed"),
        *("weights_sha256", "abstained"),
    }
    json.dumps(record, allow_nan=False)
    for name in ("FID", "fvd", "PDMS"):
        with pytest.raises(ValueError, match="suffix"):
            Number(name, 1.0, Interval(0, 1), 1, None, "", 0)
    with pytest.raises(ValueError, match="no window"):
        Number("miou", 1.0, Interval(0, 1), 0, None, "", 0)
