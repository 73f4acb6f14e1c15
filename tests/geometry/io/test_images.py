"""Images against Pillow and OpenEXR, round trips, and files that are not what they say."""

import io
import math
import os
import re
import struct
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from worldloom.errors import InputError
from worldloom.geometry import solid_angles
from worldloom.geometry.io import image_size, load_hdr, load_image, save_hdr, save_image, tonemap
from worldloom.geometry.io.images import linear_from_srgb, srgb_from_linear


def noise(height: int = 7, width: int = 13, seed: int = 0) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def png(width: int, height: int, depth: int, colour: int, rows: bytes = b"") -> bytes:
    """A PNG put together by hand; without rows, only its header is true."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# ---- display images


@pytest.mark.parametrize("suffix", [".png", ".webp", ".PNG"])
def test_lossless_round_trip(tmp_path: Path, suffix: str) -> None:
    rgb = (noise() * 255).round() / 255
    save_image(tmp_path / f"a{suffix}", rgb)
    assert torch.equal(load_image(tmp_path / f"a{suffix}"), rgb)
    assert image_size(tmp_path / f"a{suffix}") == (7, 13)


def test_values_are_rounded_and_clipped(tmp_path: Path) -> None:
    rgb = torch.tensor([-1.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 2.0, 0.5])[None, None].expand(3, 2, 6)
    save_image(tmp_path / "a.png", rgb)
    with Image.open(tmp_path / "a.png") as image:
        assert np.asarray(image)[0, :, 0].tolist() == [0, 0, 1, 255, 255, 128]


def test_jpeg_is_close_and_not_mirrored(tmp_path: Path) -> None:
    rgb = torch.nn.functional.interpolate(noise(3, 4)[None], (48, 64), mode="bilinear")[0]
    save_image(tmp_path / "a.jpg", rgb)
    assert (load_image(tmp_path / "a.jpg") - rgb).abs().max() < 0.04


def test_what_pillow_wrote(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 3), dtype=np.uint8)
    for suffix in ("png", "webp"):
        Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", lossless=True)
        ours = load_image(tmp_path / f"a.{suffix}")
        assert np.array_equal((ours * 255).round().byte().permute(1, 2, 0).numpy(), pixels)


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("L", 51, (0.2, 0.2, 0.2)),
        ("1", 1, (1.0, 1.0, 1.0)),
        ("P", 0, (0.0, 0.0, 0.0)),
        ("LA", (51, 255), (0.2, 0.2, 0.2)),
        ("RGBA", (255, 0, 51, 255), (1.0, 0.0, 0.2)),
        ("RGBA", (255, 0, 51, 0), (1.0, 1.0, 1.0)),
        ("RGBA", (255, 0, 51, 51), (1.0, 0.8, 0.84)),
        ("I;16", 13107, (0.2, 0.2, 0.2)),
    ],
)
def test_modes(tmp_path: Path, mode: str, value: int | tuple[int, ...], expected: tuple[float, ...]) -> None:
    Image.new(mode, (4, 3), value).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert image.shape == (3, 3, 4)
    assert image[:, 1, 2].tolist() == pytest.approx(expected, abs=1e-6)


def test_16_bit_grey_keeps_its_precision(tmp_path: Path) -> None:
    values = [0, 1, 257, 40000, 65535]
    path = write(tmp_path / "a.png", png(5, 1, 16, 0, b"\0" + struct.pack(">5H", *values)))
    assert load_image(path)[0, 0].tolist() == pytest.approx([v / 65535 for v in values], abs=1e-7)


def test_16_bit_colour(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", png(1, 1, 16, 2, b"\0" + struct.pack(">3H", 65535, 0, 257 * 51)))
    assert load_image(path)[:, 0, 0].tolist() == pytest.approx([1, 0, 0.2])


def test_cmyk_jpeg(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    assert load_image(tmp_path / "a.jpg")[:, 4, 4].tolist() == pytest.approx([1, 0, 0], abs=0.02)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    """By the standard's own table: which sides of the picture row 0 and column 0 of the file are."""
    row0, column0 = {
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("left", "top"),
        6: ("right", "top"),
        7: ("right", "bottom"),
        8: ("left", "bottom"),
    }[orientation]
    stored = torch.zeros(2, 3)
    stored[0, 0] = 1  # where row 0 and column 0 meet
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray((stored * 255).byte().numpy()).save(tmp_path / "a.png", exif=exif)
    shown = load_image(tmp_path / "a.png")[0]
    assert shown.shape == ((2, 3) if row0 in ("top", "bottom") else (3, 2))
    assert image_size(tmp_path / "a.png") == tuple(shown.shape)
    corner = {row0, column0}
    assert shown[0 if "top" in corner else -1, 0 if "left" in corner else -1] == 1
    assert shown.sum() == 1


