"""The triangle mesh."""

from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True)
class Mesh:
    """Triangles in our world (metres, z up), counter-clockwise from outside."""

    vertices: Float[Tensor, "n 3"]
    faces: Int64[Tensor, "m 3"]  # rows of `vertices`
    colours: Float[Tensor, "n 3"] | None = None  # [0, 1], of the vertices

    def __post_init__(self) -> None:
        if self.vertices.shape[1:] != (3,) or self.faces.shape[1:] != (3,):
            raise ValueError(
                f"a mesh needs vertices n 3 and faces m 3, got {tuple(self.vertices.shape)}, {tuple(self.faces.shape)}"
            )
        if self.faces.numel() and not 0 <= int(self.faces.min()) <= int(self.faces.max()) < len(self.vertices):
            raise ValueError(
                f"faces must index {len(self.vertices)} vertices, got {int(self.faces.min())}..{int(self.faces.max())}"
            )
        if self.colours is not None and self.colours.shape != self.vertices.shape:
            raise ValueError(
                f"colours must be as vertices {tuple(self.vertices.shape)}, got {tuple(self.colours.shape)}"
            )
