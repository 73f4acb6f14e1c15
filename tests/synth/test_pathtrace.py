"""Light against closed forms: furnaces, the cosine law, a panel of known view factor, a mirror."""

import math
from dataclasses import replace

import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import Camera, compose, intrinsics, look_at
from worldloom.synth.cast import Caster
from worldloom.synth.light.lights import sky_table
from worldloom.synth.light.pathtrace import path_trace
from worldloom.synth.light.transport import SUN_RADIUS
from worldloom.synth.shapes import box, ellipsoid, slab
from worldloom.synth.skies.sky import Sky
from worldloom.synth.truth import render_truth
from worldloom.synth.views import PanoramaView
from worldloom.synth.world import Material, Part, Thing, World

DARK = (0.0, 0.0, 0.0)
NIGHT = Sky((0.0, 0.0, 1.0), DARK, DARK, DARK)
WHITE = Sky((0.0, 0.0, 1.0), DARK, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))


def world(sky: Sky, *things: Thing) -> World:
    return World("room", 0, things, sky, torch.zeros(1, 3))


def plane(material: Material, z: float = 0.0, half: float = 200.0, up: bool = True) -> Part:
    corners = torch.tensor([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]] if up else [[0, 2, 1], [0, 3, 2]], dtype=torch.int32)
    return Part(corners, faces, material)


def down(height: float = 2.0, size: tuple[int, int] = (8, 8), fov: float = 0.02) -> Camera:
    """A camera that looks straight down at a spot about the origin."""
    return Camera(look_at(torch.tensor([0.0, 0.0, height]), torch.zeros(3)), intrinsics(fov, size), size)


@pytest.mark.parametrize("roughness", [1.0, 0.3])
@pytest.mark.parametrize("denoise", [False, True])
def test_furnace_under_an_even_sky(roughness: float, denoise: bool):
    """A convex thing under a sky of radiance 1 all around shines with its albedo, wherever one looks at it."""
    material = Material("m", (0.5, 0.5, 0.5), roughness=roughness)
    ball = Thing("ball", "clutter", (ellipsoid((1, 1, 1), (0, 0, 0), material, 64, 32),))
    camera = Camera(look_at(torch.tensor([4.0, 0, 0]), torch.zeros(3)), intrinsics(0.3, (12, 12)), (12, 12))
    radiance = path_trace(Caster(world(WHITE, ball)), camera, spp=64, denoise=denoise)
    # Gloss comes on top of the diffuse light in the metal-roughness model: F of about 4 %, here seen nearly head on.
    gloss = 0.04 if roughness < 0.6 else 0.0
    torch.testing.assert_close(radiance.mean((1, 2)), torch.full((3,), 0.5 + gloss), atol=6e-3, rtol=0)


def test_furnace_in_a_closed_room():
    """Walls that shine with E and reflect rho: after k bounces E (1 + rho + ... + rho^k) is seen everywhere."""
    E, rho = 0.7, 0.5
    material = Material("m", (rho, rho, rho), roughness=1.0, emission=(E, E, E))
    room = box((4, 6, 3), (0, 0, 0), material)
    inwards = replace(room, faces=room.faces[:, [0, 2, 1]])
    caster = Caster(world(NIGHT, Thing("room", "wall", (inwards,))))
    for bounces in (1, 3):
        radiance = path_trace(caster, PanoramaView(torch.tensor([0.5, 1.0, -0.2]), 16), 64, max_bounces=bounces)
        expected = E * sum(rho**k for k in range(bounces + 1))
        torch.testing.assert_close(radiance.mean((1, 2)), torch.full((3,), expected), atol=0, rtol=0.01)


@pytest.mark.parametrize("elevation", [90.0, 40.0, 10.0])
def test_cosine_law_of_the_sun(elevation: float):
    e = math.radians(elevation)
    sky = replace(NIGHT, towards_sun=(math.cos(e), 0.0, math.sin(e)), sun=(3.0, 2.0, 1.0))
    ground = Thing("ground", "floor", (plane(Material("m", (0.8, 0.5, 0.2), roughness=1.0)),))
    radiance = path_trace(Caster(world(sky, ground)), down(), spp=4)
    expected = torch.tensor([0.8 * 3, 0.5 * 2, 0.2 * 1]) * math.sin(e) / math.pi
    torch.testing.assert_close(radiance.mean((1, 2)), expected, rtol=2e-3, atol=0)