def test_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", noise())
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert load_image(tmp_path / "a.jpg").shape == (3, 7, 13)


# ---- light


def as_half(linear: torch.Tensor) -> np.ndarray:
    return linear.permute(1, 2, 0).numpy().astype(np.float16)


def test_exr_round_trip_is_exact(tmp_path: Path) -> None:
    linear = 1000 * noise() - 1
    save_hdr(tmp_path / "a.exr", linear)
    assert torch.equal(load_hdr(tmp_path / "a.exr"), linear)


@pytest.mark.parametrize(
    "compression",
    [
        OpenEXR.NO_COMPRESSION,
        OpenEXR.RLE_COMPRESSION,
        OpenEXR.ZIPS_COMPRESSION,
        OpenEXR.ZIP_COMPRESSION,
        OpenEXR.PIZ_COMPRESSION,
    ],
)
def test_half_float_exr_of_openexr(tmp_path: Path, compression: object) -> None:
    half = as_half(noise(17, 5))
    channels = {name: np.ascontiguousarray(half[..., i]) for i, name in enumerate("RGB")}
    header = {"compression": compression, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {**channels, "A": channels["R"], "Z": channels["R"].astype(np.float32)}).write(
        str(tmp_path / "a.exr")
    )
    assert np.array_equal(load_hdr(tmp_path / "a.exr").permute(1, 2, 0).numpy(), half.astype(np.float32))


def test_reading_exr_in_many_threads_leaves_stderr_alone(tmp_path: Path) -> None:
    save_hdr(tmp_path / "a.exr", noise())
    before = os.fstat(2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(load_hdr, [tmp_path / "a.exr"] * 64))
    assert os.path.samestat(os.fstat(2), before)


def test_our_exr_in_openexr(tmp_path: Path) -> None:
    linear = noise()
    save_hdr(tmp_path / "a.exr", linear)
    with OpenEXR.File(str(tmp_path / "a.exr")) as file:
        assert np.array_equal(file.channels()["RGB"].pixels, linear.permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    ("names", "expected"),
    [("Y", (1, 1, 1)), ("view.R view.G view.B view.A", (1, 2, 3)), ("R G B left.R left.G left.B", (1, 2, 3))],
)
def test_exr_channel_names(tmp_path: Path, names: str, expected: tuple[int, ...]) -> None:
    channels = {name: np.full((2, 3), i, np.float32) for i, name in enumerate(names.split(), 1)}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(tmp_path / "a.exr"))
    assert load_hdr(tmp_path / "a.exr")[:, 0, 0].tolist() == list(expected)


@pytest.mark.parametrize("names", ["Z", "R G", "a.R a.G a.B b.R b.G b.B"])
def test_exr_without_one_colour_image(tmp_path: Path, names: str) -> None:
    channels = {name: np.zeros((2, 3), np.float32) for name in names.split()}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(tmp_path / "a.exr"))
    with pytest.raises(InputError, match="channels R, G, B or Y"):
        load_hdr(tmp_path / "a.exr")


