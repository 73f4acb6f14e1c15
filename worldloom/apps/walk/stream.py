"""Pictures that the server draws for one browser: quick while its camera moves, sharp when it stands."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.apps.walk.newest import Newest
from worldloom.geometry import Camera, compose, rotmat_from_quat

MOVING_HEIGHTS = (144, 360)  # pixels, the least and the most while the camera moves
FRAME_SECONDS = 1 / 30  # aimed at for drawing and encoding a picture while the camera moves
RESTING_HEIGHT = 1080  # at most; else the height of the browser's canvas
REST = 0.2  # seconds without a new camera: it stands
MOVING_QUALITY, RESTING_QUALITY = 75, 90  # JPEG


class Stream:
    """Sends the background image of one viser client. Of cameras that come while it draws, the newest counts."""

    def __init__(self, client: Any, draw: Callable[[Camera], Float[Tensor, "3 h w"] | None]) -> None:
        """`draw` gives a picture in [0, 1], or None where the browser draws by itself."""
        self._client, self._draw = client, draw
        self._height = float(MOVING_HEIGHTS[1])
        self._newest = Newest(self._send_moving_then_resting)
        client.camera.on_update(lambda _: self.request())

    def request(self) -> None:
        """Draw again, with the camera as it is now."""
        self._newest.request()

    def stop(self) -> None:
        self._newest.stop()

    def _send_moving_then_resting(self, newest: Newest) -> None:
        start = time.perf_counter()
        if not self.send(min(round(self._height), self._canvas()), MOVING_QUALITY):
            return
        # The time of a picture goes with its area, roughly; half-way towards what would fit, so that it does not swing.
        fitting = self._height * math.sqrt(FRAME_SECONDS / max(time.perf_counter() - start, 1e-4))
        self._height = min(max((self._height + fitting) / 2, MOVING_HEIGHTS[0]), MOVING_HEIGHTS[1])
        if not newest.requested_within(REST):
            self.send(min(self._canvas(), RESTING_HEIGHT), RESTING_QUALITY)

    def _canvas(self) -> int:
        return max(16, int(self._client.camera.image_height))

    def send(self, height: int, quality: int) -> bool:
        """One picture of `height` pixels; False where the browser draws by itself."""
        image = self._draw(camera_from_viser(self._client.camera, height))
        if image is None:
            return False
        pixels = pixels_of(image)
        self._client.scene.set_background_image(pixels, format="jpeg", jpeg_quality=quality)
        return True


def pixels_of(image: Float[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """As viser takes it."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def camera_from_viser(handle: Any, height: int) -> Camera:
    """Our camera for a viser one: OpenCV axes too, `fov` is vertical (radians), aspect is width / height."""
    width = max(16, round(height * float(handle.aspect)))
    focal = 0.5 * height / math.tan(float(handle.fov) / 2)
    rotation = rotmat_from_quat(torch.tensor(handle.wxyz, dtype=torch.float32))
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float32)
    return Camera(compose(rotation, torch.tensor(handle.position, dtype=torch.float32)), K, (height, width))
