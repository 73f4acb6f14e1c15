"""What the viewer asks of the rasterizer and hands to browsers."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from worldloom.apps.walk.stream import camera_from_viser
from worldloom.geometry import apply


def test_a_viser_camera_is_ours():
    """A quarter turn about x makes viser's camera look along world +y; the edge of its view is half the fov away."""
    half = math.sqrt(0.5)
    handle = SimpleNamespace(wxyz=np.array([half, -half, 0, 0]), position=np.array([1.0, 2, 3]), fov=1.0, aspect=2.0)
    camera = camera_from_viser(handle, 100)
    assert camera.size == (100, 200)
    ahead = apply(camera.cam_from_world, torch.tensor([[1.0, 12.0, 3.0], [1.0, 12.0, 3.0 + 10 * math.tan(0.5)]]))
    pixels = ahead @ camera.K.mT
    torch.testing.assert_close(
        pixels[:, :2] / pixels[:, 2:], torch.tensor([[100.0, 50.0], [100.0, 0.0]]), atol=1e-3, rtol=0
    )
    right = torch.tensor([[100 / camera.K[0, 0].item(), 0.0, 1.0]]) @ camera.K.mT
    assert right[0, 0].item() == pytest.approx(200)
