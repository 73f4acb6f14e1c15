"""Gaussians as SPZ, Niantic's compressed splats: versions 2 and 3 are read, version 3 is written.

One gzip stream of a 16-byte header {u32 "NGSP", u32 version, u32 count, u8 SH degree, u8 fractional bits, u8 flags,
u8 0} and then, attribute by attribute for all Gaussians:

    positions   3 x int24    p 2^bits
    alphas      u8           255 opacity
    colours     3 x u8       255 (0.15 f_dc + 0.5)
    scales      3 x u8       16 (ln scale + 10)
    rotations   u32          the three smallest of (x, y, z, w): 10 bits each, and 2 bits that say which is missing
                             (version 2: 3 x u8, 127.5 (x, y, z) + 127.5, with w >= 0)
    harmonics   3 (k-1) x u8 128 c + 128, coefficient by coefficient; degree 1 keeps 5 bits, the others 4

The file's axes are x right, y up, z back (RUB), so that up is up in a viewer. Our world is z up: file (x, y, z) =
world (x, z, -y), a quarter turn about x, as for glTF. Quaternions and harmonics turn with it.
"""

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from worldloom.errors import InputError
from worldloom.geometry.gaussians import Gaussians
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.gaussian_check import check_gaussians
from worldloom.geometry.io.yup import yup_from_world
from worldloom.geometry.rigid import invert
from worldloom.geometry.transform_gaussians import transform_gaussians

MAGIC = 0x5053474E
FRACTIONAL_BITS = 12  # a quarter of a millimetre, up to 2 km; larger scenes get fewer
EXTENSIONS = 2  # flag: records of other programs follow the Gaussians
DEFLATE_RATIO = 1032  # no deflate stream can grow by more
BLOCK = 1 << 20  # bytes deflated at a time, in parallel
ROWS = 1 << 14  # Gaussians handled at a time, so that they stay in the cache
SAMPLE = 1 << 15  # bytes of a block on which the ways to deflate it are tried
_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE)
_HEADER = struct.Struct("<IIIBBBB")
_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])  # components that are kept, by the one that is not


def load_spz(path: str | Path, drop_invalid: bool = False) -> Gaussians:
    """Read SPZ version 2 or 3 of SH degree 0 to 3, in our world's axes.

    Raises:
        InputError: not such a file, another version, or a size that does not fit its header (checked before more than
            the header is unpacked).
    """
    path = Path(path)
    version, count, degree, bits, data = _unpack(path)
    k, turn = (degree + 1) ** 2, 4 if version == 3 else 3
    widths = {"means": 9, "alphas": 1, "colours": 3, "scales": 3, "rotations": turn, "harmonics": 3 * (k - 1)}
    part, start = {}, 0
    for name, width in widths.items():
        part[name] = data[start : start + count * width].reshape(count, width)
        start += count * width
    scales = np.exp(np.arange(256, dtype=np.float32) / 16 - 10)
    colours = ((np.arange(256, dtype=np.float32) / 255 - 0.5) / 0.15).astype(np.float32)
    harmonics = ((np.arange(256, dtype=np.float32) - 128) / 128).astype(np.float32)
    means = np.empty((count, 3), np.float32)
    quats = np.empty((count, 4), np.float32)
    sh = np.empty((count, k, 3), np.float32)
    for first in range(0, count, ROWS):
        rows = slice(first, first + ROWS)
        means[rows] = _int24(part["means"][rows]) * np.float32(2.0**-bits)
        quats[rows] = (_smallest_three if version == 3 else _first_three)(part["rotations"][rows])
        sh[rows, 0] = colours[part["colours"][rows]]
        sh[rows, 1:] = harmonics[part["harmonics"][rows]].reshape(len(sh[rows]), k - 1, 3)
    gaussians = Gaussians(
        means=torch.from_numpy(means),
        quats=torch.from_numpy(quats),
        scales=torch.from_numpy(scales[part["scales"]]),
        opacities=torch.from_numpy(part["alphas"][:, 0].astype(np.float32)) / 255,
        sh=torch.from_numpy(sh),
    )
    return check_gaussians(transform_gaussians(gaussians, invert(yup_from_world())), str(path), drop_invalid)


