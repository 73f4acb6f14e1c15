"""Truth belongs to the ray through the middle of each pixel."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import Camera, Fisheye, compose, direction_from_pixel, look_at, rotz
from worldloom.geometry.io import image_size
from worldloom.synth.cast import Caster
from worldloom.synth.light.exposure import develop
from worldloom.synth.light.pathtrace import Look, look, path_trace
from worldloom.synth.scene_files import SceneOptions, write_world
from worldloom.synth.shapes import box, ellipsoid, slab
from worldloom.synth.skies.sky import Sky
from worldloom.synth.truth import render_truth
from worldloom.synth.views import PanoramaView, View, pixel_centres, rays_through
from worldloom.synth.world import SEMANTICS, SKY, Material, Thing, World

GREY = Material("grey", (0.5, 0.5, 0.5), roughness=0.9)
DARK = (0.0, 0.0, 0.0)
DAY = Sky((0.0, 0.6, 0.8))


def world(*things: Thing, sky: Sky = DAY) -> World:
    return World("room", 0, things, sky, torch.zeros(1, 3))


def ball(centre: tuple[float, float, float], radius: float) -> Thing:
    return Thing("ball", "clutter", (ellipsoid((radius, radius, radius), centre, GREY, sides=512, rings=256),))


def views() -> list[View]:
    pose = compose(rotz(torch.tensor(0.4)), torch.tensor([0.3, -0.2, 0.1])) @ look_at(
        torch.zeros(3), torch.tensor([1.0, 0, 0])
    )
    K = torch.tensor([[60.0, 0, 41.0], [0, 62.0, 27.0], [0, 0, 1]])
    lens = torch.tensor([[26.0, 0, 40.0], [0, 26.0, 28.0], [0, 0, 1]])
    return [
        PanoramaView(torch.tensor([0.3, -0.2, 0.1]), 48, yaw=0.4),
        Camera(pose, K, (56, 80)),
        Fisheye(pose, lens, torch.tensor([-0.01, 0.002, 0.0, 0.0]), (56, 80), math.radians(100)),
    ]


@pytest.mark.parametrize("view", views(), ids=["panorama", "camera", "fisheye"])
def test_silhouette_of_a_sphere_is_exact_to_half_a_pixel(view: View):
    """A pixel shows the ball exactly if the ray through its middle meets the ball; the facets cost nearly nothing."""
    centre, radius = torch.tensor([3.0, 1.6, 0.3], dtype=torch.float64), 1.0
    truth = render_truth(Caster(world(ball((3.0, 1.6, 0.3), radius))), view, paths=1)
    origins, directions = rays_through(view, *pixel_centres(view))
    offset = centre - origins
    along = (offset * directions).sum(-1)
    miss = (offset - along[:, None] * directions).norm(dim=-1)  # of the ball's middle by the ray
    hit = ((miss < radius) & (along > 0)).view(view.size)
    seen = truth.instance == 0
    # A facet lies at most r (1 - cos(pi / 256)) inside the ball.
    sure = ((miss - radius).abs() > 1e-4 * radius).view(view.size)
    assert hit.sum() > 60
    assert sure.float().mean() > 0.99
    assert torch.equal(seen[sure], hit[sure])
    assert torch.equal(truth.sky, ~seen & (directions != 0).any(-1).view(view.size))
    distance = (along - (radius**2 - miss**2).clamp(min=0).sqrt()).view(view.size)
    inner = hit & (miss < 0.9 * radius).view(view.size)
    torch.testing.assert_close(truth.distance[inner].double(), distance[inner], atol=3e-4, rtol=0)
    assert (truth.distance[truth.sky] == 0).all()
    assert (truth.normal[:, truth.sky] == 0).all()
    # Half a pixel aside the silhouette would differ from the closed form.
    u, v = pixel_centres(view)
    _, aside = rays_through(view, u + 0.5, v)
    shifted = (offset - (offset * aside).sum(-1, keepdim=True) * aside).norm(dim=-1) < radius
    assert not torch.equal(shifted.view(view.size) & hit.any(), hit)


def test_panorama_of_a_box_by_the_conventions_formula():
    """Row i, column j looks at azimuth pi (1 - 2 (j + 0.5) / w) and elevation pi / 2 - pi (i + 0.5) / h."""
    room = box((4, 6, 3), (0, 0, 0), GREY)
    view = PanoramaView(torch.tensor([0.4, -0.7, 0.2]), 32)
    truth = render_truth(Caster(world(Thing("room", "wall", (room,)))), view, paths=1)
    v, u = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    d = direction_from_pixel(u.double(), v.double(), 32)
    expected = ((d.sign() * torch.tensor([2.0, 3.0, 1.5]) - view.position.double()) / d).amin(-1)
    torch.testing.assert_close(truth.distance.double(), expected, atol=1e-5, rtol=0)
    assert truth.depth is None
    assert not truth.sky.any()
    middle = truth.normal[:, 16, 32]  # +x wall, facing back
    torch.testing.assert_close(middle, torch.tensor([-1.0, 0.0, 0.0]))
    torch.testing.assert_close(truth.normal[:, 16, 16], torch.tensor([0.0, -1.0, 0.0]))  # left of the middle: +y
    torch.testing.assert_close(truth.normal[:, 0, 5], torch.tensor([0.0, 0.0, -1.0]))


@pytest.mark.parametrize("view", views()[1:], ids=["camera", "fisheye"])
def test_depth_is_along_the_axis(view: View):
    assert not isinstance(view, PanoramaView)
    truth = render_truth(Caster(world(Thing("room", "wall", (box((8, 8, 8), (0, 0, 0), GREY),)))), view, paths=1)
    origins, directions = rays_through(view, *pixel_centres(view))
    shown = (directions != 0).any(-1).view(view.size)
    points = origins + directions * truth.distance.flatten()[:, None].double()
    z = (points @ view.cam_from_world[:3, :3].double().T + view.cam_from_world[:3, 3].double())[:, 2].view(view.size)
    assert truth.depth is not None
    torch.testing.assert_close(truth.depth[shown].double(), z[shown], atol=1e-5, rtol=0)
    if isinstance(view, Fisheye):
        assert (truth.depth[shown] < 0).any()  # it sees behind itself
        assert not shown.all()
        assert (truth.rgb[:, ~shown] == 0).all()
        assert not truth.sky[~shown].any()
        assert (truth.instance[~shown] == -1).all()
        assert (truth.distance[~shown] == 0).all()


def test_materials_reach_the_picture():
    metal = Material("metal", (0.9, 0.5, 0.2), roughness=0.25, metallic=1.0)
    things = (
        Thing("floor", "floor", (slab((-5, -5, -1.1), (5, 5, -1), GREY),)),
        Thing("crate", "cabinet", (box((1, 1, 1), (2, 0, 0), metal),)),
    )
    truth = render_truth(Caster(world(*things)), PanoramaView(torch.zeros(3), 32), paths=2, supersample=2)
    crate = truth.instance == 1
    assert crate[16, 32]
    assert (truth.semantic[crate] == SEMANTICS.index("cabinet")).all()
    assert (truth.roughness[crate] == 0.25).all()
    assert (truth.metallic[crate] == 1).all()
    torch.testing.assert_close(truth.albedo[:, 16, 32], torch.tensor([0.9, 0.5, 0.2]))
    assert (truth.semantic[truth.sky] == SKY).all()
    assert (truth.instance[truth.sky] == -1).all()
    assert truth.rgb.min() >= 0
    assert truth.rgb.max() <= 1
    assert truth.rgb.isfinite().all()


def test_sun_lights_what_faces_it_and_the_rest_is_in_shade():
    sky = Sky((0.0, -0.6, 0.8), (3.0, 3.0, 3.0), DARK, DARK)
    things = (
        Thing("ground", "floor", (slab((-9, -9, -1.1), (9, 9, -1), GREY),)),
        Thing("wall", "wall", (slab((-9, 2, -1), (9, 2.2, 3), GREY),)),
    )
    caster = Caster(world(*things, sky=sky))
    front = render_truth(caster, PanoramaView(torch.tensor([0.0, 0.0, 0.0]), 32), paths=1)
    behind = render_truth(caster, PanoramaView(torch.tensor([0.0, 3.5, 0.0]), 32), paths=1)
    assert front.rgb[:, 16, 16].min() > 0.4  # its azimuth is +90 degrees: the wall, lit
    assert behind.rgb[:, 16, 48].max() < 0.25
    assert behind.rgb[:, 30, 20].max() < 0.25


def test_a_sunlit_plane_by_lamberts_law():
    """Radiance is albedo * irradiance * cosine / pi where nothing else gives light."""
    chalk = Material("chalk", (0.5, 0.4, 0.3), roughness=1.0)
    floor = Thing("floor", "floor", (slab((-9, -9, -1.1), (9, 9, -1), chalk),))
    sky = Sky((0.0, -0.6, 0.8), (2.0, 1.5, 1.0), DARK, DARK)
    truth = render_truth(Caster(world(floor, sky=sky)), PanoramaView(torch.zeros(3), 16), paths=8)
    radiance = torch.tensor([0.5 * 2.0, 0.4 * 1.5, 0.3 * 1.0]) * 0.8 / math.pi
    expected = develop(radiance[:, None, None], world().exposure)[:, 0]
    seen = truth.rgb[:, 14]
    torch.testing.assert_close(seen, expected.expand_as(seen), atol=0.02, rtol=0)


def test_same_seed_same_bits_whatever_the_threads():
    things = (
        Thing("floor", "floor", (slab((-5, -5, -1.1), (5, 5, -1), GREY),)),
        Thing("lamp", "lamp", (box((1, 1, 0.1), (1, 0, 2), Material("l", DARK, emission=(9.0, 9.0, 9.0))),)),
        ball((3.0, 1.6, 0.3), 1.0),
    )
    view = PanoramaView(torch.zeros(3), 64)
    one, three = (render_truth(Caster(world(*things), n), view, seed=3) for n in (1, 3))
    assert torch.equal(one.rgb, three.rgb)
    assert torch.equal(one.distance, three.distance)
    assert torch.equal(one.normal, three.normal)
    other = render_truth(Caster(world(*things)), view, seed=4)
    assert torch.equal(one.distance, other.distance)
    assert not torch.equal(one.rgb, other.rgb)


def test_large_pictures_gather_light_coarsely_but_alike(monkeypatch: pytest.MonkeyPatch):
    things = (Thing("floor", "floor", (slab((-5, -5, -1.1), (5, 5, -1), GREY),)), ball((3.0, 1.6, 0.3), 1.0))
    view = PanoramaView(torch.zeros(3), 48)
    fine = render_truth(Caster(world(*things)), view, paths=64)
    monkeypatch.setattr("worldloom.synth.truth._MANY", 0)
    coarse = render_truth(Caster(world(*things)), view, paths=64)
    assert torch.equal(fine.distance, coarse.distance)
    assert (fine.rgb - coarse.rgb).abs().mean() < 0.01


@pytest.mark.parametrize(("shared", "step"), [(False, 1), (True, 2)])
def test_light_is_gathered_in_the_middle_of_the_pixels_that_share_it(
    shared: bool, step: int, monkeypatch: pytest.MonkeyPatch
):
    looks = []

    def noted(caster: Caster, view: View, u: torch.Tensor, v: torch.Tensor, textures: bool = True) -> Look:
        looks.append(set(zip(u.tolist(), v.tolist(), strict=True)))
        return look(caster, view, u, v, textures)

    monkeypatch.setattr("worldloom.synth.truth.look", noted)
    render_truth(Caster(world(ball((3.0, 0.0, 0.0), 1.0))), PanoramaView(torch.zeros(3), 4), 0, 1, shared_light=shared)
    rows, columns = (torch.arange(n // step) * step + step / 2 for n in (4, 8))
    assert looks[1] == {(u, v) for u in columns.tolist() for v in rows.tolist()}


def test_pictures_of_traced_paths_gather_no_other_light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    caster = Caster(world(Thing("floor", "floor", (slab((-5, -5, -1.1), (5, 5, -1), GREY),))))
    view = PanoramaView(torch.zeros(3), 16)
    quick, radiance = render_truth(caster, view, 3), path_trace(caster, view, 4, 3)
    monkeypatch.setattr("worldloom.synth.truth._gathered", None)
    traced = render_truth(caster, view, 3, radiance=radiance)
    assert torch.equal(traced.rgb, develop(radiance, caster.world.exposure))
    assert torch.equal(traced.distance, quick.distance)
    assert torch.equal(traced.albedo, quick.albedo)
    monkeypatch.setattr("worldloom.synth.scene_files.make_world", lambda kind, seed: caster.world)
    options = SceneOptions(16, 1, 0, samples=4, mesh=False)
    write_world(tmp_path, lambda share, doing: None, "room", 0, options)
    assert image_size(tmp_path / "room-000000/panoramas/000.png") == (16, 32)


def test_worlds_of_nothing_and_bad_input():
    truth = render_truth(Caster(world()), PanoramaView(torch.zeros(3), 4))
    assert truth.sky.all()
    assert (truth.distance == 0).all()
    assert truth.rgb.min() > 0
    caster = Caster(world(ball((3.0, 0.0, 0.0), 1.0)))
    for paths, supersample in ((0, 1), (1, 0)):
        with pytest.raises(InputError, match="at least 1"):
            render_truth(caster, PanoramaView(torch.zeros(3), 4), paths=paths, supersample=supersample)
    with pytest.raises(InputError, match="height"):
        PanoramaView(torch.zeros(3), 0)
    camera = views()[1]
    assert isinstance(camera, Camera)
    batch = replace(camera, world_from_cam=camera.world_from_cam[None], K=camera.K[None])
    with pytest.raises(InputError, match="single camera"):
        render_truth(caster, batch)
    with pytest.raises(InputError, match="finite"):
        render_truth(caster, PanoramaView(torch.tensor([0.0, math.nan, 0.0]), 4))
