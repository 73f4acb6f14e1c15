"""Road users fill their boxes, stand on the ground, look ahead along x, and walk without sliding."""

import math

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import OCC3D_CLASSES
from worldloom.geometry.io.nuscenes_tables import CATEGORIES
from worldloom.synth.road_users.catalogue import (
    NUM_VARIANTS,
    PHASES,
    RIDERLESS,
    STANDING,
    TRACTORS,
    make_road_user,
    metres_per_cycle,
    nuscenes_category,
    road_user_extent,
)
from worldloom.synth.road_users.coachwork import TAIL_LAMP, TRIM, is_reflector, loft, pane, shell, side_quad
from worldloom.synth.road_users.figure import two_bones
from worldloom.synth.road_users.heavy_vehicles import FIFTH_WHEEL, KINGPIN
from worldloom.synth.road_users.people import WALKERS, walker
from worldloom.synth.world import Material, Part, Thing

ALL = [(kind, variant) for kind, count in NUM_VARIANTS.items() for variant in range(count)]
# Every other one, and the last, stands for those that differ in size and colour alone.
SOME = [(kind, variant) for kind, variant in ALL if variant % 4 in (0, 1) or variant == NUM_VARIANTS[kind] - 1]
# Lengths, widths and heights between which things of a kind are believable, metres.
SIZES = {
    "car": ((3.8, 5.6), (1.7, 2.2), (1.4, 2.1)),
    "bus": ((7, 18.5), (2.5, 3.0), (2.8, 4.4)),
    "truck": ((5.2, 9.5), (1.9, 3.0), (1.8, 3.9)),
    "trailer": ((11, 13.7), (2.4, 2.9), (2.8, 4.0)),
    "motorcycle": ((1.8, 2.3), (0.6, 0.9), (1.2, 1.8)),
    "bicycle": ((1.6, 1.9), (0.55, 0.8), (1.0, 1.9)),
    "pedestrian": ((0.35, 1.9), (0.35, 1.05), (1.0, 2.1)),
    "construction_vehicle": ((4.5, 8.5), (1.8, 3.0), (2.8, 3.5)),
    "traffic_cone": ((0.3, 0.5), (0.3, 0.5), (0.7, 1.1)),
    "barrier": ((0.4, 0.65), (1.4, 2.6), (0.85, 1.65)),
}
GREY = Material("grey", (0.5, 0.5, 0.5))


def vertices(thing: Thing) -> Float[Tensor, "n 3"]:
    return torch.cat([part.vertices for part in thing.parts])


def middle_of(thing: Thing, *names: str) -> list[float]:
    return torch.cat([part.vertices for part in thing.parts if part.material.name in names]).mean(0).tolist()


@pytest.mark.parametrize("kind", NUM_VARIANTS)
def test_meshes_fill_their_boxes(kind: str) -> None:
    assert kind in OCC3D_CLASSES
    for variant in (variant for name, variant in SOME if name == kind):
        extent = torch.tensor(road_user_extent(kind, variant))
        for size, (low, high) in zip(extent.tolist(), SIZES[kind], strict=True):
            assert low <= size <= high, (variant, extent)
        phases = {"pedestrian": [STANDING, *range(PHASES)], "bicycle": [*range(PHASES)]}.get(kind, [0])
        lows, highs = [], []
        for phase in phases:
            points = vertices(make_road_user(kind, variant, phase / PHASES if phase > 0 else phase))
            lows.append(points.amin(0))
            highs.append(points.amax(0))
            assert abs(float(lows[-1][2])) < 1e-5  # in every phase something touches the ground
        low, high = torch.stack(lows).amin(0), torch.stack(highs).amax(0)
        torch.testing.assert_close(high - low, extent, atol=0.01, rtol=0)
        torch.testing.assert_close((high + low)[:2], torch.zeros(2), atol=0.01, rtol=0)


@pytest.mark.parametrize(("kind", "variant"), SOME)
def test_surfaces_face_outwards_and_are_few(kind: str, variant: int) -> None:
    thing = make_road_user(kind, variant)
    assert thing.semantic == kind
    volume = 0.0
    for part in thing.parts:
        a, b, c = (part.vertices.double()[part.faces[:, k].long()] for k in range(3))
        assert torch.isfinite(part.vertices).all()
        volume += float((a * torch.linalg.cross(b, c)).sum() / 6)
        assert min(part.material.colour) >= 0
        assert max(part.material.colour) <= 1
    length, width, height = road_user_extent(kind, variant)
    assert 0.005 * length * width * height < volume < 1.2 * length * width * height
    assert sum(len(part.faces) for part in thing.parts) < (1500 if kind == "pedestrian" else 3000)


