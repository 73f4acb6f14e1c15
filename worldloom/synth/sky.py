"""The light of the world outside: a sky seen in every direction, and the sun."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Sky:
    """A clear to overcast sky, in units where a sunlit white wall is about 1."""

    towards_sun: tuple[float, float, float]  # unit vector
    sun: tuple[float, float, float] = (3.0, 2.8, 2.5)  # irradiance on a surface that faces the sun; 0 when overcast
    zenith: tuple[float, float, float] = (0.25, 0.45, 0.9)  # radiance
    horizon: tuple[float, float, float] = (0.85, 0.92, 1.0)

    def radiance(self, directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Radiance from unit directions, without the sun's disc."""
        up = directions[:, 2:].clamp(0, 1) ** 0.5
        return directions.new_tensor(self.horizon) * (1 - up) + directions.new_tensor(self.zenith) * up