def test_penumbra_of_an_evenly_bright_disc():
    """Half a radius of the sun into an edge's shadow, the segment that is seen is (pi / 3 - sqrt(3) / 4) / pi of it."""
    sky = replace(NIGHT, sun=(3.0, 3.0, 3.0))
    ground = Thing("ground", "floor", (plane(Material("m", (0.6, 0.6, 0.6), roughness=1.0)),))
    above = 50.0
    edge = 0.5 * math.tan(SUN_RADIUS) * above
    roof = Thing("roof", "roof", (slab((-40, -40, above), (edge, 40, above + 1), Material("b", DARK, roughness=1.0)),))
    camera = down(size=(96, 96), fov=1e-4)
    radiance = path_trace(Caster(world(sky, ground, roof)), camera, spp=16, max_bounces=1, denoise=False)
    share = radiance.mean().item() / (0.6 * 3.0 / math.pi)
    assert share == pytest.approx((math.pi / 3 - math.sqrt(3) / 4) / math.pi, abs=0.01)


class GlowingSky(Sky):
    """Radiance 10 exp(k (cos - 1)) about a direction, and no sun."""

    k = 40.0

    def radiance(self, directions: torch.Tensor) -> torch.Tensor:
        cosine = directions @ directions.new_tensor(self.towards_sun)
        return (10 * torch.exp(self.k * (cosine - 1)))[:, None].expand(-1, 3).float()


def test_light_of_an_uneven_sky_counts_once():
    """E = 10 (2 pi / k) (1 - 1 / k) cos, whether rays to the sky or bounces find its glow."""
    sky = GlowingSky((0.6, 0.0, 0.8), DARK)
    assert sky_table(sky).contrast > 12  # else it gets no rays of its own
    ground = Thing("ground", "floor", (plane(Material("m", (0.5, 0.5, 0.5), roughness=1.0)),))
    radiance = path_trace(Caster(world(sky, ground)), down(), spp=256, denoise=False)
    E = 10 * 2 * math.pi / sky.k * (1 - 1 / sky.k) * 0.8
    assert radiance.mean().item() == pytest.approx(0.5 * E / math.pi, rel=0.02)


def test_sun_has_a_shadow_on_the_far_side():
    sky = replace(NIGHT, towards_sun=(math.sqrt(0.5), 0.0, math.sqrt(0.5)), sun=(3.0, 3.0, 3.0))
    ground = Thing("ground", "floor", (plane(Material("m", (0.5, 0.5, 0.5), roughness=1.0)),))
    post = Thing("post", "pole", (slab((-0.1, -5, 0), (0.1, 5, 2), Material("b", DARK, roughness=1.0)),))
    camera = Camera(
        look_at(torch.tensor([0.0, 0, 50]), torch.zeros(3), up=(0.0, 1.0, 0.0)), intrinsics(0.12, (2, 120)), (2, 120)
    )
    row = path_trace(Caster(world(sky, ground, post)), camera, spp=16)[0, 0]
    metres = (torch.arange(120) + 0.5 - 60) / 120 * 2 * 50 * math.tan(0.06)  # on the ground, to the right: +x
    lit = row > 0.25
    # From the foot of the post, at -0.1, the shadow of its far upper edge reaches to -0.1 - ... - 2 + 0.2.
    assert lit[metres > 0.3].all()
    assert lit[metres < -2.2].all()
    assert not lit[(metres > -1.8) & (metres < -0.2)].any()


@pytest.mark.parametrize("height", [0.3, 3.0])
def test_light_of_a_panel_has_its_view_factor(height: float):
    """A square panel parallel to the floor: E = L pi F, with F of a parallel rectangle seen from below its corner.

    F = 1 / (2 pi) (X / sqrt(1 + X^2) atan(Y / sqrt(1 + X^2)) + Y / sqrt(1 + Y^2) atan(X / sqrt(1 + Y^2))), four times.
    """
    L, side = 5.0, 1.0
    panel = Thing("panel", "lamp", (plane(Material("lamp", DARK, emission=(L, L, L)), height, side / 2, up=False),))
    ground = Thing("ground", "floor", (plane(Material("m", (0.6, 0.6, 0.6), roughness=1.0)),))
    X = side / 2 / height
    F = 4 / (2 * math.pi) * 2 * X / math.hypot(1, X) * math.atan(X / math.hypot(1, X))
    below = down(0.9 * height, fov=0.001)
    radiance = path_trace(Caster(world(NIGHT, panel, ground)), below, spp=256, max_bounces=1, denoise=False)
    assert radiance.mean().item() == pytest.approx(0.6 * L * F, rel=0.015)


