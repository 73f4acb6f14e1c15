"""Where a body can walk, in rooms of splats made by hand."""

import math

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import Gaussians, sh_from_rgb
from worldloom.scenegen.walkable import CELL, walkable

RED, GREEN, BLUE, GREY = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8), (0.5, 0.5, 0.5)
STEP = 0.08  # metres between splats


def patch(low: tuple[float, float, float], high: tuple[float, float, float], rgb=GREY) -> Gaussians:
    """A flat rectangle of splats; one of its sides has no extent."""
    ends = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    axes = [torch.arange(a, b + 1e-6, STEP) if b > a else torch.tensor([a]) for a, b in ends]
    means = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3).float()
    n = len(means)
    scales = torch.tensor([0.05 if b > a else 0.005 for a, b in zip(low, high, strict=True)])
    colours = sh_from_rgb(torch.tensor(rgb).expand(n, 3))
    quats = torch.tensor([1.0, 0, 0, 0]).expand(n, 4).clone()
    return Gaussians(means, quats, scales.expand(n, 3).clone(), torch.full((n,), 0.99), colours)


def room(*things: Gaussians) -> Gaussians:
    """Walls at x = -2 and 3 and y = -2 and 2, a floor 1.6 m below the eye; the far wall is red, the left one green."""
    floor, top = -1.6, 0.8
    return Gaussians.cat(
        [
            patch((-2, -2, floor), (3, 2, floor)),
            patch((-2, -2, floor), (-2, 2, top)),
            patch((3, -2, floor), (3, 2, top), RED),
            patch((-2, -2, floor), (3, -2, top), BLUE),
            patch((-2, 2, floor), (3, 2, top), GREEN),
            *things,
        ]
    )


def test_an_empty_room_is_free_up_to_its_walls() -> None:
    ground = walkable(room())
    assert ground.floor == pytest.approx(-1.6, abs=0.02)
    assert ground.at(0.0, 0.0)
    assert ground.at(2.6, 1.6)
    for x, y in ((2.9, 0.0), (-1.9, 0.0), (0.0, 1.9), (0.0, -1.9), (5.0, 0.0), (100.0, 0.0)):
        assert not ground.at(x, y)
    # The body's radius is kept from all four walls.
    assert ground.free.sum() * CELL**2 == pytest.approx((5 - 0.5) * (4 - 0.5), rel=0.08)


def test_things_are_walked_around_and_low_or_high_ones_are_not_in_the_way() -> None:
    table = patch((1.0, -2.0, -0.9), (1.5, 0.8, -0.9))
    carpet = patch((0.2, -0.5, -1.55), (0.6, 0.5, -1.55))
    lamp = patch((-1.0, -1.0, 0.5), (-0.5, 0.5, 0.5))
    ground = walkable(room(table, carpet, lamp))
    assert not ground.at(1.2, 0.0)
    assert ground.at(0.4, 0.0)
    assert ground.at(-0.8, 0.0)
    way = ground.distances(2.3, 0.0)
    straight = 2.3
    assert way[ground.cell(0.0, 0.0)] > 1.2 * straight
    assert math.isfinite(way[ground.cell(0.0, 0.0)])


def test_what_cannot_be_reached_and_what_has_no_floor_is_not_free() -> None:
    wall = patch((1.0, -2.0, -1.6), (1.0, 2.0, 0.5))
    behind = walkable(room(wall))
    assert not behind.at(2.0, 0.0)
    assert behind.at(-1.0, 0.0)
    assert math.isinf(behind.distances(2.0, 0.0)[behind.cell(0.0, 0.0)])
    hole = room()
    there = (hole.means[:, 2] < -1.5) & (hole.means[:, 0] > 1.0) & (hole.means[:, 1] > 0.0)
    kept = Gaussians(*(getattr(hole, name)[~there] for name in ("means", "quats", "scales", "opacities", "sh")))
    ground = walkable(kept)
    assert not ground.at(2.0, 1.0)
    assert ground.at(2.0, -1.0)


def test_transparent_splats_stop_nobody() -> None:
    veil = patch((1.0, -2.0, -1.6), (1.0, 2.0, 0.5))
    faint = Gaussians(veil.means, veil.quats, veil.scales, torch.full_like(veil.opacities, 0.1), veil.sh)
    assert walkable(room(faint)).at(1.0, 0.0)


def test_large_splats_leave_no_gap() -> None:
    """A wall of a few large splats, turned by quaternions, is as solid as one of many small ones."""
    quat = [math.cos(math.pi / 4), 0.0, math.sin(math.pi / 4), 0.0]  # the long axis x becomes -z
    means = torch.tensor([[1.0, y, -0.9] for y in np.arange(-2.0, 2.01, 0.5)]).float()
    n = len(means)
    wide = Gaussians(
        means,
        torch.tensor([quat]).expand(n, 4).clone(),
        torch.tensor([[0.5, 0.2, 0.005]]).expand(n, 3).clone(),
        torch.full((n,), 0.99),
        sh_from_rgb(torch.full((n, 3), 0.5)),
    )
    ground = walkable(room(wide))
    assert not ground.at(2.0, 0.0)
    assert ground.at(0.0, 0.0)


def test_walking_and_looking() -> None:
    ground = walkable(room())
    x, y, hit = ground.walked(0.0, 0.0, 0.0, 1.0)
    assert (x, y, hit) == (pytest.approx(1.0), pytest.approx(0.0), False)
    x, y, hit = ground.walked(0.0, 0.0, 0.0, 9.0)
    assert hit
    assert x == pytest.approx(2.75, abs=0.16)
    back, _, _ = ground.walked(0.0, 0.0, 0.0, -0.5)
    assert back == pytest.approx(-0.5)
    sight = ground.sight(0.0, 0.0, np.array([0.0, math.pi / 2, math.pi, -math.pi / 2]))
    assert sight == pytest.approx([2.75, 1.75, 1.75, 1.75], abs=0.16)
    assert ground.sight(0.0, 0.0, np.array([0.0]), most=1.0) == pytest.approx([1.0])
    i, j = ground.cell(0.73, -1.21)
    assert np.abs(np.array(ground.place(i, j)) - [0.73, -1.21]).max() <= CELL / 2 + 1e-9


def test_no_floor_and_no_room_are_refused() -> None:
    walls = room()
    up = walls.means[:, 2] > -0.2
    floating = Gaussians(*(getattr(walls, name)[up] for name in ("means", "quats", "scales", "opacities", "sh")))
    with pytest.raises(InputError, match="floor below the start"):
        walkable(floating)
    box = patch((-2.0, -2.0, -0.8), (3.0, 2.0, -0.8))
    with pytest.raises(InputError, match="room for a body"):
        walkable(room(box))
