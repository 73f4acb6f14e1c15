"""The container of binary glTF 2.0: one JSON tree and one block of bytes, its sizes checked before anything is made.

A `.glb` is {u32 "glTF", u32 2, u32 length of all} and then chunks {u32 length, u32 kind, bytes}: "JSON" first, then
"BIN". The tree's bufferViews are pieces of the block, its accessors arrays in them. Buffers in other files are not
opened.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldloom.errors import InputError

MAGIC, JSON, BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
MAX_TREE = 64 << 20  # bytes of JSON
MAX_ITEMS = 1 << 28  # elements of one accessor
MAX_PLACED = 1 << 28  # elements of all accessors, as often as nodes place them
COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


@dataclass(frozen=True)
class Glb:
    """What a file holds, with every size in the tree found to fit."""

    path: Path
    tree: dict[str, Any]
    block: memoryview

    def array(self, accessor: int) -> np.ndarray:
        """The accessor's numbers (count, width) as they are stored, or divided by the largest if it is normalised.

        Raises:
            InputError: the accessor holds none (zeros, or sparse ones).
        """
        entry = self.tree["accessors"][accessor]
        if "bufferView" not in entry or "sparse" in entry:
            raise InputError(
                f"{self.path}: expected accessor {accessor} to hold its numbers, got a sparse or empty one"
            )
        view = self.tree["bufferViews"][entry["bufferView"]]
        dtype, width = np.dtype(COMPONENTS[entry["componentType"]]), WIDTHS[entry["type"]]
        start = view.get("byteOffset", 0) + entry.get("byteOffset", 0)
        stride = view.get("byteStride", dtype.itemsize * width)
        rows = np.ndarray((entry["count"], width), dtype, self.block, start, (stride, dtype.itemsize))
        if not entry.get("normalized"):
            return rows.copy()
        return np.maximum(rows.astype(np.float32) / np.iinfo(dtype).max, -1)


def read_glb(path: str | Path) -> Glb:
    """The tree and the bytes of a `.glb`.

    Raises:
        InputError: no such file or not such a file, sizes or indices that do not fit, arrays of more than 2^28 elements
            (each, or all as often as nodes place them), or nodes that are no trees.
    """
    path = Path(path)
    try:
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: expected a .glb file, got {error.strerror or error}") from error
    if len(data) < 20 or struct.unpack_from("<II", data) != (MAGIC, 2):
        raise InputError(f"{path}: expected a binary glTF 2.0 file, got {bytes(data[:8])!r}")
    chunks: dict[int, memoryview] = {}
    at = 12
    while at + 8 <= len(data):
        length, kind = struct.unpack_from("<II", data, at)
        if at + 8 + length > len(data):
            raise InputError(f"{path}: expected a chunk of {length} bytes, got {len(data) - at - 8}")
        chunks.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 8 + length
    if JSON not in chunks or len(chunks[JSON]) > MAX_TREE:
        raise InputError(f"{path}: expected a JSON chunk of at most {MAX_TREE} bytes, got {len(chunks.get(JSON, b''))}")
    try:
        tree = json.loads(bytes(chunks[JSON]))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a JSON tree, got {error}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(tree).__name__}")
    glb = Glb(path, tree, chunks.get(BIN, memoryview(b"")))
    try:
        _check(glb)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: expected a tree as glTF 2.0 has it, got {type(error).__name__}: {error}") from error
    return glb


def glb_bytes(tree: Mapping[str, Any], block: bytes) -> bytes:
    """The file of a tree and its bytes; the same ones give the same file."""
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    block += b"\0" * (-len(block) % 4)
    chunks = struct.pack("<II", len(text), JSON) + text
    if block:
        chunks += struct.pack("<II", len(block), BIN) + block
    if 12 + len(chunks) >= 1 << 32:
        raise InputError(f"expected less than 4 GiB for a .glb file, got {len(chunks)} bytes")
    return struct.pack("<III", MAGIC, 2, 12 + len(chunks)) + chunks


def _check(glb: Glb) -> None:
    path = glb.path
    buffers = _entries(glb, "buffers")
    if len(buffers) > 1 or any("uri" in buffer for buffer in buffers):
        raise InputError(f"{path}: expected all data inside the file, got other buffers")
    views = _entries(glb, "bufferViews")
    for i, view in enumerate(views):
        start, length = _whole(view.get("byteOffset", 0)), _whole(view["byteLength"])
        stride = _whole(view.get("byteStride", 4))
        if view["buffer"] != 0 or start + length > len(glb.block) or not 1 <= stride <= 252:
            raise InputError(
                f"{path}: expected bufferView {i} inside of {len(glb.block)} bytes, got {start} + {length}"
            )
    for i, entry in enumerate(_entries(glb, "accessors")):
        count = _whole(entry["count"])
        if entry["componentType"] not in COMPONENTS or entry["type"] not in WIDTHS or count > MAX_ITEMS:
            raise InputError(
                f"{path}: expected accessor {i} of a known kind and at most {MAX_ITEMS} items, got {count}"
            )
        if "sparse" in entry and _whole(entry["sparse"]["count"]) > count:
            raise InputError(f"{path}: expected accessor {i} to replace at most {count} items, got more")
        if "bufferView" not in entry:
            if 64 * count > len(glb.block) + MAX_TREE:
                raise InputError(f"{path}: expected accessor {i} to hold its numbers, got {count} without any")
            continue
        view = views[_whole(entry["bufferView"])]
        size = np.dtype(COMPONENTS[entry["componentType"]]).itemsize * WIDTHS[entry["type"]]
        need = _whole(entry.get("byteOffset", 0)) + (count - 1) * view.get("byteStride", size) + size if count else 0
        if need > view["byteLength"]:
            raise InputError(f"{path}: expected {need} bytes for accessor {i}, got a view of {view['byteLength']}")
    _check_nodes(glb, [_mesh_size(glb, mesh) for mesh in _entries(glb, "meshes")])


def _mesh_size(glb: Glb, mesh: dict[str, Any]) -> int:
    """Elements of the arrays of a mesh."""
    accessors = _entries(glb, "accessors")
    used = []
    for primitive in mesh["primitives"]:
        used += [*primitive.get("attributes", {}).values(), *([primitive["indices"]] if "indices" in primitive else [])]
    return sum(accessors[_whole(i)]["count"] for i in used)


def _check_nodes(glb: Glb, mesh_sizes: list[int]) -> None:
    """Nodes are trees, as glTF demands: one with two parents would be there twice, and a small file could unfold into a
    huge scene. Many nodes may show one mesh, which is bounded."""
    nodes, total = _entries(glb, "nodes"), 0
    parents: set[int] = set()
    for i, node in enumerate(nodes):
        for child in node.get("children", []):
            if not _whole(child) < len(nodes) or child in parents:
                raise InputError(f"{glb.path}: expected each node under one parent, got node {child} again in {i}")
            parents.add(child)
        total += mesh_sizes[_whole(node["mesh"])] if "mesh" in node else 0
    if total > MAX_PLACED:
        raise InputError(f"{glb.path}: expected a scene of at most {MAX_PLACED} elements, got {total}")
    scenes = _entries(glb, "scenes")
    for scene in scenes:
        for root in scene.get("nodes", []):
            if not _whole(root) < len(nodes) or root in parents:
                raise InputError(f"{glb.path}: expected scenes of nodes without parents, got node {root}")
    if not 0 <= _whole(glb.tree.get("scene", 0)) < max(len(scenes), 1):
        raise InputError(f"{glb.path}: expected one of {len(scenes)} scenes, got number {glb.tree['scene']}")


def _entries(glb: Glb, name: str) -> list[dict[str, Any]]:
    entries = glb.tree.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{glb.path}: expected {name!r} to be an array of objects, got {str(entries)[:60]}")
    return entries


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a whole number of 0 or more, got {str(value)[:40]}")
    return value
