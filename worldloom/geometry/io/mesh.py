"""Meshes as binary glTF (.glb)."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.yup import yup_from_world
from worldloom.geometry.mesh import Mesh
from worldloom.geometry.rigid import apply, invert


def save_glb(path: str | Path, mesh: Mesh) -> None:
    """Write a mesh; our z-up world becomes glTF's y-up, file (x, y, z) = world (x, z, -y). Colours have 8 bits.

    Raises:
        InputError: vertices or colours that are not finite, or a mesh without triangles.
    """
    import trimesh

    vertices = apply(yup_from_world().to(mesh.vertices), mesh.vertices).cpu().numpy()
    if not len(mesh.faces) or not np.isfinite(vertices).all():
        raise InputError(f"saving {path}: expected finite vertices and at least one triangle, got {len(mesh.faces)}")
    rgba = None
    if mesh.colours is not None:
        if not mesh.colours.isfinite().all():
            raise InputError(f"saving {path}: expected finite colours")
        rgb = (255 * mesh.colours.cpu().clamp(0, 1)).round().byte().numpy()
        rgba = np.concatenate([rgb, np.full((len(rgb), 1), 255, np.uint8)], axis=1)
    solid: Any = trimesh.Trimesh(vertices, mesh.faces.cpu().numpy(), vertex_colors=rgba, process=False)
    data = solid.export(file_type="glb", include_normals=False)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def save_parts_glb(path: str | Path, parts: Sequence[Mesh], name: str) -> None:
    """Write meshes without colours, each under a name of its own: `name`_0000 and so on.

    Raises:
        InputError: no parts, one without triangles, or vertices that are not finite.
    """
    import trimesh

    if not parts or not all(len(part.faces) and bool(part.vertices.isfinite().all()) for part in parts):
        raise InputError(f"saving {path}: expected parts of finite vertices and triangles, got {len(parts)} parts")
    scene: Any = trimesh.Scene()
    for i, part in enumerate(parts):
        vertices = apply(yup_from_world().to(part.vertices), part.vertices).cpu().numpy()
        solid = trimesh.Trimesh(vertices, part.faces.cpu().numpy(), process=False)
        scene.add_geometry(solid, node_name=f"{name}_{i:04d}", geom_name=f"{name}_{i:04d}")
    data = scene.export(file_type="glb", include_normals=False)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def load_glb(path: str | Path) -> Mesh:
    """Read all triangles of a `.glb`, in our z-up world, with the vertex colours where every part has them.

    Raises:
        InputError: not such a file, or one without triangles.
    """
    import trimesh

    path = Path(path)
    try:
        # From memory, so that the file cannot make us open others.
        scene: Any = trimesh.load(io.BytesIO(path.read_bytes()), file_type="glb", force="scene", process=False)
        parts: list[Any] = [part for part in scene.dump() if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    except OSError as error:
        raise InputError(f"{path}: expected a .glb file, got {error.strerror or error}") from error
    # trimesh parses foreign JSON and buffers without a promise about what it raises.
    except Exception as error:
        raise InputError(
            f"{path}: expected a binary glTF file, got {type(error).__name__}: {str(error)[:120]}"
        ) from error
    if not parts:
        raise InputError(f"{path}: expected a mesh of triangles, got none")
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]).astype(np.int64)
    vertices = np.concatenate([part.vertices for part in parts]).astype(np.float32)
    if not np.isfinite(vertices).all() or faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"{path}: expected finite vertices and faces among them, got others")
    colours = None
    if all(part.visual.kind == "vertex" for part in parts):
        rgb = np.concatenate([part.visual.vertex_colors[:, :3] for part in parts])
        colours = torch.from_numpy(rgb.astype(np.float32)) / 255
    world = apply(invert(yup_from_world()), torch.from_numpy(vertices))
    return Mesh(world, torch.from_numpy(faces), colours)
