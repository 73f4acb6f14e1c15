"""Skies: daylight by its sources' figures, clouds that keep their cover, suns found in panoramas."""

import math
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry import direction_from_pixel, directions, pixel_from_direction, solid_angles
from worldloom.geometry.io.images import save_hdr
from worldloom.synth.light.lights import sky_table
from worldloom.synth.light.octahedron import cell_directions, direction_from_square, square_from_direction
from worldloom.synth.skies.clouds import Clouds
from worldloom.synth.skies.daylight import KILO, Daylight
from worldloom.synth.skies.sky import Sky, clear_sky, overcast_sky, random_sky, sky_from_file
from worldloom.synth.skies.sky_panorama import SkyPanorama, sky_panorama_from_image

UP = torch.tensor([[0.0, 0.0, 1.0]])


def luminance(rgb: torch.Tensor) -> torch.Tensor:
    return rgb @ torch.tensor([0.2126, 0.7152, 0.0722])


def irradiance(sky: Sky, height: int = 64) -> torch.Tensor:
    """Of level ground, without the sun."""
    d = directions(height)
    weight = (d[..., 2].clamp(min=0) * solid_angles(height)).flatten()
    return (sky.radiance(d.flatten(0, 1)) * weight[:, None]).sum(0)


@pytest.mark.parametrize("turbidity", [2.0, 3.0, 6.0])
@pytest.mark.parametrize("elevation", [15.0, 45.0, 70.0])
def test_zenith_luminance_of_the_paper(turbidity: float, elevation: float):
    """Y_z = (4.0453 T - 4.9710) tan chi - 0.2155 T + 2.4192 kcd/m^2 (Preetham et al. 1999)."""
    e = math.radians(elevation)
    chi = (4 / 9 - turbidity / 120) * (math.pi - 2 * (math.pi / 2 - e))
    expected = (4.0453 * turbidity - 4.9710) * math.tan(chi) - 0.2155 * turbidity + 2.4192
    up = Daylight((math.cos(e), 0.0, math.sin(e)), turbidity).radiance(UP)
    assert luminance(up).item() * KILO == pytest.approx(max(expected, 0.05), rel=0.02)


def test_daylight_is_blue_bright_about_the_sun_and_reddens_as_it_sinks():
    sky = clear_sky(math.radians(50), 0.6)
    red, _, blue = sky.radiance(UP)[0].tolist()
    assert blue > 1.5 * red
    toward = torch.tensor([sky.towards_sun])
    assert luminance(sky.radiance(toward)) > 2 * luminance(sky.radiance(toward * torch.tensor([-1.0, -1.0, 1.0])))
    suns = [torch.tensor(clear_sky(math.radians(e), 0.0).sun) for e in (5, 20, 60)]
    ratio = [(s[0] / s[2]).item() for s in suns]
    assert ratio[0] > ratio[1] > ratio[2] > 1
    assert suns[0].sum() < suns[1].sum() < suns[2].sum()
    # Some 100 klx from a high sun, and a tenth to a third as much from the sky.
    assert 80 < luminance(suns[2]).item() * KILO < 115
    assert 0.08 < (luminance(irradiance(sky)) / luminance(suns[2])).item() < 0.4
    assert luminance(irradiance(clear_sky(0.9, 0.0, 6.0))) > luminance(irradiance(clear_sky(0.9, 0.0, 2.0)))


def test_overcast_sky_is_three_times_as_bright_above():
    sky = replace(overcast_sky(0.6), clouds=None)
    level = torch.tensor([[1.0, 0.0, 0.0]])
    assert (luminance(sky.radiance(level)) / luminance(sky.radiance(UP))).item() == pytest.approx(0.38, abs=0.02)
    assert max(sky.sun) == 0


def test_clouds_cover_what_they_say_and_turn_with_the_sky():
    d = directions(64).flatten(0, 1)
    high = d[d[:, 2] > 0.25]
    shares = [(Clouds(cover, 3).thickness(high) > 0.5).float().mean().item() for cover in (0.0, 0.3, 0.6, 0.9)]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert abs(shares[1] - 0.3) < 0.15
    assert abs(shares[2] - 0.6) < 0.15
    sky = clear_sky(0.8, 0.2, 3.0, Clouds(0.5, 8))
    c, s = math.cos(0.7), math.sin(0.7)
    turn = torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(sky.turned(0.7).radiance(high @ turn.T), sky.radiance(high), atol=2e-3, rtol=1e-3)


def test_a_cloud_before_the_sun_takes_its_light():
    for seed in range(20):
        sky = clear_sky(0.9, 0.0, 3.0, Clouds(0.5, seed))
        hidden = Clouds(0.5, seed).thickness(torch.tensor([sky.towards_sun])).item()
        assert sky.sun[0] == pytest.approx(clear_sky(0.9, 0.0).sun[0] * (1 - hidden) ** 2, rel=1e-5)


def test_random_skies_are_light_and_repeat():
    d = directions(16).flatten(0, 1)
    for seed in range(25):
        sky, again = random_sky(Random(seed)), random_sky(Random(seed))
        radiance = sky.radiance(d)
        assert torch.equal(radiance, again.radiance(d))
        assert sky == again
        assert radiance.isfinite().all()
        assert radiance.min() >= 0
        assert 0.2 < luminance(irradiance(sky, 16)) + sky.towards_sun[2] * luminance(torch.tensor(sky.sun)) < 8
        assert math.isclose(sum(x * x for x in sky.towards_sun), 1, rel_tol=1e-6)
    assert random_sky(Random(0)) != random_sky(Random(1))