def test_a_panel_shines_from_its_front_only():
    panel = Thing("panel", "lamp", (plane(Material("lamp", DARK, emission=(5.0, 5.0, 5.0)), 1.0, 0.5, up=True),))
    ground = Thing("ground", "floor", (plane(Material("m", (0.6, 0.6, 0.6), roughness=1.0)),))
    caster = Caster(world(NIGHT, panel, ground))
    assert path_trace(caster, down(0.9), spp=16, max_bounces=1).max() == 0
    assert path_trace(caster, down(3.0), spp=16, max_bounces=1).min() == 5


@pytest.mark.parametrize("metallic", [0.0, 1.0])
def test_a_mirror_shows_what_is_across(metallic: float):
    """A smooth floor seen at 45 degrees: the sky over there times Schlick's F; a metal has no diffuse light."""
    sky = replace(NIGHT, zenith=(2.0, 2.0, 2.0), horizon=(2.0, 2.0, 2.0))
    colour = (0.9, 0.6, 0.3)
    floor = Thing("floor", "floor", (plane(Material("m", colour, roughness=0.0, metallic=metallic)),))
    camera = Camera(look_at(torch.tensor([-2.0, 0, 2]), torch.zeros(3)), intrinsics(0.02, (6, 6)), (6, 6))
    radiance = path_trace(Caster(world(sky, floor)), camera, spp=256, denoise=False).mean((1, 2))
    straight = torch.tensor(colour) if metallic else torch.full((3,), 0.04)
    F = straight + (1 - straight) * (1 - math.sqrt(0.5)) ** 5
    torch.testing.assert_close(radiance, 2 * (F + (1 - metallic) * torch.tensor(colour)), rtol=0.02, atol=0)


def test_rough_metal_keeps_nearly_all_light_of_a_furnace():
    """One scattering of GGX loses a little light between its facets, the more the rougher, and never gains any."""
    ratios = []
    for roughness in (0.2, 0.5, 0.8):
        white = Material("m", (1.0, 1.0, 1.0), roughness=roughness, metallic=1.0)
        caster = Caster(world(WHITE, Thing("f", "floor", (plane(white),))))
        ratios.append(path_trace(caster, down(), spp=512, denoise=False).mean().item())
    assert 1.005 > ratios[0] > ratios[1] > ratios[2] > 0.5


def room(sun: float = 0.0) -> World:
    """A box with a window and a lamp, lit in every way there is."""
    wall = Material("wall", (0.7, 0.6, 0.5), roughness=1.0)
    shell = [
        slab((-2, -2, -0.1), (2, 2, 0), wall),
        slab((-2, -2, 2.5), (2, 2, 2.6), wall),
        slab((-2.1, -2, 0), (-2, 2, 2.5), wall),
        slab((-2, -2.1, 0), (2, -2, 2.5), wall),
        slab((-2, 2, 0), (2, 2.1, 2.5), wall),
        slab((2, -2, 0), (2.1, 2, 0.9), wall),
        slab((2, -2, 1.9), (2.1, 2, 2.5), wall),
    ]
    lamp = ellipsoid((0.1, 0.1, 0.1), (0.5, 0.5, 2.2), Material("lamp", (0.9, 0.9, 0.9), emission=(20.0, 16.0, 12.0)))
    gold = ellipsoid((0.3, 0.3, 0.3), (-0.8, 0.5, 0.3), Material("gold", (0.9, 0.7, 0.3), roughness=0.2, metallic=1.0))
    sky = Sky((0.8, 0.0, 0.6), (sun, sun, sun))
    return world(
        sky, Thing("shell", "wall", tuple(shell)), Thing("lamp", "lamp", (lamp,)), Thing("gold", "clutter", (gold,))
    )


def test_same_seed_same_bits_whatever_the_threads():
    view = PanoramaView(torch.tensor([-0.5, -0.5, 1.5]), 24)
    one = path_trace(Caster(room(3.0), 1), view, 16, seed=5)
    assert torch.equal(one, path_trace(Caster(room(3.0), 3), view, 16, seed=5))
    assert not torch.equal(one, path_trace(Caster(room(3.0), 1), view, 16, seed=6))


