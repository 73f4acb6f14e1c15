"""The raster of the ground: filling outlines exactly, layers over layers, kerbs, and the mesh that follows it."""

import numpy as np
import pytest
import shapely
import torch

from worldloom.synth.cast import Caster
from worldloom.synth.relief import make_relief
from worldloom.synth.skies.sky import Sky
from worldloom.synth.towns.ground import (
    DRIVEABLE,
    KERB,
    SIDEWALK,
    TERRAIN,
    Ground,
    PaintedArea,
    Patch,
    Sheet,
    make_ground,
    rings_of,
)
from worldloom.synth.towns.ground_mesh import ground_thing
from worldloom.synth.world import World


def _mask(sheet: Sheet, rings: list[np.ndarray]) -> torch.Tensor:
    mask = torch.zeros(sheet.shape, dtype=torch.bool)
    mask.view(-1)[sheet.covered(rings)] = True
    return mask


def test_cells_whose_centre_is_inside():
    """Half a cell decides: [0.4, 1.6] holds the centres 0.5 and 1.5, [0.6, 1.4] holds none."""
    sheet = Sheet((0.0, 0.0), 1.0, (4, 3))
    wide = np.array([[0.4, 0.4], [1.6, 0.4], [1.6, 2.6], [0.4, 2.6]])
    expected = torch.zeros(4, 3, dtype=torch.bool)
    expected[:2, :] = True
    assert torch.equal(_mask(sheet, [wide]), expected)
    assert not _mask(sheet, [np.array([[0.6, 0.6], [1.4, 0.6], [1.4, 1.4], [0.6, 1.4]])]).any()


def test_covered_agrees_with_shapely_on_odd_shapes():
    rng = np.random.default_rng(5)
    sheet = Sheet((-3.0, 2.0), 0.37, (60, 45))
    i, j = np.meshgrid(np.arange(60), np.arange(45), indexing="ij")
    x, y = -3.0 + 0.37 * (i + 0.5), 2.0 + 0.37 * (j + 0.5)
    for _ in range(6):
        blobs = [shapely.Point(rng.uniform(-6, 22), rng.uniform(0, 20)).buffer(rng.uniform(1, 7)) for _ in range(5)]
        area = shapely.union_all(blobs).difference(shapely.Point(rng.uniform(0, 15, 2)).buffer(2.2))
        assert np.array_equal(_mask(sheet, rings_of(area)).numpy(), shapely.contains_xy(area, x, y))


def test_overlapping_rings_are_one_area():
    sheet = Sheet((0.0, 0.0), 1.0, (8, 8))
    a = np.array([[0.0, 0.0], [5.0, 0.0], [5.0, 5.0], [0.0, 5.0]])
    assert torch.equal(_mask(sheet, [a, a + 2]), _mask(sheet, [a]) | _mask(sheet, [a + 2]))
    assert len(sheet.covered([])) == 0


@pytest.fixture(scope="module")
def strip() -> Ground:
    """A road along x, 6 m wide, with a sidewalk on its left, a stripe in the middle, on a slope."""
    patches = [
        Patch(shapely.box(-20, 3, 20, 6), SIDEWALK, True),
        Patch(shapely.box(-20, -3, 20, 3), DRIVEABLE, False),
    ]
    stripe = np.array([[-10.0, -0.1], [10.0, -0.1], [10.0, 0.1], [-10.0, 0.1]])
    return make_ground((-20.0, -10.0, 20.0, 10.0), patches, [PaintedArea("white", (stripe,))], make_relief(4))


def test_layers_paint_and_heights(strip: Ground):
    xy = torch.tensor([[0.0, 0.05], [0.0, 2.0], [0.0, 4.0], [0.0, 8.0], [15.0, 0.05]])
    assert strip.label_at(xy).tolist() == [DRIVEABLE, DRIVEABLE, SIDEWALK, TERRAIN, DRIVEABLE]
    above = strip.height(xy) - strip.relief.height(xy)
    assert above.tolist() == pytest.approx([0, 0, KERB, KERB, 0], abs=1e-6)
    shares = strip.paint_shares_at(xy)
    assert shares[0, 1] > 0.9
    assert shares[1:].abs().max() == 0
    assert shares.sum() == shares[0, 1]


def test_smooth_labels_agree_away_from_edges(strip: Ground):
    xy = 30 * torch.rand(3000, 2, generator=torch.Generator().manual_seed(2)) - torch.tensor([15.0, 15.0])
    far = ((xy[:, 1:].abs() - torch.tensor([3.0, 6.0])).abs() > 0.3).all(-1) & (xy[:, 1].abs() < 9)
    assert torch.equal(strip.smooth_label_at(xy)[far], strip.label_at(xy)[far])


def test_mesh_is_the_height_everywhere(strip: Ground):
    """Rays from above meet the ground at its height, on both sides of the kerb, and learn what it is."""
    thing = ground_thing(strip, shapely.box(-20, -3, 20, 3), 1)
    caster = Caster(World("town", 1, (thing,), Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3)), 1)
    xy = 30 * torch.rand(2000, 2, generator=torch.Generator().manual_seed(7), dtype=torch.float64) - 15
    xy = xy[((xy[:, 1].abs() - 3).abs() > 0.12) & ((xy[:, 1] - 6).abs() > 0.12) & (xy[:, 1].abs() < 9.5)]
    origins = torch.cat([xy, torch.full((len(xy), 1), 50.0, dtype=torch.float64)], -1)
    down = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64).expand(len(xy), 3)
    hits = caster.cast(origins, down)
    assert bool(hits.found.all())
    assert torch.allclose(50 - hits.distance.double(), strip.height(xy), atol=0.008)
    surface = caster.surface(origins, down, hits)
    assert torch.equal(surface.semantic.long(), strip.label_at(xy))
    assert float(surface.face_normal[:, 2].min()) > 0.99


def test_kerb_faces_the_road(strip: Ground):
    thing = ground_thing(strip, shapely.box(-20, -3, 20, 3), 1)
    kerb = thing.parts[2]
    a, b, c = (kerb.vertices[kerb.faces[:, k].long()] for k in range(3))
    normal = torch.linalg.cross(b - a, c - a)
    middle = (a + b + c) / 3
    north = middle[:, 1] > 2.9
    assert bool(north.any())
    assert bool((normal[north, 1] < 0).all())
    assert bool((normal[middle[:, 1] < -2.9, 1] > 0).all())