@pytest.mark.parametrize("kind", ["car", "bus", "truck", "motorcycle", "construction_vehicle"])
def test_headlamps_are_ahead_and_tail_lamps_behind(kind: str) -> None:
    for variant in range(NUM_VARIANTS[kind]):
        thing = make_road_user(kind, variant)
        parts = {part.material.name for part in thing.parts}
        if "headlamp" in parts:
            assert middle_of(thing, "headlamp")[0] > 0
            assert abs(middle_of(thing, "headlamp")[1]) < 0.01
        if TAIL_LAMP.name in parts:
            assert middle_of(thing, TAIL_LAMP.name)[0] < -0.2
    assert is_reflector(TAIL_LAMP)
    assert not is_reflector(TRIM)


def test_bus_doors_are_on_the_right() -> None:
    """Where buses keep to the right, people get out to the kerb."""
    thing = make_road_user("bus", 0)
    door = torch.cat([part.vertices for part in thing.parts if part.material is TRIM])
    low_and_at_the_side = door[(door[:, 2] < 0.5) & (door[:, 1].abs() > 1.27)]
    assert len(low_and_at_the_side)
    assert (low_and_at_the_side[:, 1] < 0).all()


def test_tractors_and_trailers_meet() -> None:
    """The plate lies FIFTH_WHEEL ahead of a tractor's end, and nothing of the trailer hangs there below deck."""
    for variant in TRACTORS:
        thing = make_road_user("truck", variant)
        length = road_user_extent("truck", variant)[0]
        points = torch.cat([part.vertices for part in thing.parts if part.material.name == "steel"])
        plate = points[(points[:, 2] > 1.02) & (points[:, 2] < 1.04) & (points[:, 0] < 0)]
        assert float((plate[:, 0].amin() + plate[:, 0].amax()) / 2) == pytest.approx(FIFTH_WHEEL - length / 2, abs=0.03)
        for towed in range(NUM_VARIANTS["trailer"]):
            front = road_user_extent("trailer", towed)[0] / 2
            points = vertices(make_road_user("trailer", towed))
            above_the_plate = points[points[:, 0] > front - KINGPIN - 0.6]
            assert float(above_the_plate[:, 2].min()) == pytest.approx(1.04, abs=0.02)


def test_equal_arguments_give_one_object_and_phases_wrap() -> None:
    assert make_road_user("car", 3) is make_road_user("car", 3, 0.7)
    assert make_road_user("pedestrian", 0, 0.25) is make_road_user("pedestrian", 0, 1.25)
    assert make_road_user("pedestrian", 0, 0.25) is not make_road_user("pedestrian", 0, STANDING)
    assert make_road_user("bicycle", 0, 0.99) is make_road_user("bicycle", 0, 0.0)
    colours = {
        tuple(part.material.colour for part in make_road_user("car", variant).parts if part.material.name == "paint")
        for variant in range(NUM_VARIANTS["car"])
    }
    assert len(colours) >= 6


@pytest.mark.parametrize("number", [0, 2, 13, 15, 18])
def test_feet_on_the_ground_do_not_slide(number: int) -> None:
    """A flat sole goes back as fast as the body goes on: by `metres_per_cycle` in a cycle."""
    person = WALKERS[number]
    speed = metres_per_cycle("pedestrian", number)
    assert 0.35 * person.build.height < speed < 0.9 * person.build.height
    before, after = (shoes(walker(person, phase)) for phase in (0.1, 0.2))
    # The left foot is flat from heel strike at 0 until the heel rises at 0.38.
    flat = (before[:, 2] < 0.002 + before[:, 2].min()) & (before[:, 1] > 0)
    assert flat.any()
    torch.testing.assert_close(
        (before - after)[flat, 0], torch.full((int(flat.sum()),), 0.1 * speed), atol=2e-4, rtol=0
    )
    assert torch.allclose(before[flat, 2], after[flat, 2], atol=1e-4)


@pytest.mark.parametrize("phase", [0.0, 0.2, 0.45, 0.8])
def test_left_and_right_are_half_a_cycle_apart(phase: float) -> None:
    person = WALKERS[0]
    here, there = shoes(walker(person, phase)), shoes(walker(person, phase + 0.5))
    flipped = there * torch.tensor([1.0, -1.0, 1.0])

    def ordered(points: Float[Tensor, "n 3"]) -> np.ndarray:
        rounded = np.round(points.numpy(), 3)
        return rounded[np.lexsort(rounded.T)]

    np.testing.assert_allclose(ordered(here), ordered(flipped), atol=2e-3)


def shoes(parts: list[Part]) -> Float[Tensor, "n 3"]:
    """Vertices of the shoes: the lowest parts of a figure."""
    low = [part.vertices for part in parts if float(part.vertices[:, 2].max()) < 0.4 and len(part.vertices) == 24]
    return torch.cat(low)


