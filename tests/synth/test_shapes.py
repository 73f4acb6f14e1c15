"""Solid shapes are closed, face outwards and enclose the volume that their formulas say."""

import math

import numpy as np
import pytest
import torch

from worldloom.synth.shapes import (
    box,
    cylinder,
    ellipsoid,
    height_field,
    lathe,
    placed,
    prism,
    slab,
    triangulate,
    tube,
    turned,
)
from worldloom.synth.world import Material, Part, Thing

GREY = Material("grey", (0.5, 0.5, 0.5))


def volume(part: Part) -> float:
    """Signed volume by the divergence theorem: positive only if all faces look outwards."""
    a, b, c = (part.vertices.double()[part.faces[:, k].long()] for k in range(3))
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (box((2, 3, 4), (1, 1, 1), GREY, yaw=0.3), 24.0),
        (slab((0, 0, 0), (1, 2, 3), GREY), 6.0),
        (cylinder(2, 3, (5, 0, 0), GREY, sides=256), math.pi * 4 * 3),
        (cylinder(2, 3, (0, 0, 1), GREY, sides=256, top=0), math.pi * 4),
        (ellipsoid((1, 2, 3), (0, 7, 0), GREY, sides=128, rings=64), 4 / 3 * math.pi * 6),
        (tube([(0, 0, 0), (0, 0, 5), (0, 0, 9)], 0.5, GREY, sides=256), math.pi * 0.25 * 9),
        (tube([(0, 0, 0), (4, 3, 0)], 0.5, GREY, sides=256), math.pi * 0.25 * 5),
        (prism([(0, 0), (4, 0), (4, 1), (1, 1), (1, 3), (0, 3)], 1, 3, GREY), 2 * (4 + 2)),
        (lathe([(0, 0), (1, 0), (1, 2), (0, 2)], GREY, sides=256), 2 * math.pi),
    ],
)
def test_volume(part: Part, expected: float) -> None:
    assert volume(part) == pytest.approx(expected, rel=2e-3)
    edges = np.sort(np.concatenate([part.faces.numpy()[:, [i, (i + 1) % 3]] for i in range(3)]), axis=1)
    at = np.round(part.vertices.numpy(), 4)
    # Every edge, told by where it is, belongs to two faces: the shape is closed.
    ends = np.sort(np.unique(at, axis=0, return_inverse=True)[1].reshape(-1)[edges], axis=1)
    assert (np.unique(ends, axis=0, return_counts=True)[1] == 2).all()


def test_height_field_faces_up() -> None:
    part = height_field(torch.arange(3.0), torch.arange(4.0), torch.zeros(3, 4), GREY)
    a, b, c = (part.vertices[part.faces[:, k].long()] for k in range(3))
    normals = torch.linalg.cross(b - a, c - a)
    assert (normals[:, 2] > 0).all()
    assert normals[:, 2].sum() / 2 == pytest.approx(6)


def test_an_outline_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match="counter-clockwise"):
        triangulate(np.array([(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)]))


def test_turning_and_placing() -> None:
    ahead = torch.tensor([1.0, 0, 0])
    torch.testing.assert_close(turned(yaw=math.pi / 2) @ ahead, torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)
    assert (turned(pitch=0.3) @ ahead)[2] < 0
    thing = placed(Thing("post", "pole", (box((1, 1, 1), (1, 0, 0), GREY),)), (0, 0, 5), math.pi / 2)
    torch.testing.assert_close(
        thing.world_from_thing @ torch.tensor([1.0, 0, 0, 1]), torch.tensor([0.0, 1, 5, 1]), atol=1e-6, rtol=0
    )
