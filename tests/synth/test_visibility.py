"""Visible shares of boxes behind walls of known size."""

import pytest
import torch
from torch import Tensor

from worldloom.geometry import compose, look_at, rotz
from worldloom.synth.cast import Caster
from worldloom.synth.sensors.visibility import visibility_level, visible_shares
from worldloom.synth.shapes import slab
from worldloom.synth.skies.sky import Sky
from worldloom.synth.world import Material, Part, Thing, World

GREY = Material("grey", (0.5, 0.5, 0.5))


def block(name: str, low: tuple[float, float, float], high: tuple[float, float, float]) -> Thing:
    return Thing(name, "car", (slab(low, high, GREY),))


def cameras() -> Tensor:
    """One that looks along +x and one that looks back, both at the origin."""
    eye = torch.zeros(3)
    return torch.stack([look_at(eye, torch.tensor([side, 0.0, 0.0])) for side in (1.0, -1.0)])


def shares(wall: Thing | None, *things: Thing) -> list[float]:
    static = () if wall is None else (wall,)
    world = World("town", 0, static, Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3))
    caster = Caster(world, 1).with_moving(things)
    return visible_shares(caster, torch.arange(len(static), len(static) + len(things)), cameras()).tolist()


def test_in_the_open_all_of_it_is_seen():
    ahead, behind = block("a", (10, -1, -1), (14, 1, 1)), block("b", (-14, -1, -1), (-10, 1, 1))
    assert shares(None, ahead, behind) == [1.0, 1.0]


def test_a_wall_hides_it():
    assert shares(block("wall", (5, -9, -9), (6, 9, 9)), block("a", (10, -1, -1), (14, 1, 1))) == [0.0]


def test_one_hides_the_other():
    near, far = block("near", (5, -1, -1), (6, 1, 1)), block("far", (50, -1, -1), (52, 1, 1))
    assert shares(None, near, far) == [1.0, 0.0]
    assert shares(None, far, near) == [0.0, 1.0]


@pytest.mark.parametrize("hidden", [0.25, 0.5, 0.75])
def test_half_a_wall_hides_half(hidden: float):
    """A thin plate seen straight on, its left part behind a near wall whose right edge is on the line of sight."""
    plate = block("plate", (20, -1, -1), (20.01, 1, 1))
    edge = (1 - 2 * hidden) / 2  # y at half the distance: left is positive
    (share,) = shares(block("wall", (9.9, edge, -9), (10, 9, 9)), plate)
    assert share == pytest.approx(1 - hidden, abs=0.04)


def test_the_camera_that_looks_at_it_is_asked():
    """Of two cameras one has a wall before it; the other sees the thing from aside."""
    wall, thing = block("wall", (5, -2, -9), (6, 2, 9)), block("a", (10, -1, -1), (14, 1, 1))
    caster = Caster(World("town", 0, (wall, thing), Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3)), 1)
    behind_wall, aside = torch.zeros(3), torch.tensor([12.0, 20.0, 0.0])
    for turned, share in ((1.0, 0.0), (-1.0, 1.0)):
        cameras = torch.stack(
            [
                look_at(behind_wall, behind_wall + torch.tensor([turned, 0.0, 0.0])),
                look_at(aside, aside + torch.tensor([0.3, turned, 0.0])),
            ]
        )
        assert visible_shares(caster, torch.tensor([1]), cameras).tolist() == [share]


def test_rays_go_to_the_surface_itself():
    """A lone triangle, turned and moved, catches each of them."""
    triangle = Part(
        torch.tensor([[0.0, -1, -1], [0.5, 2, -1], [0, -1, 1]]), torch.tensor([[0, 2, 1]], dtype=torch.int32), GREY
    )
    pose = compose(rotz(torch.tensor(0.7)), torch.tensor([9.0, 2.0, 0.5]))
    assert shares(None, Thing("sail", "car", (triangle,), pose)) == [1.0]


def test_levels_of_nuscenes():
    shares = torch.tensor([0.0, 0.39, 0.4, 0.41, 0.59, 0.6, 0.61, 0.79, 0.8, 0.81, 1.0])
    assert visibility_level(shares).tolist() == [1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