def test_guided_paths_and_unguided_ones_agree(monkeypatch: pytest.MonkeyPatch):
    view = PanoramaView(torch.tensor([-0.5, -0.5, 1.5]), 16)
    caster = Caster(room(3.0))
    guided = torch.stack([path_trace(caster, view, 64, seed, denoise=False, reuse=False) for seed in range(4)]).mean(0)
    monkeypatch.setattr("worldloom.synth.light.transport._ENCLOSED", 2.0)
    plain = torch.stack([path_trace(caster, view, 64, seed, denoise=False, reuse=False) for seed in range(4)]).mean(0)
    torch.testing.assert_close(guided.mean((1, 2)), plain.mean((1, 2)), rtol=0.02, atol=0)


def test_known_light_takes_noise_away_and_keeps_the_mean():
    view = PanoramaView(torch.tensor([-0.5, -0.5, 1.5]), 32)
    caster = Caster(room(30.0))

    def pictures(reuse: bool) -> torch.Tensor:
        return torch.stack([path_trace(caster, view, 16, seed, denoise=False, reuse=reuse) for seed in range(6)])

    known, followed = pictures(True), pictures(False)
    torch.testing.assert_close(known.mean(), followed.mean(), rtol=0.04, atol=0)
    assert known.log().var(0).median() < 0.5 * followed.log().var(0).median()


def test_pixels_that_see_an_edge_are_as_smooth_as_others():
    """Corners of a dim room: a mean over both walls belongs to neither, and would be smoothed with nothing."""
    view = PanoramaView(torch.tensor([-0.5, -0.5, 1.5]), 64)
    caster = Caster(room())
    truth, smooth = (path_trace(caster, view, spp, seed) for spp, seed in ((512, 9), (16, 1)))
    normal = render_truth(caster, view, paths=1).normal
    edge = torch.zeros(view.size, dtype=torch.bool)
    for axis in (1, 2):
        edge |= (normal - normal.roll(1, axis)).norm(dim=0) > 0.5
    error = (smooth / truth.clamp(min=1e-3)).mean(0).log2().abs()
    assert error[edge].mean() < 2 * error[~edge].mean()


def test_a_mirror_stays_sharp():
    """The image of a lamp's edge in a polished floor is not smoothed with what is beside it."""
    floor = Thing("floor", "floor", (plane(Material("m", (0.9, 0.9, 0.9), roughness=0.02, metallic=1.0)),))
    lamp = Thing("lamp", "lamp", (slab((1, -2, 0.5), (1.2, 2, 1.0), Material("l", DARK, emission=(1.0, 1.0, 1.0))),))
    camera = Camera(
        look_at(torch.tensor([-2.0, 0.0, 1.0]), torch.tensor([0.5, 0, 0])), intrinsics(0.6, (32, 32)), (32, 32)
    )
    caster = Caster(world(NIGHT, floor, lamp))
    plain, smooth = (path_trace(caster, camera, 16, denoise=denoise) for denoise in (False, True))
    assert plain.std() > 0.2, "the lamp and the dark around it are seen"
    assert (smooth - plain).abs().mean() < 0.02


def test_denoising_nears_the_truth_and_keeps_the_mean():
    view = PanoramaView(torch.tensor([-0.5, -0.5, 1.5]), 32)
    caster = Caster(room())
    truth = path_trace(caster, view, 256, seed=9, denoise=False)
    noisy, smooth = (path_trace(caster, view, 16, seed=1, denoise=d) for d in (False, True))
    bright = truth.clamp(max=2)

    def error(image: torch.Tensor) -> float:
        return (image.clamp(max=2) - bright).abs().mean().item()

    assert error(smooth) < 0.6 * error(noisy)
    torch.testing.assert_close(smooth.mean(), noisy.mean(), rtol=0.05, atol=0)


def test_worlds_without_light_or_things_and_bad_input():
    view = PanoramaView(torch.zeros(3), 4)
    assert path_trace(Caster(world(NIGHT)), view, 2).max() == 0
    torch.testing.assert_close(path_trace(Caster(world(WHITE)), view, 2), torch.ones(3, 4, 8))
    ground = Thing("ground", "floor", (plane(Material("m", (0.6, 0.6, 0.6))),))
    assert path_trace(Caster(world(NIGHT, ground)), view, 2).isfinite().all()
    for spp, max_bounces in ((0, 1), (1, 0)):
        with pytest.raises(InputError, match="at least 1"):
            path_trace(Caster(world(WHITE)), view, spp, max_bounces=max_bounces)
    cameras = Camera(compose(torch.eye(3), torch.zeros(3))[None], intrinsics(1.0, (4, 4))[None], (4, 4))
    with pytest.raises(InputError, match="single camera"):
        path_trace(Caster(world(WHITE)), cameras, 1)