def test_exr_cropped_to_a_window(tmp_path: Path) -> None:
    windows = {"dataWindow": ((1, 1), (3, 2)), "displayWindow": ((0, 0), (9, 9))}
    header = {"type": OpenEXR.scanlineimage, **{k: tuple(np.array(p, np.int32) for p in w) for k, w in windows.items()}}
    OpenEXR.File(header, {name: np.zeros((2, 3), np.float32) for name in "RGB"}).write(str(tmp_path / "a.exr"))
    with pytest.raises(InputError, match="window"):
        load_hdr(tmp_path / "a.exr")


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**32), st.sampled_from([1.0, 0.02]))
def test_radiance_round_trip(width: int, height: int, seed: int, density: float) -> None:
    """Half a step is at most 1/256 of the largest channel; over 30 decades, with long runs of 0."""
    import tempfile

    generator = torch.Generator().manual_seed(seed)
    linear = 10 ** (30 * torch.rand(3, height, width, generator=generator) - 15)
    linear *= torch.rand(height, width, generator=generator) < density
    with tempfile.TemporaryDirectory() as folder:
        save_hdr(Path(folder) / "a.hdr", linear)
        back = load_hdr(Path(folder) / "a.hdr")
    assert ((back - linear).abs() <= linear.amax(0) / 255).all()


def test_radiance_by_hand(tmp_path: Path) -> None:
    """(128, 64, 0) with exponent 129 is (1, 0.5, 0); EXPOSURE=2 halves it; a run, a literal, an old-style repeat."""
    head = b"#?RADIANCE\n# comment\nEXPOSURE=2\nFORMAT=32-bit_rle_rgbe\n\n"
    planes = (
        bytes((128 + 8, 128))
        + bytes((128 + 7, 64, 1, 64))
        + bytes((128 + 8, 0))
        + bytes((4, 129, 129, 129, 129, 128 + 4, 129))
    )
    new = load_hdr(write(tmp_path / "new.hdr", head + b"-Y 1 +X 8\n" + bytes((2, 2, 0, 8)) + planes))
    old = load_hdr(write(tmp_path / "old.hdr", head + b"-Y 2 +X 4\n" + bytes((128, 64, 0, 129, 1, 1, 1, 3)) * 2))
    flat = load_hdr(write(tmp_path / "flat.hdr", head + b"-Y 1 +X 3\n" + bytes((128, 64, 0, 129)) * 3))
    for image in (new, old, flat):
        colour = torch.tensor([0.5, 0.25, 0.0])[:, None, None]
        assert torch.equal(image, colour.expand_as(image))


def test_exr_survives_in_radiance(tmp_path: Path) -> None:
    linear = 5 * noise(20, 40)
    save_hdr(tmp_path / "a.hdr", linear)
    assert (load_hdr(tmp_path / "a.hdr") - linear).abs().max() < 5 / 255


# ---- tone mapping


def test_median_becomes_middle_grey() -> None:
    """0.18 through Reinhard with white at 1 stays (0.18 + 0.0324) / 1.18 = 0.18, then the sRGB curve."""
    grey = tonemap(torch.full((3, 4, 4), 7.3))
    assert grey.mean().item() == pytest.approx(1.055 * 0.18 ** (1 / 2.4) - 0.055, abs=1e-4)


@pytest.mark.parametrize(("channel", "weight"), [(0, 0.2126), (1, 0.7152), (2, 0.0722)])
def test_luminance_is_rec_709(channel: int, weight: float) -> None:
    """One primary alone, at middle grey: its channel is 0.18 / weight, clipped at 1."""
    linear = torch.zeros(3, 2, 2)
    linear[channel] = 3.0
    expected = srgb_from_linear(torch.tensor(min(0.18 / weight, 1.0)))
    assert tonemap(linear)[channel].mean().item() == pytest.approx(expected.item(), abs=1e-4)


def test_tonemap_by_hand() -> None:
    """Luminances 1 and 100 in equal halves: exposure 0.18, white 18, so the bright half reaches exactly 1."""
    linear = torch.ones(3, 2, 4)
    linear[:, 1] = 100
    display = tonemap(linear)
    dark = 0.18 * (1 + 0.18 / 18**2) / 1.18
    assert torch.allclose(display[:, 0], srgb_from_linear(torch.tensor(dark)))
    assert torch.allclose(display[:, 1], torch.ones(3, 4), atol=1e-4)


@given(st.floats(1e-3, 1e3))
def test_tonemap_does_not_depend_on_exposure(scale: float) -> None:
    linear = noise() ** 3
    assert torch.allclose(tonemap(linear * scale), tonemap(linear), atol=1e-4)


