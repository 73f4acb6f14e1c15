"""Gaussians as binary glTF, by the extension KHR_gaussian_splatting (Khronos Group, ratified 2026).

A primitive of points with an accessor for each property: POSITION, and in the extension's name space ROTATION (unit
quaternion x y z w), SCALE (linear), OPACITY (0 to 1) and SH_DEGREE_l_COEF_n, a red, green and blue coefficient each;
their basis and the offset of 0.5 are those of the 3D Gaussian Splatting files. COLOR_0 shows the constant colour in
programs that know points only. The file is y up as all glTF; our world is z up.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.gaussians import SH_C0, Gaussians
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.gaussian_check import check_gaussians
from worldloom.geometry.io.glb import Glb, glb_bytes, read_glb
from worldloom.geometry.io.images import linear_from_srgb
from worldloom.geometry.io.yup import yup_from_world
from worldloom.geometry.rigid import compose, invert, rotmat_from_quat
from worldloom.geometry.transform_gaussians import transform_gaussians

EXTENSION = "KHR_gaussian_splatting"
COLOUR_SPACES = ("srgb_rec709_display", "BT.709")  # as ratified, and as in drafts


def save_gltf_splats(path: str | Path, gaussians: Gaussians) -> None:
    """Write a `.glb` with all values as float32.

    Raises:
        InputError: values that cannot be drawn, such as NaN, no Gaussians at all, or more than 4 GiB.
    """
    gaussians = check_gaussians(gaussians.to("cpu"), f"saving {path}")
    if not len(gaussians):
        raise InputError(f"saving {path}: expected at least one Gaussian for glTF, got none")
    turned = transform_gaussians(gaussians, yup_from_world())
    quats = torch.nn.functional.normalize(turned.quats, dim=1)
    rgb = linear_from_srgb((0.5 + SH_C0 * turned.sh[:, 0]).clamp(0, 1))
    columns: dict[str, Tensor] = {
        "POSITION": turned.means,
        "COLOR_0": torch.cat([rgb, turned.opacities[:, None]], 1),
        f"{EXTENSION}:ROTATION": quats.roll(-1, dims=1),
        f"{EXTENSION}:SCALE": turned.scales,
        f"{EXTENSION}:OPACITY": turned.opacities[:, None],
    }
    for degree in range(gaussians.sh_degree + 1):
        for i in range(2 * degree + 1):
            columns[f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{i}"] = turned.sh[:, degree**2 + i]
    with atomic_path(path) as temporary:
        temporary.write_bytes(_file(columns))


def load_gltf_splats(path: str | Path, drop_invalid: bool = False) -> Gaussians:
    """Read every splat primitive of a `.glb`, in our world's axes; nodes may move and turn them, and scale them evenly.

    Raises:
        InputError: not such a file, no splats in it, properties missing or of different lengths, another kernel or
            colour space, Gaussians compressed by a further extension, or values that cannot be drawn.
    """
    glb = read_glb(path)
    parts = []
    for primitive, world_from_mesh in _splat_primitives(glb):
        parts.append(_moved(_gaussians(glb, primitive), world_from_mesh, glb.path))
    if not parts:
        raise InputError(f"{glb.path}: expected splats ({EXTENSION}), got a glTF file without")
    degree = max(part.sh_degree for part in parts)
    parts = [_of_degree(part, degree) for part in parts]
    gaussians = transform_gaussians(Gaussians.cat(parts), invert(yup_from_world()))
    return check_gaussians(gaussians, str(glb.path), drop_invalid)


def _file(columns: dict[str, Tensor]) -> bytes:
    blocks, views, accessors, at = [], [], [], 0
    for column in columns.values():
        data = column.float().contiguous().numpy().astype("<f4", copy=False)
        views.append({"buffer": 0, "byteOffset": at, "byteLength": data.nbytes, "target": 34962})
        kind = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[data.shape[1]]
        accessors.append({"bufferView": len(views) - 1, "componentType": 5126, "count": len(data), "type": kind})
        blocks.append(data.tobytes())
        at += data.nbytes
    positions = next(iter(columns.values()))
    accessors[0] |= {"min": positions.amin(0).tolist(), "max": positions.amax(0).tolist()}
    extension = {
        "kernel": "ellipse",
        "colorSpace": COLOUR_SPACES[0],
        "projection": "perspective",
        "sortingMethod": "cameraDistance",  # the extension knows no other
    }
    primitive = {
        "attributes": {name: i for i, name in enumerate(columns)},
        "mode": 0,
        "extensions": {EXTENSION: extension},
    }
    tree = {
        "asset": {"version": "2.0", "generator": "worldloom"},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "splats"}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": at}],
    }
    return glb_bytes(tree, b"".join(blocks))


def _splat_primitives(glb: Glb) -> list[tuple[dict[str, Any], Float[Tensor, "4 4"]]]:
    """Splat primitives with their nodes' matrices; a file without scenes shows all its nodes."""
    nodes, tree = glb.tree.get("nodes", []), glb.tree
    children = {child for node in nodes for child in node.get("children", [])}
    roots = [i for i in range(len(nodes)) if i not in children]
    if tree.get("scenes"):
        roots = tree["scenes"][tree.get("scene", 0)].get("nodes", [])
    found = []
    todo = [(i, torch.eye(4, dtype=torch.float64)) for i in reversed(roots)]
    while todo:
        i, world_from_parent = todo.pop()
        world_from_node = world_from_parent @ _matrix(nodes[i], f"{glb.path}: node {i}")
        if "mesh" in nodes[i]:
            primitives = tree["meshes"][nodes[i]["mesh"]]["primitives"]
            found += [(p, world_from_node) for p in primitives if EXTENSION in p.get("extensions", {})]
        todo += [(child, world_from_node) for child in reversed(nodes[i].get("children", []))]
    return found


