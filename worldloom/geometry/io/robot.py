"""A static world for robot simulators: URDF, MJCF (MuJoCo) and the meshes that both name.

What is seen is one textured Wavefront mesh, what is collided with are convex hulls: engines take the hull of every
mesh, so a concave one would fill the room that it encloses. All is in our world's axes (metres, z up), which Wavefront
files leave to whoever reads them.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from PIL import Image

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.textured import Atlas, TexturedMesh
from worldloom.geometry.mesh import Mesh

MESHES = "meshes"
VISUAL = "visual"


def save_robot_meshes(folder: str | Path, visual: TexturedMesh, atlas: Atlas, hulls: Sequence[Mesh]) -> None:
    """Write FOLDER/meshes/visual.obj, .mtl and .png and hull_0000.obj, …: what the URDF and the MJCF name.

    Raises:
        InputError: the folder is not there, there are no triangles or hulls, or vertices are not finite.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"cannot write {folder / MESHES}: the folder {folder} does not exist")
    shapes = [visual.vertices, *(hull.vertices for hull in hulls)]
    if not hulls or not len(visual.faces) or not all(bool(vertices.isfinite().all()) for vertices in shapes):
        raise InputError(f"saving {folder}: expected a mesh and hulls with finite vertices, got others")
    meshes = folder / MESHES
    meshes.mkdir(exist_ok=True)
    with atomic_path(meshes / f"{VISUAL}.png") as temporary:
        Image.fromarray(atlas.base_colour.numpy()).save(temporary)
    material = f"newmtl atlas\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {VISUAL}.png\n"
    _write(meshes / f"{VISUAL}.mtl", material)
    uv = visual.uv.double().numpy() * [1, -1] + [0, 1]  # Wavefront counts v from the bottom
    corners = visual.faces.numpy() + 1
    faces = np.stack([corners, corners], -1).reshape(-1, 6)
    lines = [f"mtllib {VISUAL}.mtl\nusemtl atlas\n", _rows("v", visual.vertices.numpy(), "%.6g", 3)]
    lines += [_rows("vt", uv, "%.7g", 2), _rows("f", faces, "%d/%d", 3)]
    _write(meshes / f"{VISUAL}.obj", "".join(lines))
    for i, hull in enumerate(hulls):
        text = _rows("v", hull.vertices.numpy(), "%.6g", 3) + _rows("f", hull.faces.numpy() + 1, "%d", 3)
        _write(meshes / f"{_hull(i)}.obj", text)


def save_urdf(path: str | Path, num_hulls: int, name: str = "scene") -> None:
    """Write a URDF of one link without joints, which names the meshes of `save_robot_meshes` in the same folder."""
    robot = Element("robot", name=name)
    # Readers other than MuJoCo pass over this; it would look for the meshes beside the file.
    SubElement(SubElement(robot, "mujoco"), "compiler", strippath="false")
    link = SubElement(robot, "link", name=name)
    for kind, file in [("visual", VISUAL), *(("collision", _hull(i)) for i in range(num_hulls))]:
        geometry = SubElement(SubElement(link, kind), "geometry")
        SubElement(geometry, "mesh", filename=f"{MESHES}/{file}.obj")
    _write_xml(path, robot)


def save_mjcf(path: str | Path, num_hulls: int, name: str = "scene") -> None:
    """Write a MuJoCo model whose world body is the scene, with the meshes of `save_robot_meshes` in the same folder.

    What is seen is in group 2 and what is collided with in group 3, which the viewer of MuJoCo hides at first.
    """
    root = Element("mujoco", model=name)
    SubElement(root, "compiler", meshdir=MESHES, texturedir=MESHES)
    asset = SubElement(root, "asset")
    SubElement(asset, "texture", name=VISUAL, type="2d", file=f"{VISUAL}.png")
    SubElement(asset, "material", name=VISUAL, texture=VISUAL, emission="1", specular="0")
    # An open surface has no volume to weigh.
    SubElement(asset, "mesh", name=VISUAL, file=f"{VISUAL}.obj", inertia="shell")
    for i in range(num_hulls):
        SubElement(asset, "mesh", name=_hull(i), file=f"{_hull(i)}.obj")
    world = SubElement(root, "worldbody")
    seen = {"name": VISUAL, "type": "mesh", "mesh": VISUAL, "material": VISUAL, "group": "2"}
    SubElement(world, "geom", {**seen, "contype": "0", "conaffinity": "0"})
    for i in range(num_hulls):
        SubElement(world, "geom", name=_hull(i), type="mesh", mesh=_hull(i), group="3")
    _write_xml(path, root)


def _hull(i: int) -> str:
    return f"hull_{i:04d}"


def _rows(head: str, values: np.ndarray, form: str, each: int) -> str:
    row = f"{head} {' '.join([form] * each)}\n"
    return (row * len(values)) % tuple(values.ravel().tolist())


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def _write_xml(path: str | Path, root: Element) -> None:
    ElementTree.indent(root)
    _write(Path(path), ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n")
