"""Tables of triangles: things that share parts, and two soups one after the other."""

import math

import numpy as np
import torch

from worldloom.synth.shapes import box, ellipsoid
from worldloom.synth.soup import TwoSoups, soup_from_things
from worldloom.synth.world import Material, Thing

GREY, LAMP = Material("grey", (0.5, 0.5, 0.5)), Material("lamp", (0.1, 0.2, 0.3), emission=(1.0, 1.0, 1.0))
PARTS = (
    box((1.0, 2.0, 3.0), (0.0, 0.0, 0.0), GREY),
    ellipsoid((0.5, 0.4, 0.3), (0.0, 0.0, 2.0), LAMP, sides=8, rings=4),
)


def pose(angle: float, x: float) -> torch.Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s, 0, x], [s, c, 0, 1], [0, 0, 1, 2], [0, 0, 0, 1]])


def test_things_that_share_parts_are_placed_each_by_its_own_pose():
    things = [
        Thing("a", "wall", PARTS, pose(0.3, 1.0)),
        Thing("none", "wall", ()),
        Thing("b", "wall", PARTS, pose(2, 5)),
    ]
    soup = soup_from_things(things)
    points = torch.cat([part.vertices.double() for part in PARTS])
    expected = [
        points @ t.world_from_thing[:3, :3].double().T + t.world_from_thing[:3, 3].double() for t in things[::2]
    ]
    torch.testing.assert_close(soup.vertices, torch.cat(expected), rtol=0, atol=1e-12)
    assert soup.thing.unique().tolist() == [0, 2]
    assert soup.faces[soup.thing == 2].min() == len(points)
    # Of a closed surface, normals lead outwards: away from the middle of the ellipsoid, wherever it stands.
    smooth = soup.faces[soup.smooth & (soup.thing == 2)].long().unique()
    middle = torch.tensor([5.0, 1.0, 4.0], dtype=torch.float64)
    if len(smooth):
        away = soup.vertices[smooth] - middle
        assert bool((away * soup.vertex_normals[smooth]).sum(-1).gt(0).all())


def test_two_soups_answer_as_one_of_all_their_things():
    things = [Thing(str(i), "wall", PARTS, pose(i, 3 * i)) for i in range(3)]
    both, whole = TwoSoups(soup_from_things(things[:1]), soup_from_things(things[1:])), soup_from_things(things)
    face = torch.randperm(whole.num_faces, generator=torch.Generator().manual_seed(0))
    assert both.num_faces == whole.num_faces
    assert torch.equal(both.thing_of(face), whole.thing[face])
    assert torch.equal(both.planes_of(face), whole.planes[face])
    assert torch.equal(both.smooth_of(face), whole.smooth[face])
    assert torch.equal(both.corners_of(face), whole.vertices[whole.faces[face].long()])
    assert torch.equal(both.corner_normals_of(face), whole.vertex_normals[whole.faces[face].long()])
    assert torch.equal(both.shining, whole.shining)
    np.testing.assert_array_equal(both.normal_columns_of(face.numpy()), whole.normal_columns[:, face.numpy()])
    assert torch.equal(both.emission[both.material_of(face)], whole.emission[whole.material[face]])
    numbers = both.material_numbers_of(face.numpy())
    assert torch.equal(both.colour[torch.from_numpy(numbers).long()], whole.colour[whole.material[face]])
    assert torch.equal(both.world_from_thing, whole.world_from_thing)
