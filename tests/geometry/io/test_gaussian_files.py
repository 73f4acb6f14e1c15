"""Splat files: exact bytes by hand, round trips, other people's readers, hostile files."""

import gzip
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.errors import InputError
from worldloom.geometry import Gaussians, transform_gaussians
from worldloom.geometry.gaussians import SH_C0
from worldloom.geometry.harmonics import sh_basis
from worldloom.geometry.io import load_gaussians, save_gaussians
from worldloom.geometry.io.yup import yup_from_world


def made_up(n: int = 200, degree: int = 3, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        means=10 * normal(n, 3),
        quats=torch.nn.functional.normalize(normal(n, 4), dim=1),
        scales=(normal(n, 3) - 3).exp(),
        opacities=torch.rand(n, generator=generator),
        sh=0.3 * normal(n, (degree + 1) ** 2, 3),
    )


def same_rotation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angle between rotations, radians."""
    return 2 * torch.atan2((a - b * (a * b).sum(1, keepdim=True).sign()).norm(dim=1) / 2, torch.tensor(1.0))


def with_value(gaussians: Gaussians, name: str, value: float) -> Gaussians:
    getattr(gaussians, name).flatten()[5] = value
    return gaussians


# PLY


@given(st.integers(0, 40), st.integers(0, 3), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_ply_round_trip(tmp_path_factory: pytest.TempPathFactory, n: int, degree: int, seed: int):
    path = tmp_path_factory.mktemp("ply") / "x.ply"
    gaussians = made_up(n, degree, seed)
    save_gaussians(path, gaussians)
    back = load_gaussians(path)
    assert torch.equal(back.means, gaussians.means)
    assert torch.equal(back.sh, gaussians.sh)
    torch.testing.assert_close(back.quats, gaussians.quats)
    torch.testing.assert_close(back.scales, gaussians.scales)
    torch.testing.assert_close(back.opacities, gaussians.opacities, atol=1e-6, rtol=1e-6)


def test_ply_layout_by_hand(tmp_path: Path):
    sh = torch.zeros(1, 16, 3)
    sh[0, 0] = torch.tensor([0.1, 0.2, 0.3])
    sh[0, 2, 1] = 7.0  # coefficient 2, green
    gaussians = Gaussians(
        torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.5, 0.5, -0.5, 0.5]]), torch.tensor([[1.0, 2.0, 4.0]]),
        torch.tensor([0.75]), sh,
    )  # fmt: skip
    save_gaussians(tmp_path / "x.ply", gaussians)
    head, data = (tmp_path / "x.ply").read_bytes().split(b"end_header\n")
    names = [line.split()[2] for line in head.decode().splitlines() if line.startswith("property")]
    assert len(data) == 248
    row = dict(zip(names, struct.unpack("<62f", data), strict=True))
    expected = {"x": 1, "y": 2, "z": 3, "nx": 0, "f_dc_0": 0.1, "f_dc_2": 0.3, "opacity": np.log(3)}
    expected |= {"scale_0": 0, "scale_1": np.log(2), "scale_2": np.log(4), "rot_0": 0.5, "rot_2": -0.5}
    expected |= {"f_rest_16": 7.0}  # 15 of red, then the second of green
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-6)
    assert sum(row[f"f_rest_{i}"] != 0 for i in range(45)) == 1


def test_degree_0_has_68_bytes_each(tmp_path: Path):
    save_gaussians(tmp_path / "x.ply", made_up(10, 0))
    assert len((tmp_path / "x.ply").read_bytes().split(b"end_header\n")[1]) == 680


def test_ply_extremes_stay_finite(tmp_path: Path):
    gaussians = made_up(3, 0)
    gaussians.opacities[:] = torch.tensor([0.0, 1.0, 0.5])
    save_gaussians(tmp_path / "x.ply", gaussians)
    assert np.isfinite(np.frombuffer((tmp_path / "x.ply").read_bytes().split(b"end_header\n")[1], "<f4")).all()
    torch.testing.assert_close(load_gaussians(tmp_path / "x.ply").opacities, gaussians.opacities, atol=1e-7, rtol=0)


def test_plyfile_agrees_both_ways(tmp_path: Path):
    plyfile = pytest.importorskip("plyfile", reason="the cross-check needs plyfile")
    gaussians = made_up()
    save_gaussians(tmp_path / "x.ply", gaussians)
    vertex = plyfile.PlyData.read(tmp_path / "x.ply")["vertex"].data
    np.testing.assert_array_equal(np.stack([vertex[c] for c in "xyz"], 1), gaussians.means.numpy())
    np.testing.assert_allclose(vertex["scale_1"], gaussians.scales[:, 1].log(), rtol=1e-6)
    np.testing.assert_array_equal(vertex["f_rest_44"], gaussians.sh[:, 15, 2].numpy())
    # The same in another order, in double, with a stranger among the properties, and faces after the vertices.
    order = np.random.default_rng(0).permutation(len(vertex.dtype.names))
    names = [vertex.dtype.names[i] for i in order]
    other = np.zeros(
        len(vertex), [*((name, "f8") for name in names[:31]), ("red", "u1"), *((n, "f4") for n in names[31:])]
    )
    for name in names:
        other[name] = vertex[name]
    for byte_order in "<>":
        faces = np.zeros(2, [("quality", "i4")])
        elements = [plyfile.PlyElement.describe(other, "vertex"), plyfile.PlyElement.describe(faces, "face")]
        plyfile.PlyData(elements, byte_order=byte_order).write(tmp_path / "y.ply")
        back = load_gaussians(tmp_path / "y.ply")
        assert torch.equal(back.means, gaussians.means)
        assert torch.equal(back.sh, gaussians.sh)
        torch.testing.assert_close(back.quats, gaussians.quats)


@pytest.mark.parametrize("degree", range(4))
def test_gsply_agrees_on_ply(tmp_path: Path, degree: int):
    gsply = pytest.importorskip("gsply", reason="the cross-check needs gsply")
    gaussians = made_up(degree=degree)
    save_gaussians(tmp_path / "x.ply", gaussians)
    data = gsply.plyread(tmp_path / "x.ply")
    np.testing.assert_array_equal(data.means, gaussians.means.numpy())
    np.testing.assert_array_equal(data.sh0, gaussians.sh[:, 0].numpy())
    np.testing.assert_array_equal(data.shN.reshape(len(gaussians), -1, 3), gaussians.sh[:, 1:].numpy())
    np.testing.assert_allclose(data.opacities, gaussians.opacities.logit(), rtol=1e-4, atol=1e-6)
    gsply.plywrite(tmp_path / "y.ply", data)
    back = load_gaussians(tmp_path / "y.ply")
    assert torch.equal(back.sh, gaussians.sh)
    torch.testing.assert_close(back.scales, gaussians.scales)


def ply_bytes(header: str, data: bytes = b"") -> bytes:
    return ("ply\nformat binary_little_endian 1.0\n" + header + "end_header\n").encode() + data


def core_properties() -> str:
    names = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", *(f"scale_{i}" for i in range(3))]
    return "".join(f"property float {n}\n" for n in [*names, *(f"rot_{i}" for i in range(4))])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a PLY file"),
        (b"ply\n" + b"comment x\n" * 10000, "header of at most"),
        (b"ply\nformat ascii 1.0\nelement vertex 0\nend_header\n", "binary PLY, got format 'ascii'"),
        (ply_bytes("element face 3\nproperty list uchar int vertex_indices\n"), "splats, got a mesh"),
        (ply_bytes("element vertex 1\nproperty float x\n", bytes(4)), "without the properties y, z, f_dc_0"),
        (ply_bytes("element vertex 1\nproperty float x\nproperty float x\n", bytes(8)), "different properties"),
        (ply_bytes("element vertex 1\nproperty quad x\n"), "got the line 'property quad x'"),
        (ply_bytes("element vertex -1\nproperty float x\n"), "got the line 'element vertex -1'"),
        (ply_bytes("element vertex 1\nproperty uint packed_position\n", bytes(4)), "compressed PLY"),
        (
            ply_bytes(f"element vertex 99999999999999\n{core_properties()}", bytes(560)),
            "99999999999999 Gaussians of 56",
        ),
        (ply_bytes(f"element vertex 11\n{core_properties()}", bytes(560)), "got 560 bytes of data"),
        (ply_bytes(f"element vertex 0\n{core_properties()}property float f_rest_0\n"), "0, 9, 24 or 45 .* got 1"),
        (ply_bytes(f"element huge 9999999999\nproperty int a\nelement vertex 1\n{core_properties()}"), "bytes of data"),
        (ply_bytes(""), "an element 'vertex'"),
    ],
)
def test_hostile_ply(tmp_path: Path, data: bytes, message: str):
    (tmp_path / "x.ply").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        load_gaussians(tmp_path / "x.ply")
    assert "\n" not in str(caught.value)


def test_bad_values_are_counted_or_dropped(tmp_path: Path):
    names = core_properties().split("\n")[:-1]
    rows = np.ones((6, len(names)), "<f4")
    rows[1, 0] = np.nan
    rows[2, 0] = np.inf
    rows[3, 8] = 500  # a scale of e^500
    rows[4, -4:] = 0
    rows[:, 1] = np.arange(6)
    (tmp_path / "x.ply").write_bytes(ply_bytes(f"element vertex 6\n{core_properties()}", rows.tobytes()))
    with pytest.raises(InputError, match=r"got 2 with NaN or infinity in means, 1 with scales .* 1 with quaternions"):
        load_gaussians(tmp_path / "x.ply")
    kept = load_gaussians(tmp_path / "x.ply", drop_invalid=True)
    assert kept.means[:, 1].tolist() == [0, 5]


@pytest.mark.parametrize("suffix", ["ply", "splat", "spz"])
@pytest.mark.parametrize(
    ("name", "value"), [("means", np.nan), ("scales", 0.0), ("opacities", 1.5), ("sh", np.inf), ("quats", np.nan)]
)
def test_bad_values_are_never_written(tmp_path: Path, suffix: str, name: str, value: float):
    with pytest.raises(InputError, match="got 1 with"):
        save_gaussians(tmp_path / f"x.{suffix}", with_value(made_up(10), name, value))
    assert not list(tmp_path.iterdir())


# .splat


def test_dot_splat_by_hand(tmp_path: Path):
    rgb = torch.tensor([[1.0, 0.2, 0.0]])
    quats = torch.tensor([[0.5, -0.5, 0.5, 0.5]])
    sh = ((rgb - 0.5) / SH_C0)[:, None]
    gaussians = Gaussians(torch.tensor([[1.0, 2, 3]]), quats, torch.tensor([[0.1, 0.2, 0.4]]), torch.tensor([0.6]), sh)
    save_gaussians(tmp_path / "x.splat", gaussians)
    data = (tmp_path / "x.splat").read_bytes()
    assert len(data) == 32
    values = struct.unpack("<6f8B", data)
    assert values[:6] == pytest.approx((1, 2, 3, 0.1, 0.2, 0.4))
    assert values[6:] == (255, 51, 0, 153, 192, 64, 192, 192)


def test_dot_splat_round_trip(tmp_path: Path):
    gaussians = made_up()
    save_gaussians(tmp_path / "x.splat", gaussians)
    back = load_gaussians(tmp_path / "x.splat")
    assert torch.equal(back.means, gaussians.means)
    assert torch.equal(back.scales, gaussians.scales)
    assert same_rotation(back.quats, gaussians.quats).max() < 0.02
    torch.testing.assert_close(back.opacities, gaussians.opacities, atol=0.5 / 255 + 1e-6, rtol=0)
    colour = (0.5 + SH_C0 * gaussians.sh[:, 0]).clamp(0, 1)
    torch.testing.assert_close(0.5 + SH_C0 * back.sh[:, 0], colour, atol=0.5 / 255 + 1e-6, rtol=0)


def test_hostile_dot_splat(tmp_path: Path):
    (tmp_path / "x.splat").write_bytes(bytes(33))
    with pytest.raises(InputError, match="rows of 32 bytes, got 33"):
        load_gaussians(tmp_path / "x.splat")
    (tmp_path / "x.splat").write_bytes(bytes(28) + b"\x80" * 4)
    with pytest.raises(InputError, match=r"1 with scales .*, 1 with quaternions"):
        load_gaussians(tmp_path / "x.splat")


# SPZ


@given(st.integers(0, 40), st.integers(0, 3), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_spz_round_trip(tmp_path_factory: pytest.TempPathFactory, n: int, degree: int, seed: int):
    path = tmp_path_factory.mktemp("spz") / "x.spz"
    gaussians = made_up(n, degree, seed)
    save_gaussians(path, gaussians)
    back = load_gaussians(path)
    torch.testing.assert_close(back.means, gaussians.means, atol=0.5 / 4096 + 1e-6, rtol=0)
    assert (same_rotation(back.quats, gaussians.quats) < 0.006).all()
    torch.testing.assert_close(back.scales.log(), gaussians.scales.log(), atol=0.5 / 16 + 1e-5, rtol=0)
    torch.testing.assert_close(back.opacities, gaussians.opacities, atol=0.5 / 255 + 1e-6, rtol=0)
    torch.testing.assert_close(back.sh[:, 0], gaussians.sh[:, 0], atol=0.5 / 255 / 0.15 + 1e-5, rtol=0)
    # Rounding happens in the file's axes; a turn keeps lengths within a degree.
    for band in range(1, degree + 1):
        rows = slice(band**2, (band + 1) ** 2)
        step = 8 if band == 1 else 16
        off = (back.sh[:, rows] - gaussians.sh[:, rows]).flatten(1).norm(dim=1)
        clipped = gaussians.sh[:, rows].abs().flatten(1).amax(1) > 0.6
        assert (off[~clipped] <= (step / 2 + 0.5) / 128 * np.sqrt(3 * (2 * band + 1)) + 1e-4).all()


def spz_parts(path: Path) -> tuple[tuple, bytes]:
    data = gzip.decompress(path.read_bytes())
    return struct.unpack("<IIIBBBB", data[:16]), data[16:]


def test_spz_version_3_by_hand(tmp_path: Path):
    rgb = torch.tensor([[1.0, 0.0, -1.0]])
    gaussians = Gaussians(
        torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[1.0, 1.0, 1.0]]).exp(),
        torch.tensor([0.2]), rgb[:, None],
    )  # fmt: skip
    save_gaussians(tmp_path / "x.spz", gaussians)
    header, data = spz_parts(tmp_path / "x.spz")
    assert header == (0x5053474E, 3, 1, 0, 12, 0, 0)
    # World (1, 2, 3) is file (1, 3, -2): up is up.
    fixed = [int.from_bytes(data[i : i + 3], "little", signed=True) for i in (0, 3, 6)]
    assert fixed == [1 * 4096, 3 * 4096, -2 * 4096]
    assert data[9] == 51
    assert list(data[10:13]) == [round(255 * 0.65), 128, round(255 * 0.35)]
    assert list(data[13:16]) == [176, 176, 176]
    # A quarter turn about -x: (x, y, z, w) = (-s, 0, 0, s) with s = sqrt(1/2). Rounding decides whether x or w is the
    # largest. If it is x, which is negative, all signs flip; bit 9 is the sign.
    packed = int.from_bytes(data[16:20], "little")
    fields = [packed >> shift & 1023 for shift in (20, 10, 0)]
    assert (packed >> 30, fields) in [(0, [512, 512, 512 + 511]), (3, [512 + 511, 0, 0])]


def test_spz_version_2_by_hand(tmp_path: Path):
    positions = b"".join(int(v * 256).to_bytes(3, "little", signed=True) for v in (1.5, 3.0, -2.0))
    s = np.sqrt(0.5)
    rotation = bytes(round(127.5 * c + 127.5) for c in (0.0, s, 0.0))  # a quarter turn about the file's y: up
    sh = bytes(128 + 64 if i == 4 else 128 for i in range(9))  # degree 1, coefficient 1 (z of the file), green
    data = positions + bytes([255, 128, 128, 128, 160, 160, 176]) + rotation + sh
    header = struct.pack("<IIIBBBB", 0x5053474E, 2, 1, 1, 8, 0, 0)
    (tmp_path / "x.spz").write_bytes(gzip.compress(header + data))
    gaussians = load_gaussians(tmp_path / "x.spz")
    assert gaussians.means.tolist() == [[1.5, 2.0, 3.0]]
    assert gaussians.opacities.tolist() == [1.0]
    torch.testing.assert_close(gaussians.scales, torch.tensor([[1.0, 1.0, np.e]]))
    # Colour: the file's basis function 2 is +z of the file, which is -y of the world; basis function 1 is -y.
    expected = torch.zeros(4, 3)
    expected[1, 1] = 0.5
    torch.testing.assert_close(gaussians.sh[0, 1:], expected[1:])
    # World rotation: a quarter turn to the left, after the fixed turn between the frames.
    file = Gaussians(*(getattr(gaussians, f).clone() for f in ("means", "quats", "scales", "opacities", "sh")))
    seen = transform_gaussians(file, yup_from_world()).quats[0]
    torch.testing.assert_close(seen * seen[0].sign(), torch.tensor([s, 0.0, s, 0.0]).float(), atol=0.01, rtol=0)


def test_spz_keeps_colours_where_they_point(tmp_path: Path):
    # What an observer sees: file colours from file directions are world colours from world directions.
    gsply = pytest.importorskip("gsply", reason="the cross-check needs gsply")
    gaussians = made_up(50)
    save_gaussians(tmp_path / "x.spz", gaussians)
    file = gsply.read_spz(tmp_path / "x.spz")
    sh = torch.cat([torch.from_numpy(file.sh0)[:, None], torch.from_numpy(file.shN)], 1)
    world = torch.nn.functional.normalize(torch.randn(30, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    in_file = world[:, [0, 2, 1]] * torch.tensor([1.0, 1.0, -1.0])
    seen = torch.einsum("dk,nkc->dnc", sh_basis(in_file, 16), sh)
    expected = torch.einsum("dk,nkc->dnc", sh_basis(world, 16), gaussians.sh)
    # Steps of 16 / 128 leave errors of 0.029; a sign or an axis gone wrong would leave ten times as much.
    assert (seen - expected).abs().mean() < 0.04
    assert expected.abs().mean() > 0.25


@pytest.mark.parametrize("degree", range(4))
def test_gsply_agrees_on_spz(tmp_path: Path, degree: int):
    gsply = pytest.importorskip("gsply", reason="the cross-check needs gsply")
    gaussians = made_up(degree=degree)
    in_file = transform_gaussians(gaussians, yup_from_world())
    save_gaussians(tmp_path / "x.spz", gaussians)
    data = gsply.read_spz(tmp_path / "x.spz")
    np.testing.assert_allclose(data.means, in_file.means, atol=2e-4)
    np.testing.assert_allclose(np.exp(data.scales), in_file.scales, rtol=0.04)
    assert same_rotation(torch.from_numpy(data.quats), in_file.quats).max() < 0.006
    # And what gsply writes, we read.
    gsply.write_spz(tmp_path / "y.spz", data)
    theirs, ours = load_gaussians(tmp_path / "y.spz"), load_gaussians(tmp_path / "x.spz")
    torch.testing.assert_close(theirs.means, ours.means)
    torch.testing.assert_close(theirs.scales, ours.scales)
    torch.testing.assert_close(theirs.sh, ours.sh, atol=1e-5, rtol=1e-5)
    assert same_rotation(theirs.quats, ours.quats).max() < 0.004


def test_spz_bytes_do_not_depend_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gaussians = made_up(40_000)  # several blocks
    save_gaussians(tmp_path / "x.spz", gaussians)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    save_gaussians(tmp_path / "y.spz", gaussians)
    assert (tmp_path / "x.spz").read_bytes() == (tmp_path / "y.spz").read_bytes()
    assert len(load_gaussians(tmp_path / "y.spz")) == 40_000


def test_large_scenes_get_fewer_fractional_bits(tmp_path: Path):
    gaussians = made_up(4)
    gaussians.means[0] = torch.tensor([3000.0, -3000.0, 10.0])
    save_gaussians(tmp_path / "x.spz", gaussians)
    assert spz_parts(tmp_path / "x.spz")[0][4] == 11
    torch.testing.assert_close(load_gaussians(tmp_path / "x.spz").means, gaussians.means, atol=0.5 / 2048, rtol=0)
    gaussians.means[0, 0] = 1e8
    with pytest.raises(InputError, match="within 4,000 km"):
        save_gaussians(tmp_path / "y.spz", gaussians)


def header(version: int = 3, count: int = 1, degree: int = 0, bits: int = 12, magic: int = 0x5053474E) -> bytes:
    return struct.pack("<IIIBBBB", magic, version, count, degree, bits, 0, 0)


def packed(data: bytes) -> bytes:
    """Without the time of day, which would be in the test's name and differ between workers."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an SPZ header of 16 bytes, got 0"),
        (b"no gzip at all, only text", "expected a gzip stream"),
        (header(version=4), "got version 4 or later"),
        (packed(b"short"), "an SPZ header of 16 bytes, got 5"),
        (packed(header(magic=1) + bytes(20)), "got magic 0x1"),
        (packed(header(version=1) + bytes(20)), "version 1"),
        (packed(header(degree=4) + bytes(20)), "degree 4"),
        (packed(header(bits=40) + bytes(20)), "40 fractional bits"),
        (packed(header(count=4_000_000_000, degree=3)), "for 4000000000 Gaussians"),
        (packed(header() + bytes(19)), "20 bytes for 1 Gaussians of SH degree 0, got 19"),
        (packed(header() + bytes(21)), "got 20 and more"),
        (packed(header() + bytes(20))[:-6], "without an end"),
        (packed(header() + bytes(20))[:-8] + bytes(8), "expected a gzip stream"),
        (packed(header() + bytes(1 << 26)), "got 20 and more"),
    ],
)
def test_hostile_spz(tmp_path: Path, data: bytes, message: str):
    (tmp_path / "x.spz").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        load_gaussians(tmp_path / "x.spz")
    assert "\n" not in str(caught.value)


