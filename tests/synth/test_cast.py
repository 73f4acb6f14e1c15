"""Rays against spheres, planes and boxes whose answers are known in closed form."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import compose
from worldloom.synth.cast import Caster
from worldloom.synth.shapes import box, ellipsoid, slab, turned
from worldloom.synth.skies.sky import Sky
from worldloom.synth.world import SEMANTICS, SKY, Material, Part, Thing, World

GREY = Material("grey", (0.5, 0.5, 0.5))
RED = Material("red", (0.8, 0.1, 0.1), roughness=0.3, metallic=1.0, emission=(2.0, 1.0, 0.5))


def world(*things: Thing) -> World:
    return World("room", 0, things, Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3))


def random_directions(n: int, seed: int = 0) -> torch.Tensor:
    draw = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(draw, dim=-1)


def plane(z: float, material: Material = GREY, half: float = 50.0) -> Part:
    corners = torch.tensor([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])
    return Part(corners, torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32), material)


@pytest.mark.parametrize("shift", [0.0, 900.0])
def test_planes_are_met_where_they_are(shift: float):
    """A tilted plane, near the origin and far from it: t = (p - o) . n / (d . n) in float64."""
    rotation = turned(0.3, 0.2, -0.4).double()
    pose = compose(rotation, torch.tensor([shift, -shift, 3.0], dtype=torch.float64))
    caster = Caster(world(Thing("plane", "floor", (plane(0.0),), pose)))
    origins = pose[:3, 3] + torch.tensor([[0.5, 0.25, 2.0]], dtype=torch.float64).expand(4000, 3) @ rotation.T
    directions = random_directions(4000)
    hits = caster.cast(origins, directions)
    normal = rotation[:, 2]
    t = -2.0 / (directions @ normal)
    sure = (t > 0) & (t < 30)
    assert hits.found[sure].all()
    assert not hits.found[t < 0].any()
    torch.testing.assert_close(hits.distance[sure], t[sure], rtol=1e-6, atol=2e-5)
    surface = caster.surface(origins, directions, hits)
    torch.testing.assert_close(surface.normal[sure].double(), normal.expand(int(sure.sum()), 3), atol=1e-6, rtol=0)
    assert (surface.instance[sure] == 0).all()
    assert (surface.semantic[sure] == SEMANTICS.index("floor")).all()


def test_distances_of_a_box_from_inside():
    """The slab method's answer for every direction, to far less than a float32 ray would give."""
    size = torch.tensor([4.0, 6.0, 2.5], dtype=torch.float64)
    caster = Caster(world(Thing("box", "wall", (box((4, 6, 2.5), (100, 200, 0), GREY),))))
    inside = torch.tensor([0.7, -1.1, 0.3], dtype=torch.float64)
    directions = random_directions(20000)
    expected = ((directions.sign() * size / 2 - inside) / directions).amin(-1)
    origins = (inside + torch.tensor([100.0, 200.0, 0.0])).expand_as(directions)
    hits = caster.cast(origins, directions)
    assert hits.found.all()  # nothing leaks between triangles
    torch.testing.assert_close(hits.distance, expected, rtol=1e-9, atol=1e-6)
    normal = caster.surface(origins, directions, hits).normal.double()
    assert ((normal * directions).sum(-1) < 0).all()
    which = ((directions.sign() * size / 2 - inside) / directions).argmin(-1)
    assert (normal.abs().argmax(-1) == which).all()


def test_smooth_sphere_reports_its_shading_normal():
    sphere = ellipsoid((2, 2, 2), (0, 0, 0), GREY, sides=256, rings=128)
    caster = Caster(world(Thing("ball", "clutter", (sphere,))))
    target = 1.7 * random_directions(3000)
    origins = torch.tensor([[10.0, -3.0, 4.0]], dtype=torch.float64).expand(3000, 3)
    directions = torch.nn.functional.normalize(target - origins, dim=-1)
    hits = caster.cast(origins, directions)
    surface = caster.surface(origins, directions, hits)
    found = hits.found
    b = (origins * directions).sum(-1)
    root = b * b - (origins * origins).sum(-1) + 4
    t = -b - root.clamp(min=0).sqrt()
    frontal = found & (root > 0.5)  # grazing rays tell the facets from the sphere
    assert frontal.sum() > 1000
    torch.testing.assert_close(hits.distance[frontal], t[frontal], atol=2e-3, rtol=0)
    exact = (origins + t[:, None] * directions) / 2
    assert ((surface.normal[frontal].double() * exact[frontal]).sum(-1) > math.cos(2e-3)).all()
    assert ((surface.normal[found].double() * directions[found]).sum(-1) <= 1e-6).all()  # towards the eye
    # The face's own normal differs by up to half a facet.
    assert ((surface.face_normal - surface.normal)[frontal].norm(dim=-1)).mean() > 1e-3