def save_spz(path: str | Path, gaussians: Gaussians) -> None:
    """Write SPZ version 3. Positions are good to 0.12 mm up to 2 km from the origin, scales to 3 %, angles to 0.2°.

    The same Gaussians give the same bytes, on any number of cores.

    Raises:
        InputError: values that cannot be drawn, such as NaN, or positions beyond 4,000 km.
    """
    gaussians = transform_gaussians(check_gaussians(gaussians.to("cpu"), f"saving {path}"), yup_from_world())
    count, k = len(gaussians), gaussians.sh.shape[1]
    reach = gaussians.means.abs().max().item() if count else 0.0
    bits = next((b for b in range(FRACTIONAL_BITS, 0, -1) if reach * 2**b < 2**23 - 1), None)
    if bits is None:
        raise InputError(f"saving {path}: expected positions within 4,000 km, got {reach:.3g} m")
    widths = (9, 1, 3, 3, 4, 3 * (k - 1))
    ends = (_HEADER.size + count * np.cumsum([0, *widths])).tolist()
    data = np.empty(ends[-1], np.uint8)
    data[: _HEADER.size] = np.frombuffer(_HEADER.pack(MAGIC, 3, count, gaussians.sh_degree, bits, 0, 0), np.uint8)
    sections = [data[a:b].reshape(count, w) for a, b, w in zip(ends, ends[1:], widths, strict=False)]
    for first in range(0, count, ROWS):
        part = gaussians[first : first + ROWS]
        columns = (
            _bytes24(part.means, bits),
            _byte(255 * part.opacities)[:, None],
            _byte(255 * (0.15 * part.sh[:, 0] + 0.5)),
            _byte(16 * (part.scales.log() + 10)),
            _pack_smallest_three(part.quats),
            _bucketed(part.sh[:, 1:]),
        )
        for section, column in zip(sections, columns, strict=True):
            section[first : first + ROWS] = column
    with atomic_path(path) as temporary:
        temporary.write_bytes(_gzip(data))


def _unpack(path: Path) -> tuple[int, int, int, int, np.ndarray]:
    """Version, count, SH degree, fractional bits and the bytes after the header."""
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected an SPZ file, got {error.strerror}") from error
    if packed[:4] == struct.pack("<I", MAGIC):
        raise InputError(f"{path}: expected SPZ version 2 or 3 (gzip), got version 4 or later")
    inflate = zlib.decompressobj(wbits=31)
    try:
        head = inflate.decompress(packed, _HEADER.size)
        if len(head) < _HEADER.size:
            raise InputError(f"{path}: expected an SPZ header of {_HEADER.size} bytes, got {len(head)}")
        magic, version, count, degree, bits, flags, _ = _HEADER.unpack(head)
        if magic != MAGIC or version not in (2, 3) or degree > 3 or bits > 23:
            raise InputError(
                f"{path}: expected SPZ version 2 or 3 of SH degree 0..3, got magic {magic:#x}, version {version}, "
                f"degree {degree}, {bits} fractional bits"
            )
        expected = count * (16 + (4 if version == 3 else 3) + 3 * ((degree + 1) ** 2 - 1))
        if expected > DEFLATE_RATIO * len(packed):
            raise InputError(
                f"{path}: expected {expected} bytes for {count} Gaussians, got a file of {len(packed)} bytes"
            )
        data = inflate.decompress(inflate.unconsumed_tail, expected) if expected else b""
        more = inflate.decompress(inflate.unconsumed_tail, 1)  # nothing, and the checksum
    except zlib.error as error:
        raise InputError(f"{path}: expected a gzip stream, got {error}") from error
    if len(data) != expected or ((more or not inflate.eof) and not flags & EXTENSIONS):
        got = f"{len(data)} and more" if more else f"{len(data)} of a stream without an end"
        raise InputError(f"{path}: expected {expected} bytes for {count} Gaussians of SH degree {degree}, got {got}")
    return version, count, degree, bits, np.frombuffer(data, np.uint8)


def _gzip(data: np.ndarray) -> bytes:
    """One gzip member of blocks that are deflated side by side; they do not depend on how many threads there are.

    Noisy colours hold no repeats worth a search: their entropy code alone is then smaller and several times faster.
    The first part of each block shows which way suits it.
    """
    view = memoryview(data)  # pyright: ignore[reportArgumentType]
    starts = range(0, len(view), BLOCK)

    def deflate(start: int) -> bytes:
        block, last = view[start : start + BLOCK], start + BLOCK >= len(view)

        def sample_size(strategy: int) -> int:
            stream = _deflater(strategy)
            return len(stream.compress(block[:SAMPLE]) + stream.flush())

        stream = _deflater(min(_STRATEGIES, key=sample_size))
        return stream.compress(block) + stream.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        blocks = list(pool.map(deflate, starts))
    head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # deflate, no date, no name, unknown system
    return head + b"".join(blocks) + struct.pack("<II", zlib.crc32(view), len(view) & 0xFFFFFFFF)