def test_tonemap_of_darkness_and_of_a_lamp() -> None:
    assert not tonemap(-noise()).any()
    lamp = torch.zeros(3, 5, 5)
    lamp[:, 2, 2] = 4.0
    assert tonemap(lamp)[0, 2, 2] > 0.4
    assert tonemap(lamp).sum() == tonemap(lamp)[:, 2, 2].sum()


def test_srgb_curve() -> None:
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert torch.allclose(linear_from_srgb(srgb_from_linear(grid)), grid, atol=1e-7)
    assert srgb_from_linear(torch.tensor(0.5)).item() == pytest.approx(0.7353569, abs=1e-6)


def test_not_finite_light(tmp_path: Path) -> None:
    linear = noise()
    linear[0, 0, :3] = torch.tensor([math.nan, math.inf, -math.inf])
    with pytest.raises(InputError, match=r"got 3 NaN"):
        tonemap(linear)
    channels = {name: np.ascontiguousarray(linear[i].numpy()) for i, name in enumerate("RGB")}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(tmp_path / "a.exr"))
    for load in (load_hdr, load_image):
        with pytest.raises(InputError, match=r"a\.exr.*got 3 NaN"):
            load(tmp_path / "a.exr")
    with pytest.raises(InputError, match=r"3 NaN"):
        save_hdr(tmp_path / "b.exr", linear)
    with pytest.raises(InputError, match=r"3 NaN"):
        save_image(tmp_path / "b.png", linear)
    assert not (tmp_path / "b.png").exists()


# ---- files from outside


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    pixels = Image.fromarray((noise(40, 60) * 255).byte().permute(1, 2, 0).contiguous().numpy())
    pixels.save(buffer, kind)
    return buffer.getvalue()


def radiance(size: bytes = b"-Y 4 +X 16", body: bytes = b"") -> bytes:
    return b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n" + size + b"\n" + body


HOSTILE = {
    "empty.png": b"",
    "text.jpg": b"This is not an image.\n" * 20,
    "gif.png": b"GIF89a" + bytes(40),
    "truncated.png": encoded("PNG")[:500],
    "truncated.jpg": encoded("JPEG")[:500],
    "truncated.webp": encoded("WEBP")[:200],
    "header.png": encoded("PNG")[:20],
    "header.jpg": encoded("JPEG")[:3],
    "header.webp": encoded("WEBP")[:12],
    "no_rows.png": png(100, 100, 8, 2),
    "zero.png": png(0, 0, 8, 2),
    "damaged.png": encoded("PNG")[:60] + bytes(40) + encoded("PNG")[100:],
    "bomb.png": png(50_000, 50_000, 8, 2),
    "bomb.hdr": radiance(b"-Y 999999 +X 999999"),
    "no_rows.hdr": radiance(),
    "zero.hdr": radiance(b"-Y 0 +X 16"),
    "turned.hdr": radiance(b"+X 16 -Y 4"),
    "overrun.hdr": radiance(body=bytes((2, 2, 0, 16)) + bytes((255, 7)) * 40),
    "run_of_none.hdr": radiance(body=bytes((2, 2, 0, 16)) + bytes(4000)),
    "endless_repeat.hdr": radiance(body=bytes((9, 9, 9, 129)) + bytes((1, 1, 1, 255)) * 40),
    "xyz.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_xyze\n\n-Y 4 +X 16\n" + bytes(256),
    "exposure.hdr": b"#?RADIANCE\nEXPOSURE=nan\n\n-Y 4 +X 16\n" + bytes(256),
    "header.exr": b"\x76\x2f\x31\x01" + bytes(60),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, HOSTILE[name])
    with pytest.raises(InputError, match=re.escape(name)) as error:
        load_image(path)
    assert "expected" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cut", [8, 100, 340, 1000, 2000, -20])
def test_truncated_exr(tmp_path: Path, cut: int) -> None:
    save_hdr(tmp_path / "a.exr", noise(40, 60))
    data = (tmp_path / "a.exr").read_bytes()
    with pytest.raises(InputError, match="OpenEXR"):
        load_image(write(tmp_path / "b.exr", data[:cut]))