def test_surfaces_know_their_material_thing_and_place():
    def stripes(points: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
        assert torch.allclose(normals[:, 2].abs(), torch.ones(len(normals)))
        return torch.where(points[:, :1] > 0, 0.9, 0.1).expand(-1, 3)

    striped = Material("striped", (0.5, 0.5, 0.5), pattern=stripes)
    # Turned by a quarter: the part's +x is the world's +y.
    pose = compose(turned(math.pi / 2), torch.tensor([10.0, 0.0, 0.0]))
    halves = Thing("floor", "floor", (plane(0.0, striped, 4.0),), pose)
    mapped = Thing("ground", "ground" if "ground" in SEMANTICS else "grass", (plane(-1.0, RED, 4.0),), torch.eye(4))
    mapped = replace(
        mapped, semantic_at=lambda p: torch.where(p[:, 0] > 1, SEMANTICS.index("water"), SEMANTICS.index("rock"))
    )
    caster = Caster(world(halves, mapped))
    origins = torch.tensor(
        [[10.0, 1.0, 5.0], [10.0, -1.0, 5.0], [0.5, 0.0, 5.0], [1.5, 0.0, 5.0], [30.0, 0.0, 5.0], [0.0, 0.0, -9.0]]
    )
    directions = torch.tensor([[0.0, 0.0, -1.0]] * 5 + [[0.0, 0.0, 1.0]])
    hits = caster.cast(origins, directions)
    surface = caster.surface(origins, directions, hits)
    torch.testing.assert_close(surface.albedo[:, 1], torch.tensor([0.9, 0.1, 0.1, 0.1, 0.0, 0.1]))
    assert surface.instance.tolist() == [0, 0, 1, 1, -1, 1]
    assert [SEMANTICS[i] for i in surface.semantic.tolist()] == ["floor", "floor", "rock", "water", "sky", "rock"]
    torch.testing.assert_close(surface.roughness, torch.tensor([0.8, 0.8, 0.3, 0.3, 0.0, 0.3]))
    torch.testing.assert_close(surface.metallic, torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0, 1.0]))
    torch.testing.assert_close(
        surface.emission[:, 0], torch.tensor([0.0, 0.0, 2.0, 2.0, 0.0, 0.0])
    )  # lamps shine forwards
    assert surface.normal[:, 2].tolist() == [1.0, 1.0, 1.0, 1.0, 0.0, -1.0]


def test_blocked_stops_at_its_limit():
    caster = Caster(world(Thing("plane", "floor", (plane(2.0),))))
    origins, up = torch.zeros(4, 3), torch.tensor([[0.0, 0.0, 1.0]]).expand(4, 3)
    limit = torch.tensor([1.9, 2.1, math.inf, 0.0])
    assert caster.blocked(origins, up, limit).tolist() == [False, True, True, False]
    assert caster.blocked(origins, 3 * up, limit).tolist() == [False, True, True, False], "directions of any length"
    assert not caster.blocked(origins, -up, math.inf).any()


def test_moving_things_come_on_top():
    room = world(Thing("floor", "floor", (plane(0.0),)), Thing("box", "cabinet", (box((1, 1, 1), (3, 0, 0.5), GREY),)))
    caster = Caster(room)
    cars = [
        Thing(
            "car",
            "car",
            (box((1, 1, 1), (0, 0, 0.5), RED),),
            compose(torch.eye(3), torch.tensor([-3.0, float(y), 0.0])),
        )
        for y in (0, 4)
    ]
    origins = torch.tensor([[-3.0, 0.0, 5.0], [-3.0, 4.0, 5.0], [3.0, 0.0, 5.0], [8.0, 8.0, 5.0]])
    down = torch.tensor([[0.0, 0.0, -1.0]]).expand(4, 3)
    moved = caster.with_moving(cars)
    hits = moved.cast(origins, down)
    surface = moved.surface(origins, down, hits)
    assert surface.instance.tolist() == [2, 3, 1, 0]
    torch.testing.assert_close(hits.distance, torch.tensor([4.0, 4.0, 4.0, 5.0], dtype=torch.float64).to(hits.distance))
    torch.testing.assert_close(surface.albedo[0], torch.tensor([0.8, 0.1, 0.1]))
    # One world built at once says the same, and the caster without the movers has not changed.
    at_once = Caster(replace(room, things=room.things + tuple(cars)))
    again = at_once.surface(origins, down, at_once.cast(origins, down))
    assert torch.equal(again.instance, surface.instance)
    assert torch.equal(again.semantic, surface.semantic)
    assert moved.blocked(origins, down, 4.5).tolist() == [True, True, True, False]
    assert caster.surface(origins, down, caster.cast(origins, down)).instance.tolist() == [0, 0, 1, 0]
    assert caster.with_moving([]).cast(origins, down).distance.tolist() == [5.0, 5.0, 4.0, 5.0]


def test_threads_and_company_change_nothing():
    things = [Thing("b", "clutter", (ellipsoid((1, 1, 1), (2 * i, 0, 0), GREY),)) for i in range(-3, 4)]
    one, three = Caster(world(*things), 1), Caster(world(*things), 3)
    directions = random_directions(150_000, 1)
    origins = torch.tensor([[0.3, 4.0, 0.2]], dtype=torch.float64).expand_as(directions)
    a, b = one.cast(origins, directions), three.cast(origins, directions)
    assert torch.equal(a.distance, b.distance)
    assert torch.equal(a.face, b.face)
    assert torch.equal(a.barycentric, b.barycentric)
    some = torch.arange(0, 150_000, 7)
    c = one.cast(origins[some], directions[some])
    assert torch.equal(a.distance[some], c.distance)
    assert torch.equal(a.face[some], c.face)
    assert torch.equal(one.blocked(origins, directions, 3.0), three.blocked(origins, directions, 3.0))