def _deflater(strategy: int) -> "zlib._Compress":
    return zlib.compressobj(4, zlib.DEFLATED, wbits=-15, memLevel=9, strategy=strategy)


def _byte(value: torch.Tensor) -> np.ndarray:
    return value.round().clamp(0, 255).byte().numpy()


def _bytes24(means: Float[torch.Tensor, "n 3"], bits: int) -> np.ndarray:
    fixed = (means.double() * 2**bits).round().int().numpy().astype("<i4", copy=False)
    return fixed.view(np.uint8).reshape(-1, 3, 4)[:, :, :3].reshape(-1, 9)


def _int24(data: np.ndarray) -> np.ndarray:
    low, middle, high = data.reshape(-1, 3, 3).astype(np.int32).transpose(2, 0, 1)
    return (low | middle << 8 | (high ^ 0x80) << 16) - (1 << 23)  # flipping the sign bit adds 2^23


def _bucketed(sh: Float[torch.Tensor, "n k 3"]) -> np.ndarray:
    """Bytes 128 c + 128, rounded to the middle of steps of 8 (degree 1) or 16, so that gzip finds more repeats."""
    value = (128 * sh).round_().clamp_(-1024, 1024).short().add_(128)
    value[:, :3].add_(4).bitwise_and_(-8)
    value[:, 3:].add_(8).bitwise_and_(-16)
    return value.clamp_(0, 255).byte().flatten(1).numpy()


def _pack_smallest_three(quats: Float[torch.Tensor, "n 4"]) -> np.ndarray:
    """Unit quaternions (w, x, y, z) as u32: which of (x, y, z, w) is the largest, then sign and 9 bits of the others.

    The others are at most 1 / sqrt(2) in magnitude, and the largest is made positive, since q and -q turn alike.
    """
    xyzw = torch.nn.functional.normalize(quats.double(), dim=1).roll(-1, dims=1).numpy()
    largest = np.abs(xyzw).argmax(1)
    rows = np.arange(len(xyzw))
    others = xyzw[rows[:, None], _OTHERS[largest]]
    negative = (others < 0) ^ (xyzw[rows, largest] < 0)[:, None]
    size = np.minimum(511, np.abs(others) * (511 * np.sqrt(2)) + 0.5).astype(np.uint32)
    first, second, third = (size | negative.astype(np.uint32) << 9).T
    packed = largest.astype(np.uint32) << 30 | first << 20 | second << 10 | third
    return packed.astype("<u4", copy=False).view(np.uint8).reshape(-1, 4)


def _smallest_three(data: np.ndarray) -> np.ndarray:
    """The inverse of `_pack_smallest_three`."""
    packed = np.ascontiguousarray(data).view("<u4")[:, 0]
    largest = (packed >> 30).astype(np.int64)
    fields = (packed[:, None] >> np.array([20, 10, 0], np.uint32)) & 1023
    others = (fields & 511) * np.float32(1 / (511 * np.sqrt(2))) * np.where(fields & 512, np.float32(-1), np.float32(1))
    xyzw = np.empty((len(packed), 4), np.float32)
    rows = np.arange(len(packed))
    xyzw[rows[:, None], _OTHERS[largest]] = others
    xyzw[rows, largest] = np.sqrt(np.maximum(0, 1 - (others * others).sum(1)))
    return _unit(np.roll(xyzw, 1, axis=1))


def _first_three(data: UInt8[np.ndarray, "n 3"]) -> np.ndarray:
    """Quaternions (w, x, y, z) of version 2."""
    xyz = data.astype(np.float32) / 127.5 - 1
    w = np.sqrt(np.maximum(0, 1 - (xyz * xyz).sum(1, keepdims=True)))
    return _unit(np.concatenate([w, xyz], axis=1))


def _unit(quats: np.ndarray) -> np.ndarray:
    # Three bytes near a corner of their cube are longer than 1 and leave nothing for w.
    return quats / np.linalg.norm(quats, axis=1, keepdims=True)