def test_exr_bomb(tmp_path: Path) -> None:
    save_hdr(tmp_path / "a.exr", noise(4, 6))
    window = struct.pack("<4i", 0, 0, 5, 3)
    data = (tmp_path / "a.exr").read_bytes().replace(window, struct.pack("<4i", 0, 0, 99_999, 99_999))
    with pytest.raises(InputError, match="expected"):
        load_image(write(tmp_path / "b.exr", data))


def test_deep_exr(tmp_path: Path) -> None:
    save_hdr(tmp_path / "a.exr", noise(4, 6))
    data = (tmp_path / "a.exr").read_bytes()
    flat, deep = b"type\0string\0\x0d\0\0\0scanlineimage", b"type\0string\0\x0c\0\0\0deepscanline"
    assert flat in data
    with pytest.raises(InputError, match="expected"):
        load_image(write(tmp_path / "b.exr", data[:4] + struct.pack("<I", 2 | 0x800) + data[8:].replace(flat, deep)))


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.png: .* there is none"):
        load_image(tmp_path / "nothing.png")
    with pytest.raises(InputError, match="got a folder"):
        load_image(tmp_path)
    save_image(tmp_path / "a.png", noise())
    with pytest.raises(InputError, match="got PNG"):
        load_hdr(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.exr", "a.hdr"])
def test_size_limit(tmp_path: Path, name: str) -> None:
    (save_hdr if name[2:] in ("exr", "hdr") else save_image)(tmp_path / name, noise(10, 20))
    assert load_image(tmp_path / name, max_pixels=200).shape == (3, 10, 20)
    with pytest.raises(InputError, match="199 pixels, got 20x10"):
        load_image(tmp_path / name, max_pixels=199)


def test_the_size_of_a_giant_is_not_told_by_decoding_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PNG's EXIF may follow its pixels, so Pillow decodes them to find out."""
    save_image(tmp_path / "a.png", noise(10, 20))
    assert image_size(tmp_path / "a.png", max_pixels=200) == (10, 20)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda _: pytest.fail("decoded"))
    with pytest.raises(InputError, match="199 pixels, got 20x10"):
        image_size(tmp_path / "a.png", max_pixels=199)


def test_pillows_own_limit_neither_stops_nor_warns(tmp_path: Path) -> None:
    """19000 x 10000: more than Image.open allows, less than ours; only the header is read here."""
    with pytest.raises(InputError, match="damaged"):
        load_image(write(tmp_path / "a.png", png(19_000, 10_000, 1, 0)))


@pytest.mark.parametrize(("name", "save"), [("a.gif", save_image), ("a", save_image), ("a.png", save_hdr)])
def test_unknown_suffix(tmp_path: Path, name: str, save: object) -> None:
    with pytest.raises(InputError, match="ending in"):
        save(tmp_path / name, noise())  # type: ignore[operator]


def test_import_is_cheap() -> None:
    import subprocess

    code = "import sys, worldloom.geometry.io as m; print([x for x in ('PIL', 'OpenEXR', 'av') if x in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- real panoramas


@pytest.mark.parametrize("name", ["city", "courtyard", "interior", "sunset"])
def test_real_exr_shows_as_its_png(test_data: Path, name: str) -> None:
    """The PNGs were tone-mapped by another program with the same formulas, weighted by solid angle."""
    folder = test_data / "panoramas" / "blender"
    linear, shown = load_hdr(folder / f"{name}.exr"), load_image(folder / f"{name}.png")
    assert linear.shape == shown.shape == (3, 512, 1024)
    assert (tonemap(linear, solid_angles(512)) - shown).abs().max() < 2.5 / 255
    assert (load_image(folder / f"{name}.exr") - shown).abs().mean() < 0.2


@pytest.mark.parametrize("name", ["apartment", "lobby", "workshop", "park"])
def test_real_png(test_data: Path, name: str) -> None:
    image = load_image(test_data / "panoramas" / "pmndrs" / f"{name}.png")
    assert image.shape == (3, 256, 512)
    assert 0.05 < image.mean() < 0.95
    assert image.std() > 0.05