def _matrix(node: dict[str, Any], where: str) -> Float[Tensor, "4 4"]:
    try:
        if "matrix" in node:
            matrix = torch.tensor(node["matrix"], dtype=torch.float64).view(4, 4).T  # column by column in the file
        else:
            x, y, z, w = node.get("rotation", [0.0, 0.0, 0.0, 1.0])
            turn = rotmat_from_quat(torch.tensor([w, x, y, z], dtype=torch.float64))
            scale = torch.tensor(node.get("scale", [1.0, 1.0, 1.0]), dtype=torch.float64)
            move = torch.tensor(node.get("translation", [0.0, 0.0, 0.0]), dtype=torch.float64)
            matrix = compose(turn * scale, move)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{where}: expected numbers for its place, got {error}") from error
    if not matrix.isfinite().all():
        raise InputError(f"{where}: expected a finite place, got {matrix.tolist()}")
    return matrix


def _gaussians(glb: Glb, primitive: dict[str, Any]) -> Gaussians:
    extension, attributes = primitive["extensions"][EXTENSION], primitive.get("attributes", {})
    if isinstance(extension, dict) and extension.get("extensions"):
        raise InputError(f"{glb.path}: expected plain splats, got them as {', '.join(extension['extensions'])}")
    if not isinstance(extension, dict) or extension.get("kernel", "ellipse") != "ellipse":
        raise InputError(f"{glb.path}: expected splats of kernel 'ellipse', got {str(extension)[:80]}")
    if extension.get("colorSpace", COLOUR_SPACES[0]) not in COLOUR_SPACES:
        raise InputError(f"{glb.path}: expected colours in {COLOUR_SPACES[0]}, got {extension['colorSpace']!r}")

    def column(name: str, width: int) -> Tensor:
        if name not in attributes:
            raise InputError(f"{glb.path}: expected splats with {name}, got {', '.join(attributes) or 'nothing'}")
        values = glb.array(attributes[name])
        if values.shape[1] != width:
            raise InputError(f"{glb.path}: expected {width} numbers in each {name}, got {values.shape[1]}")
        return torch.from_numpy(values.astype(np.float32))

    degree = 0
    while degree < 3 and f"{EXTENSION}:SH_DEGREE_{degree + 1}_COEF_0" in attributes:
        degree += 1
    names = [f"{EXTENSION}:SH_DEGREE_{d}_COEF_{i}" for d in range(degree + 1) for i in range(2 * d + 1)]
    sh = [column(name, 3) for name in names]
    means, quats = column("POSITION", 3), column(f"{EXTENSION}:ROTATION", 4)
    scales, opacities = column(f"{EXTENSION}:SCALE", 3), column(f"{EXTENSION}:OPACITY", 1)[:, 0]
    if {len(values) for values in (quats, scales, opacities, *sh)} != {len(means)}:
        raise InputError(f"{glb.path}: expected all properties of {len(means)} splats, got others")
    return Gaussians(
        means, torch.nn.functional.normalize(quats.roll(1, 1), dim=1), scales, opacities, torch.stack(sh, 1)
    )


def _moved(gaussians: Gaussians, world_from_mesh: Float[Tensor, "4 4"], path: Path) -> Gaussians:
    scale = world_from_mesh[:3, :3].det().abs() ** (1 / 3)
    rigid = world_from_mesh.clone()
    rigid[:3, :3] /= scale
    try:
        turned = transform_gaussians(gaussians, rigid)
    except ValueError as error:
        raise InputError(f"{path}: expected nodes that move, turn and scale evenly, got {rigid.tolist()}") from error
    means = (turned.means - rigid[:3, 3].float()) * scale.float() + rigid[:3, 3].float()
    return Gaussians(means, turned.quats, turned.scales * scale.float(), turned.opacities, turned.sh)


def _of_degree(gaussians: Gaussians, degree: int) -> Gaussians:
    sh = torch.nn.functional.pad(gaussians.sh, (0, 0, 0, (degree + 1) ** 2 - gaussians.sh.shape[1]))
    return Gaussians(gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, sh)
