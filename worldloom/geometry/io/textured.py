"""Textured scenes of many named meshes as binary glTF, one atlas for all."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.yup import yup_from_world
from worldloom.geometry.rigid import apply

JPEG_QUALITY = 92


@dataclass(frozen=True)
class TexturedMesh:
    """Triangles with places in an atlas: uv (0, 0) is the atlas's top-left corner, (1, 1) its bottom-right one."""

    vertices: Float[Tensor, "n 3"]
    faces: Int[Tensor, "m 3"]
    uv: Float[Tensor, "n 2"]


@dataclass(frozen=True)
class Node:
    """A mesh, by its number, somewhere in the world."""

    name: str
    mesh: int
    world_from_mesh: Float[Tensor, "4 4"]


@dataclass(frozen=True)
class Atlas:
    """Textures of glTF's metal-roughness model: sRGB base colour and emission, linear roughness and metallic."""

    base_colour: UInt8[Tensor, "h w 3"]
    roughness: UInt8[Tensor, "h w"]
    metallic: UInt8[Tensor, "h w"]
    emission: UInt8[Tensor, "h w 3"]

    @classmethod
    def plain(cls, colour: UInt8[Tensor, "h w 3"]) -> "Atlas":
        """Colours of something rough that is no metal and does not shine."""
        flat = torch.zeros_like(colour[..., 0])
        return cls(colour, torch.full_like(flat, 255), flat, torch.zeros_like(colour))


def save_textured_glb(
    path: str | Path, meshes: Sequence[TexturedMesh], nodes: Sequence[Node], atlas: Atlas, unlit: bool = False
) -> None:
    """Write a scene graph; z-up becomes glTF's y-up. Nodes that share a mesh store it once.

    Args:
        unlit: the base colour holds the light already and is shown as it is, and nothing else of the atlas is written
            (KHR_materials_unlit); as JPEG, for it is a photograph.
    Raises:
        InputError: no triangles, a vertex that is not finite, or a node without a mesh.
    """
    import trimesh
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    if not nodes or not any(len(mesh.faces) for mesh in meshes):
        raise InputError(f"saving {path}: expected at least one node and one triangle, got none")
    if not all(bool(mesh.vertices.isfinite().all() and mesh.uv.isfinite().all()) for mesh in meshes):
        raise InputError(f"saving {path}: expected finite vertices, got others")
    if bad := [node.mesh for node in nodes if not 0 <= node.mesh < len(meshes)]:
        raise InputError(f"saving {path}: expected nodes of {len(meshes)} meshes, got mesh {bad[0]}")

    class SharedMaterial(PBRMaterial):
        # trimesh asks every mesh for its material's hash; its own reads all texels of all textures each time.
        __hash__ = object.__hash__

    if unlit:
        material = SharedMaterial(name="atlas", baseColorTexture=_jpeg(atlas), metallicFactor=0.0, roughnessFactor=1.0)
    else:
        # glTF packs roughness into green and metallic into blue.
        packed = np.stack([np.full_like(atlas.roughness, 255), atlas.roughness.numpy(), atlas.metallic.numpy()], -1)
        material = SharedMaterial(
            name="atlas",
            baseColorTexture=Image.fromarray(atlas.base_colour.numpy()),
            metallicRoughnessTexture=Image.fromarray(packed),
            emissiveTexture=Image.fromarray(atlas.emission.numpy()) if atlas.emission.any() else None,
            emissiveFactor=[1.0, 1.0, 1.0] if atlas.emission.any() else None,
            metallicFactor=1.0,
            roughnessFactor=1.0,
        )
    turn = yup_from_world()
    scene: Any = trimesh.Scene()
    for i, mesh in enumerate(meshes):
        # trimesh turns v around when it writes, since it counts from the bottom.
        uv = mesh.uv.numpy() * [1, -1] + [0, 1]
        visual = TextureVisuals(uv=uv, material=material)
        # The mesh itself is turned, and its node's matrix with it: turn @ world @ mesh = (turn @ world @ turn^-1) turn.
        vertices = apply(turn, mesh.vertices.cpu().float()).numpy()
        scene.geometry[f"mesh {i}"] = trimesh.Trimesh(vertices, mesh.faces.cpu().numpy(), visual=visual, process=False)
    for i, node in enumerate(nodes):
        matrix = (turn @ node.world_from_mesh.cpu().float() @ turn.T).double().numpy()
        scene.graph.update(frame_to=f"{i:05d} {node.name}", matrix=matrix, geometry=f"mesh {node.mesh}")
    data = scene.export(file_type="glb", include_normals=False, tree_postprocessor=_show_as_it_is if unlit else None)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _jpeg(atlas: Atlas) -> Image.Image:
    """The base colour as an opened JPEG, which trimesh writes as one."""
    buffer = io.BytesIO()
    Image.fromarray(atlas.base_colour.numpy()).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    image: Any = Image.open(buffer)
    image.save = lambda file, format: file.write(buffer.getvalue())  # PIL would encode it again, and worse
    return image


def _show_as_it_is(tree: dict[str, Any]) -> None:
    tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), "KHR_materials_unlit"]
    for material in tree["materials"]:
        material["extensions"] = {**material.get("extensions", {}), "KHR_materials_unlit": {}}