def test_cranks_turn_forward() -> None:
    """The pedal that is ahead goes down, as it does when a bicycle rolls along +x."""
    feet = []
    for phase in (0.0, 1 / PHASES):
        points = vertices(make_road_user("bicycle", 0, phase))
        left = points[(points[:, 1] > 0.1) & (points[:, 2] < 0.6) & (points[:, 0] > -0.2)]
        feet.append(float(left[:, 2].min()))
    assert feet[1] < feet[0] - 0.05


def test_knees_bend_by_the_law_of_cosines() -> None:
    knee = two_bones(np.zeros(3), np.array([0.0, 0, -1.4]), 1.0, 1.0, np.array([1.0, 0, 0]))
    np.testing.assert_allclose(knee, [math.sqrt(1 - 0.49), 0, -0.7])
    straight = two_bones(np.zeros(3), np.array([0.0, 0, -3.0]), 1.0, 0.5, np.array([1.0, 0, 0]))
    np.testing.assert_allclose(straight, [0, 0, -1], atol=2e-3)


def test_lofts_and_shells_are_closed() -> None:
    def volume(part: Part) -> float:
        a, b, c = (part.vertices.double()[part.faces[:, k].long()] for k in range(3))
        return float((a * torch.linalg.cross(b, c)).sum() / 6)

    square = np.array([[0.0, 0, 0], [0, 2, 0], [0, 2, 3], [0, 0, 3]])
    for axis, turn in ((0, [0, 1, 2]), (1, [2, 0, 1]), (2, [1, 2, 0])):
        step = np.eye(3)[axis] * 5
        rings = [square[:, turn], square[:, turn] + step]
        assert volume(loft(rings, GREY)) == pytest.approx(30)
        backwards = [ring[::-1] for ring in rings[::-1]]
        assert volume(loft(backwards, GREY)) == pytest.approx(30)
    # Arches take half a disc of the width from a box that does not narrow.
    radius = 0.4
    box, arched = (
        shell((-2, 2), lambda x: 1.0, lambda x: 0.0, lambda x: 1.0, GREY, (), axles, (radius, 0.0), 1.0)
        for axles in ((), (0.0,))
    )
    cross_section = volume(box) / 4
    assert volume(box) - volume(arched) == pytest.approx(cross_section * math.pi * radius**2 / 2, rel=0.05)


def test_panes_look_away_from_their_vehicle() -> None:
    for y in (1.0, -1.0):
        part = pane(side_quad(1, -1, y, 0, 1), (0, 1), (0, 1), GREY, lift=0.1)
        assert float(part.vertices[:, 1].abs().max()) == pytest.approx(1.1)
        a, b, c = part.vertices[part.faces[0].long()]
        assert float(torch.linalg.cross(b - a, c - a)[1]) * y > 0
        front = pane(side_quad(1, -1, y, 0, 1), (0, 0.1), (0, 1), GREY)
        # u runs from front to rear on the left, and the other way on the right, counter-clockwise from outside.
        assert float(front.vertices[:, 0].mean()) * y > 0


def test_chevrons_point_to_the_open_lane_on_both_faces() -> None:
    """Boards meet the traffic with their front, and what is closed is on its right: the way on is at -y."""
    parts = make_road_user("barrier", 5).parts
    red = torch.cat([part.vertices for part in parts if part.material.name == "reflector, red"])
    for side in (1, -1):
        points = red[red[:, 0] * side > 0]
        tips = (points[:, 2] - 0.95).abs() < 0.05
        assert points[tips, 1].mean() < points[~tips, 1].mean() - 0.1


def test_categories_are_nuscenes_own() -> None:
    names = {nuscenes_category(kind, variant) for kind, variant in ALL}
    assert names <= set(CATEGORIES)
    assert {"vehicle.bus.bendy", "human.pedestrian.child", "human.pedestrian.construction_worker"} <= names
    assert all(0 < len(riderless) < NUM_VARIANTS[kind] for kind, riderless in RIDERLESS.items())
    for kind, riderless in RIDERLESS.items():
        tallest = max(road_user_extent(kind, variant)[2] for variant in riderless)
        ridden = set(range(NUM_VARIANTS[kind])) - set(riderless)
        assert tallest < min(road_user_extent(kind, variant)[2] for variant in ridden)


@pytest.mark.parametrize(("kind", "variant"), [("tank", 0), ("car", -1), ("car", 999)])
def test_unknown_kinds_and_variants_are_named(kind: str, variant: int) -> None:
    with pytest.raises(ValueError, match=f"got.*{variant if kind == 'car' else kind}"):
        make_road_user(kind, variant)
