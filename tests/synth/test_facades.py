"""Buildings keep to their footprint, look towards +x, have deep windows, and are cheap where they are far."""

import numpy as np
import pytest
import torch

from worldloom.synth.cast import Caster
from worldloom.synth.outdoors.assembly import Assembly, frame_at, within
from worldloom.synth.outdoors.building_styles import building_style
from worldloom.synth.outdoors.buildings import BUILDING_STYLES, building_height, make_building
from worldloom.synth.outdoors.facades import pierce
from worldloom.synth.skies.sky import Sky
from worldloom.synth.world import Material, Part, Thing, World

GREY = Material("grey", (0.5, 0.5, 0.5))


def triangle_count(thing: Thing) -> int:
    return sum(len(part.faces) for part in thing.parts)


def caster(*things: Thing) -> Caster:
    return Caster(World("street", 0, things, Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3)))


def vertices(thing: Thing) -> torch.Tensor:
    return torch.cat([part.vertices for part in thing.parts])


def rays(starts: list[tuple[float, float, float]], direction: tuple[float, float, float]) -> tuple[torch.Tensor, ...]:
    origins = torch.tensor(starts, dtype=torch.float64)
    return origins, torch.tensor(direction, dtype=torch.float64).expand_as(origins)


@pytest.mark.parametrize("style", BUILDING_STYLES)
def test_walls_keep_to_the_footprint_and_coarse_ones_are_cheap(style: str) -> None:
    full, coarse = (make_building(3, 12, 9, 3, style, detail) for detail in ("full", "coarse"))
    assert triangle_count(coarse) < 300 < triangle_count(full) < 20_000
    for thing in (full, coarse):
        v = vertices(thing)
        assert torch.isfinite(v).all()
        # Between the heads of walkers and the eaves, walls are where the footprint says; other things reach 1.6 m out.
        assert float(v[:, 0].abs().max()) < 4.5 + 1.6
        assert float(v[:, 1].abs().max()) < 6 + 1.0
        low = v[(v[:, 2] < 2.2) & (v[:, 2] > -0.4)]
        assert not len(low) or float(low[:, 0].abs().max()) < 4.5 + 0.35
        top = building_height(building_style(style, 3), 3)
        assert top - 0.1 < float(v[:, 2].max()) < top + 12


def test_windows_lie_as_deep_as_the_style_says() -> None:
    for style in ("brick", "stone", "stucco"):
        house, looks = make_building(4, 12, 9, 4, style), building_style(style, 4)
        y, z = np.meshgrid(np.linspace(-5.5, 5.5, 60), np.linspace(looks.ground_storey, looks.ground_storey + 6, 60))
        origins, ahead = rays(
            [(30.0, a, b) for a, b in zip(y.ravel().tolist(), z.ravel().tolist(), strict=True)], (-1, 0, 0)
        )
        x = 30.0 - caster(house).cast(origins, ahead).distance
        wall, pane = (x - 4.5).abs() < 0.005, (x - (4.5 - looks.reveal)).abs() < 0.005
        assert wall.double().mean() > 0.2
        assert 0.04 < pane.double().mean() < 0.6
        assert (x > 4.5 - looks.reveal - 0.01).all()  # nowhere is a hole


def test_the_front_with_its_doors_and_shops_looks_towards_x() -> None:
    house = make_building(5, 14, 10, 3, "brick", shops=True)
    signs = [part for part in house.parts if part.material.name in ("sign", "brass")]
    assert signs
    assert all(float(part.vertices[:, 0].min()) > 3.9 for part in signs)


def test_faces_look_outwards() -> None:
    house = make_building(6, 10, 8, 2, "stucco")
    for axis, half in ((0, 4.0), (1, 5.0)):
        for sign in (1, -1):
            facing = []
            for part in (part for part in house.parts if part.material.name == "stucco"):
                a, b, c = (part.vertices[part.faces[:, k].long()].double() for k in range(3))
                flat = ((torch.stack([a, b, c])[..., axis] - sign * half).abs() < 1e-4).all(0)
                normal = torch.linalg.cross(b - a, c - a)[flat]
                facing.append(sign * normal[:, axis] / normal.norm(dim=1))
            assert torch.cat(facing).min() > 0.99


def test_one_walks_through_a_passage() -> None:
    solid, open_ = make_building(7, 14, 9, 3, "stone"), make_building(7, 14, 9, 3, "stone", passage=3.0)
    origins, ahead = rays([(20.0, y, z) for y in (-1.3, 0.0, 1.3) for z in (0.2, 1.7, 2.6)], (-1, 0, 0))
    assert not caster(open_).cast(origins, ahead).found.any()
    assert caster(solid).cast(origins, ahead).found.all()
    beside, _ = rays([(20.0, 1.7, 1.0), (20.0, -1.7, 1.0)], (-1, 0, 0))
    assert caster(open_).cast(beside, ahead[:2]).found.all()


@pytest.mark.parametrize("rise", [0.0, 0.4])
def test_a_pierced_wall_has_the_area_that_its_hole_leaves(rise: float) -> None:
    assembly = Assembly()
    pierce(
        assembly,
        GREY,
        np.array([[0.0, 3, 0, 4]]),
        np.array([[1.0, 2, 1, 2]]),
        0.25,
        rise,
        Material("r", (0.0, 0.0, 0.0)),
    )
    wall, reveal = assembly.parts()

    def area(part: Part) -> float:
        a, b, c = (part.vertices[part.faces[:, k].long()].double() for k in range(3))
        return float(torch.linalg.cross(b - a, c - a).norm(dim=1).sum() / 2)

    hole = 1.0 + np.pi / 4 * rise  # a half ellipse, 1 wide
    assert area(wall) == pytest.approx(12 - hole, abs=0.01)
    if rise == 0:
        assert area(reveal) == pytest.approx(4 * 0.25)
    # The reveals look into the hole.
    a, b, c = (reveal.vertices[reveal.faces[:, k].long()].double() for k in range(3))
    inwards = torch.tensor([-0.125, 1.5, 1.5]) - (a + b + c) / 3
    assert ((torch.linalg.cross(b - a, c - a) * inwards).sum(1) > 0).all()


def test_frames_nest_and_boxes_look_outwards() -> None:
    assembly = Assembly()
    assembly.frame = within(frame_at((1.0, 2.0, 3.0), np.pi / 2), frame_at((1.0, 0.0, 0.0)))
    assembly.boxes(GREY, (0, 0, 0), [(1, 2, 3), (2, 1, 0)])  # the second has no volume
    (part,) = assembly.parts()
    torch.testing.assert_close(part.vertices.amin(0), torch.tensor([-1.0, 3.0, 3.0]))
    torch.testing.assert_close(part.vertices.amax(0), torch.tensor([1.0, 4.0, 6.0]))
    a, b, c = (part.vertices[part.faces[:, k].long()].double() for k in range(3))
    shift = torch.tensor([0.0, 3.5, 4.5])
    assert float(((a - shift) * torch.linalg.cross(b - shift, c - shift)).sum() / 6) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style": "igloo"}, "style"),
        ({"detail": "some"}, "detail"),
        ({"storeys": 0}, "storey"),
        ({"width": 1.0}, "2.5 m"),
    ],
)
def test_bad_requests_are_refused(change: dict[str, object], message: str) -> None:
    request = {"seed": 1, "width": 9.0, "depth": 9.0, "storeys": 2, "style": "brick", "detail": "full"} | change
    with pytest.raises(ValueError, match=message):
        make_building(**request)  # pyright: ignore
