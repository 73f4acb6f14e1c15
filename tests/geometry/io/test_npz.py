"""Archives from outside are judged by their headers; ours have the same bytes every time."""

import io
import os
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from worldloom.errors import InputError
from worldloom.geometry.io.npz import load_npz, npz_keys, save_npz

SPEC = {"a": "uint8 n 3", "b": "float32|float64 n"}


def good() -> dict[str, np.ndarray]:
    return {"a": np.arange(6, dtype=np.uint8).reshape(2, 3), "b": np.array([0.5, -1.0])}


def npy_header(descr: str, shape: tuple[int, ...]) -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def write_zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def npy(array: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def test_round_trip_and_numpy_reads_it(tmp_path: Path):
    path = tmp_path / "x.npz"
    save_npz(path, good())
    for read in (load_npz(path, SPEC), dict(np.load(path, allow_pickle=False))):
        for name, array in good().items():
            np.testing.assert_array_equal(read[name], array)
            assert read[name].dtype == array.dtype
    assert npz_keys(path) == {"a", "b"}


def test_reads_what_numpy_writes_scalars_text_and_column_order(tmp_path: Path):
    path = tmp_path / "x.npz"
    columns = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    np.savez(path, scalar=np.float64(2.5), text=np.array(["ab", "c"]), columns=columns, empty=np.zeros((0, 4)))
    read = load_npz(path, {"scalar": "float64", "text": "str n", "columns": "float64 x y", "empty": "float64 e 4"})
    assert read["scalar"].item() == 2.5
    assert read["text"].tolist() == ["ab", "c"]
    np.testing.assert_array_equal(read["columns"], columns)
    assert read["empty"].shape == (0, 4)


def test_same_bytes_at_another_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_npz(tmp_path / "x.npz", good())
    monkeypatch.setattr(time, "time", lambda: 2e9)
    save_npz(tmp_path / "y.npz", good())
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()


def test_optional_keys_may_be_absent_and_are_checked_when_there(tmp_path: Path):
    save_npz(tmp_path / "x.npz", good())
    assert "c" not in load_npz(tmp_path / "x.npz", {**SPEC, "c?": "str n"})
    save_npz(tmp_path / "y.npz", {**good(), "c": np.zeros(2)})
    with pytest.raises(InputError, match="'c' to be str n, n = 2, got float64 2"):
        load_npz(tmp_path / "y.npz", {**SPEC, "c?": "str n"})


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"b.npy": npy(np.zeros(2))}, "array 'a', got 'b'"),
        ({"a.npy": npy(np.zeros((2, 3), np.int8)), "b.npy": npy(np.zeros(2))}, "'a' to be uint8 n 3.*got int8 2 3"),
        ({"a.npy": npy(np.zeros((2, 4), np.uint8)), "b.npy": npy(np.zeros(2))}, "got uint8 2 4"),
        ({"a.npy": npy(np.zeros((2, 3), np.uint8)), "b.npy": npy(np.zeros(3))}, "n = 2, got float64 3"),
        ({"a.npy": npy(np.zeros((2, 3), np.uint8)), "b.npy": npy(np.zeros(2, ">f8"))}, "got float64 2"),
        ({"a.npy": npy(np.array([[{}] * 3] * 2, object), allow_pickle=True)}, "Python objects"),
        ({"a.npy": b"not an array"}, "to be a .npy array"),
        ({"a.npy": b"\x93NUMPY\x09\x00" + bytes(9)}, "to be a .npy array"),
        ({"a.npy": b"\x93NUMPY\x01\x00\xff\xff{"}, "to be a .npy array"),
        ({"a.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"}, r"version 2\.0"),  # a header of 4 GB
        ({"a.npy": npy_header("|u1", (2, 3)) + bytes(5)}, "6 bytes in 'a'.*got 5"),
        ({"a.npy": npy_header("|u1", (1 << 50, 3)) + bytes(5)}, "at most .* bytes unpacked"),
        ({"a.npy": npy_header("|u1", (-1, 3))}, "a shape in 'a', got"),
    ],
)
def test_hostile_members(tmp_path: Path, members: dict[str, bytes], message: str):
    write_zip(tmp_path / "x.npz", members)
    with pytest.raises(InputError, match=message) as caught:
        load_npz(tmp_path / "x.npz", SPEC)
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_from_its_header(tmp_path: Path):
    # 64 MB of zeros in 64 kB; the shape fits, so only the limit can stop it.
    data = npy_header("|u1", (1 << 24, 4)) + bytes(1 << 26)
    write_zip(tmp_path / "x.npz", {"a.npy": data})
    assert (tmp_path / "x.npz").stat().st_size < 100_000
    with pytest.raises(InputError, match="at most 1048576 bytes"):
        load_npz(tmp_path / "x.npz", {"a": "uint8 n 4"}, max_bytes=1 << 20)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.99])
def test_truncated_at_any_point(tmp_path: Path, share: float):
    save_npz(
        tmp_path / "x.npz", {"a": np.random.default_rng(0).integers(0, 255, (500, 3), np.uint8), "b": np.zeros(500)}
    )
    data = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError):
        load_npz(tmp_path / "x.npz", SPEC)


def test_flipped_bits_are_found(tmp_path: Path):
    save_npz(
        tmp_path / "x.npz", {"a": np.random.default_rng(0).integers(0, 255, (500, 3), np.uint8), "b": np.zeros(500)}
    )
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[700] ^= 0x10
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(InputError, match=r"damaged|\.npy"):
        load_npz(tmp_path / "x.npz", SPEC)


def test_no_such_file_and_not_a_zip(tmp_path: Path):
    with pytest.raises(InputError, match=r"expected an .npz file"):
        load_npz(tmp_path / "none.npz", SPEC)
    (tmp_path / "x.npz").write_bytes(os.urandom(200))
    with pytest.raises(InputError, match=r"expected an .npz file"):
        npz_keys(tmp_path / "x.npz")