def test_records_of_other_programs_may_follow(tmp_path: Path):
    save_gaussians(tmp_path / "x.spz", made_up(3, 0))
    data = bytearray(gzip.decompress((tmp_path / "x.spz").read_bytes()))
    data[14] = 2
    (tmp_path / "y.spz").write_bytes(gzip.compress(bytes(data) + b"extension"))
    assert torch.equal(load_gaussians(tmp_path / "y.spz").means, load_gaussians(tmp_path / "x.spz").means)


# The door


def test_other_suffixes_and_missing_files(tmp_path: Path):
    with pytest.raises(InputError, match=r"ending in \.ply, \.splat, \.spz, \.glb, got '\.obj'"):
        load_gaussians(tmp_path / "x.obj")
    for suffix in ("ply", "splat", "spz"):
        with pytest.raises(InputError, match="No such file"):
            load_gaussians(tmp_path / f"none.{suffix}")
        with pytest.raises(InputError, match="does not exist"):
            save_gaussians(tmp_path / "nowhere" / f"x.{suffix}", made_up(2))


def test_zlib_is_what_the_ratio_assumes():
    # A stream of zeros is the densest there is; the bound on allocation rests on it.
    assert 1032 * len(zlib.compress(bytes(1 << 24), 9)) > 1 << 24
