"""Rectangles against shapely and against closed forms."""

import math

import pytest
import torch

pytest.importorskip("shapely", reason="the reference")

import shapely

from worldloom.synth.traffic.footprints import corners, gap, overlap, time_to_collision


def random_footprints(seed: int, n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(n, 5, generator=generator, dtype=torch.float64)
    return torch.stack([u[:, 0] * 8, u[:, 1] * 8, u[:, 2] * 7, 0.3 + u[:, 3] * 5, 0.3 + u[:, 4] * 2], -1)


def test_overlap_and_gap_are_shapelys() -> None:
    one, other = random_footprints(0, 600), random_footprints(1, 600)
    a, b = shapely.polygons(corners(one).numpy()), shapely.polygons(corners(other).numpy())
    hit = torch.from_numpy(shapely.intersects(a, b))
    assert 100 < hit.sum() < 500
    assert torch.equal(overlap(one, other), hit)
    torch.testing.assert_close(gap(one, other), torch.from_numpy(shapely.distance(a, b)), atol=1e-9, rtol=0)
    torch.testing.assert_close(gap(one, other), gap(other, one), atol=1e-9, rtol=0)


def test_corners_go_round_from_the_front_left() -> None:
    box = torch.tensor([[1.0, 2.0, math.pi / 2, 4.0, 2.0]], dtype=torch.float64)  # heading north
    expected = torch.tensor([[[0.0, 4.0], [0.0, 0.0], [2.0, 0.0], [2.0, 4.0]]], dtype=torch.float64)
    torch.testing.assert_close(corners(box), expected)


def test_touching_is_not_overlapping() -> None:
    one = torch.tensor([[0.0, 0.0, 0.0, 4.0, 2.0]], dtype=torch.float64)
    other = torch.tensor([[4.0, 0.0, 0.0, 4.0, 2.0]], dtype=torch.float64)
    assert not overlap(one, other)
    assert gap(one, other) == 0
    other[0, 0] = 3.999
    assert overlap(one, other)


def test_time_to_collision_is_when_boxes_first_touch() -> None:
    one, other = random_footprints(2, 300), random_footprints(3, 300)
    other[:, :2] += 6
    generator = torch.Generator().manual_seed(4)
    v, w = (torch.randn(300, 2, generator=generator, dtype=torch.float64) * 3 for _ in range(2))
    times = time_to_collision(one, v, other, w)
    finite = times.isfinite()
    assert 20 < finite.sum() < 280

    def at(time: torch.Tensor) -> torch.Tensor:
        a, b = one.clone(), other.clone()
        a[:, :2] += v * time[:, None]
        b[:, :2] += w * time[:, None]
        return overlap(a, b)

    later = torch.where(finite, times, 0.0)
    already = overlap(one, other)
    assert (times[already] == 0).all()
    moving = finite & ~already
    assert at(later + 1e-6)[moving].all()
    assert not at(later - 1e-6)[moving].any()
    for time in torch.linspace(0, 10, 40, dtype=torch.float64):
        assert not at(time.expand(300))[~finite].any()


def test_head_on() -> None:
    one = torch.tensor([[0.0, 0.0, 0.0, 4.0, 2.0]], dtype=torch.float64)
    other = torch.tensor([[24.0, 0.5, math.pi, 4.0, 2.0]], dtype=torch.float64)
    v, still = torch.tensor([[6.0, 0.0]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    assert time_to_collision(one, v, other, -v).item() == pytest.approx(20 / 12)
    assert time_to_collision(one, v, other, still).item() == pytest.approx(20 / 6)
    assert time_to_collision(one, -v, other, still).item() == math.inf
    assert time_to_collision(one, still, other, still).item() == math.inf