def test_an_empty_world_is_all_sky():
    caster = Caster(world())
    directions = random_directions(10)
    hits = caster.cast(torch.zeros_like(directions), directions)
    assert not hits.found.any()
    assert (hits.distance == 0).all()
    assert not caster.blocked(torch.zeros_like(directions), directions, math.inf).any()
    assert (caster.surface(torch.zeros_like(directions), directions, hits).semantic == SKY).all()


def test_no_rays_no_answers():
    caster = Caster(world(Thing("p", "floor", (plane(0.0),))))
    hits = caster.cast(torch.zeros(0, 3), torch.zeros(0, 3))
    assert len(hits.distance) == 0
    assert len(caster.surface(torch.zeros(0, 3), torch.zeros(0, 3), hits).albedo) == 0


def test_bad_rays_and_worlds():
    caster = Caster(world(Thing("p", "floor", (plane(0.0),))))
    good = torch.tensor([[0.0, 0.0, 1.0]])
    for origins, directions in (
        (good * math.nan, good),
        (good, good * math.inf),
        (good, good * 0),
    ):
        with pytest.raises(InputError, match="expected"):
            caster.cast(origins, directions)
    with pytest.raises(InputError, match="limit"):
        caster.blocked(good, good, math.nan)
    with pytest.raises(InputError, match="num_threads"):
        Caster(world(), 0)
    with pytest.raises(InputError, match="finite"):
        Caster(world(Thing("p", "floor", (plane(math.nan),))))
    broken = replace(plane(0.0), faces=torch.tensor([[0, 1, 4]], dtype=torch.int32))
    with pytest.raises(InputError, match="vertices"):
        Caster(world(Thing("p", "floor", (broken,))))
    wrong = replace(Thing("p", "floor", (plane(0.0),)), semantic_at=lambda p: torch.full((len(p),), len(SEMANTICS)))
    shy = Caster(world(wrong))
    with pytest.raises(InputError, match="semantic_at"):
        shy.surface(good, -good, shy.cast(good, -good))
    flat = Caster(
        world(Thing("p", "floor", (plane(0.0, Material("m", (0.5, 0.5, 0.5), pattern=lambda p, n: p[:, :1])),)))
    )
    with pytest.raises(InputError, match="pattern"):
        flat.surface(good, -good, flat.cast(good, -good))


def test_a_pattern_does_not_flicker_on_the_border_of_its_cells():
    """The floor lies in z = 0, where a chequered solid changes colour: all of it must fall to one side."""
    cells = Material("cells", (0.5, 0.5, 0.5), pattern=lambda p, n: (p[:, 2:].floor() % 2).expand(-1, 3))
    pose = compose(turned(0.7, 0.3), torch.tensor([37.0, 11.0, 5.0]))
    caster = Caster(world(Thing("floor", "floor", (slab((-4, -4, -1), (4, 4, 0), cells),), pose)))
    normal = pose[:3, 2].double()
    origins = (pose[:3, 3].double() + 3 * normal).expand(2000, 3)
    directions = torch.nn.functional.normalize(-normal + 0.5 * random_directions(2000), dim=-1)
    albedo = caster.surface(origins, directions, caster.cast(origins, directions)).albedo
    assert len(np.unique(albedo.numpy())) == 1


@pytest.mark.parametrize("eye", [(4.0, 0.0, 0.5), (0.0, 0.0, 0.1)], ids=["outside", "inside"])
def test_smooth_normals_face_the_ray(eye: tuple[float, float, float]) -> None:
    """The normals of a coarse ball, as interpolated, look away from the eye near its silhouette."""
    ball = ellipsoid((1, 1, 1), (0, 0, 0), GREY, sides=8, rings=4)
    assert ball.smooth
    caster = Caster(world(Thing("ball", "clutter", (ball,))))
    directions = random_directions(20000)
    origins = torch.tensor(eye, dtype=torch.float64).expand_as(directions)
    hits = caster.cast(origins, directions)
    assert hits.found.sum() > 200
    surface = caster.surface(origins, directions, hits)
    found = hits.found
    towards = (surface.normal[found].double() * directions[found]).sum(-1)
    assert (towards < 1e-6).all()
    torch.testing.assert_close(surface.normal[found].norm(dim=-1), torch.ones(int(found.sum())))
    # They are interpolated, and nearly those of a true ball, on the side of the eye.
    assert ((surface.normal - surface.face_normal)[found].norm(dim=-1) > 0.05).float().mean() > 0.5
    radial = torch.nn.functional.normalize(surface.points[found], dim=-1) * (1 if eye[0] > 1 else -1)
    assert ((surface.normal[found] * radial).sum(-1) > 0.8).float().mean() > 0.9
