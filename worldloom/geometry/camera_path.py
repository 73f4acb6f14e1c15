"""A camera that moves: cameras at times, with a name."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.camera import Camera


@dataclass(frozen=True)
class CameraPath:
    """Cameras (t,) of one path, in the world."""

    name: str
    cameras: Camera
    times: Float[Tensor, " t"] | None = None  # seconds, rising; None: only the order is known

    def __post_init__(self) -> None:
        if len(self.cameras.batch) != 1 or len(self.cameras) < 1:
            raise InputError(f"path {self.name!r}: expected cameras with batch (t,), got {self.cameras.batch}")
        if self.times is None:
            return
        if self.times.shape != self.cameras.batch:
            raise InputError(
                f"path {self.name!r}: expected a time for each of {len(self.cameras)} cameras, got {len(self.times)}"
            )
        if not self.times.isfinite().all() or not (self.times.diff() > 0).all():
            raise InputError(f"path {self.name!r}: expected finite times that rise, got {self.times.tolist()[:8]}")
