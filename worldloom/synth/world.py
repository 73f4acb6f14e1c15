"""What a world is made of: materials, parts, things, and the light they stand in."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldloom.geometry import OCC3D_CLASSES
from worldloom.synth.skies.sky import Sky

Colour = tuple[float, float, float]  # linear RGB
Pattern = Callable[[Float[Tensor, "n 3"], Float[Tensor, "n 3"]], Float[Tensor, "n 3"]]  # (points, normals) -> albedo

# One vocabulary for all worlds. The first seventeen are Occ3D's, so that a car is the same number in a courtyard's
# panorama and in a town's voxels. The id of "sky" is that of Occ3D's "free": nothing is there.
SEMANTICS = (
    *OCC3D_CLASSES[:-1],
    *("sky", "floor", "wall", "ceiling", "door", "window", "stairs", "column", "bed", "sofa", "chair", "table"),
    *("cabinet", "shelf", "lamp", "appliance", "plumbing", "picture", "curtain", "rug", "screen", "clutter"),
    *("building", "roof", "fence", "pole", "sign", "street_furniture", "tree", "bush", "grass", "rock", "water"),
)
SKY = SEMANTICS.index("sky")


@dataclass(frozen=True)
class Material:
    """Looks of a surface in glTF's metal-roughness model, in linear light. Two materials are the same if identical.

    The pattern is asked with points (metres) and unit face normals in the part's own frame, so that a texture sticks to
    its thing. It must be a pure function, and should vary on several scales: where every surface of one colour has one
    shape, depth can be read from colour alone.
    """

    name: str
    colour: Colour  # mean albedo in [0, 1]; what far bounces see
    pattern: Pattern | None = None  # albedo from place to place; None: `colour` all over
    roughness: float = 0.8  # 0 is a mirror, 1 is chalk
    metallic: float = 0.0
    emission: Colour = (0.0, 0.0, 0.0)  # radiance; a sunlit white wall is about 1


@dataclass(frozen=True)
class Part:
    """Triangles of one material, counter-clockwise from outside, in the frame of their thing."""

    vertices: Float[Tensor, "n 3"]  # metres
    faces: Int[Tensor, "m 3"]
    material: Material
    smooth: bool = False  # normals are interpolated between vertices that faces share


@dataclass(frozen=True)
class Thing:
    """One object, placed. Its number in its world is its instance id."""

    name: str
    semantic: str  # one of SEMANTICS
    parts: tuple[Part, ...]
    world_from_thing: Float[Tensor, "4 4"] = field(default_factory=lambda: torch.eye(4))
    # A surface that is many things at once, such as the ground, says what is where: world points -> ids of SEMANTICS.
    semantic_at: Callable[[Float[Tensor, "n 3"]], Int[Tensor, " n"]] | None = None

    def __post_init__(self) -> None:
        if self.semantic not in SEMANTICS:
            raise ValueError(f"semantic must be one of SEMANTICS, got {self.semantic!r}")


@dataclass(frozen=True)
class World:
    """Things under a sky, in metres, z up, with places where a camera may stand."""

    kind: str  # "room", "street", "courtyard", "field" or "town"
    seed: int
    things: tuple[Thing, ...]
    sky: Sky
    # Eyes of people: at least 0.35 m of air around each, the first one is the best place for a panorama.
    stands: Float[Tensor, "s 3"]
    exposure: float = 1.0  # what multiplies radiance before `develop`; rooms need more than streets