def panorama_with_sun(height: int, towards: torch.Tensor, sun: float, sky: float = 0.5) -> torch.Tensor:
    """An even sky and a sun of a given irradiance that fills one pixel."""
    rgb = torch.full((3, height, 2 * height), sky)
    u, v = pixel_from_direction(towards, height)
    i, j = int(v), int(u)
    rgb[:, i, j] += torch.tensor([1.0, 0.9, 0.8]) * sun / solid_angles(height)[i, j]
    return rgb


def test_the_sun_of_a_panorama_is_found_and_taken_out():
    towards = direction_from_pixel(torch.tensor(30.5), torch.tensor(14.5), 64)
    found = sky_panorama_from_image(panorama_with_sun(64, towards, 3.0))
    assert torch.dot(torch.tensor(found.towards_sun), towards) > math.cos(1e-3)
    torch.testing.assert_close(torch.tensor(found.sun), torch.tensor([3.0, 2.7, 2.4]), rtol=1e-3, atol=0)
    torch.testing.assert_close(found.rgb, torch.full_like(found.rgb, 0.5))
    even = sky_panorama_from_image(torch.full((3, 32, 64), 0.7))
    assert max(even.sun) == 0
    assert torch.equal(even.rgb, torch.full((3, 32, 64), 0.7))


@pytest.mark.parametrize("name", ["sky.hdr", "sky.exr"])
def test_a_sky_from_a_file_and_its_turn(tmp_path: Path, name: str):
    towards = direction_from_pixel(torch.tensor(30.5), torch.tensor(14.5), 64)
    save_hdr(tmp_path / name, 100 * panorama_with_sun(64, towards, 3.0))
    sky = sky_from_file(tmp_path / name, irradiance=3.5)
    level = luminance(irradiance(sky)) + luminance(torch.tensor(sky.sun)) * sky.towards_sun[2]
    assert level.item() == pytest.approx(3.5, rel=0.01)
    turned = sky_from_file(tmp_path / name, yaw=math.pi / 2)
    x, y, z = sky.towards_sun
    torch.testing.assert_close(torch.tensor(turned.towards_sun), torch.tensor([-y, x, z]), atol=1e-6, rtol=0)
    raw = sky_from_file(tmp_path / name, irradiance=None)
    torch.testing.assert_close(raw.radiance(UP), torch.full((1, 3), 50.0), rtol=0.01, atol=0)


def test_a_turned_panorama_shows_its_light_to_the_left_of_where_it_was():
    rgb = torch.full((3, 32, 64), 0.1)
    rgb[:, 6:12, 20:26] = 0.8
    sky = Sky((0.0, 0.0, 1.0), panorama=SkyPanorama(rgb, (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)))
    towards = direction_from_pixel(torch.tensor([23.0, 50.0]), torch.tensor([9.0, 9.0]), 32)
    quarter = torch.stack([-towards[:, 1], towards[:, 0], towards[:, 2]], -1)
    there = sky.radiance(towards)
    assert there[0, 0] > 4 * there[1, 0]
    torch.testing.assert_close(sky.turned(math.pi / 2).radiance(quarter), there, atol=1e-4, rtol=0)


def test_files_that_are_no_skies(tmp_path: Path):
    save_hdr(tmp_path / "square.hdr", torch.ones(3, 16, 16))
    with pytest.raises(InputError, match="1:2"):
        sky_from_file(tmp_path / "square.hdr")
    save_hdr(tmp_path / "black.hdr", torch.zeros(3, 16, 32))
    with pytest.raises(InputError, match="black"):
        sky_from_file(tmp_path / "black.hdr")
    with pytest.raises((InputError, FileNotFoundError)):
        sky_from_file(tmp_path / "missing.hdr")


def test_real_panoramas_have_their_suns_above(test_data: Path):
    for name, sunny in (("city", True), ("courtyard", False)):
        sky = sky_from_file(test_data / "panoramas" / "blender" / f"{name}.exr")
        assert sky.towards_sun[2] > 0
        assert (max(sky.sun) > 0) == sunny
        assert sky.radiance(directions(16).flatten(0, 1)).isfinite().all()


def test_octahedron_is_one_to_one_and_keeps_solid_angle():
    d, angles = cell_directions(64)
    assert angles.sum() == pytest.approx(4 * math.pi, rel=1e-3)
    back, _ = direction_from_square(square_from_direction(d))
    torch.testing.assert_close(torch.from_numpy(back), torch.from_numpy(d), atol=1e-5, rtol=0)
    # A cosine lobe about any axis integrates to pi.
    axis = torch.nn.functional.normalize(torch.tensor([0.3, -0.5, -0.8]), dim=0)
    lobe = ((axis @ torch.from_numpy(d)).clamp(min=0) * torch.from_numpy(angles)).sum()
    assert lobe.item() == pytest.approx(math.pi, rel=2e-3)


def test_the_table_of_a_sky_draws_by_its_light():
    """Samples over their density integrate the sky's radiance, and the density integrates to 1."""
    rgb = torch.full((3, 32, 64), 0.2)
    rgb[:, 5:9, 10:20] = 30.0
    panorama = sky_panorama_from_image(torch.full((3, 32, 64), 0.2))
    sky = Sky(panorama.towards_sun, panorama.sun, panorama=replace(panorama, rgb=rgb))
    table = sky_table(sky)
    u = torch.rand(3, 40000, generator=torch.Generator().manual_seed(0)).numpy()
    drawn = table.sample(u)
    total = (table.look(drawn)[0] / table.density(drawn)).mean()
    d, angles = cell_directions(128)
    exact = (sky.radiance(torch.from_numpy(d.T.copy()))[:, 0] * torch.from_numpy(angles)).sum().item()
    assert total == pytest.approx(exact, rel=0.02)
    assert (table.density(d) * angles).sum() == pytest.approx(1, rel=0.01)
