"""Maps from above: pixels by hand, so that no axis is swapped or turned."""

import pytest
import torch

from worldloom.geometry import FREE, OCC3D_GRID, VoxelGrid
from worldloom.geometry.occ3d_palette import OCC3D_COLOURS
from worldloom.render.birdseye import EMPTY, OUTLINE, RECOVERED_COLOUR, render_bev

GRID = VoxelGrid(origin=(-2.0, -1.5, 0.0), voxel_size=1.0, shape=(4, 3, 2))
CAR, ROAD, TREE = 4, 11, 16


def flat(grid: VoxelGrid = GRID, label: int = ROAD) -> torch.Tensor:
    labels = torch.full(grid.shape, FREE, dtype=torch.uint8)
    labels[:, :, 0] = label
    return labels


def hue(rgb: torch.Tensor) -> torch.Tensor:
    return rgb / rgb.max()


def test_ahead_is_up_and_left_is_left():
    labels = flat()
    labels[3, 0, 0] = CAR  # ahead, right
    labels[0, 2, 0] = TREE  # behind, left
    image = render_bev(labels, GRID, (4, 3), ego=False)
    assert image.shape == (3, 4, 3)
    # A flat scene one voxel high of two is lit by 0.86 + 0.14 / 2 everywhere.
    for i in range(4):
        for j in range(3):
            expected = 0.93 * OCC3D_COLOURS[labels[3 - i, 2 - j, 0].long()]
            torch.testing.assert_close(image[:, i, j], expected, atol=1e-6, rtol=0)


def test_the_highest_voxel_shows():
    labels = flat()
    labels[1, 1, 1] = TREE
    image = render_bev(labels, GRID, (4, 3), ego=False)
    torch.testing.assert_close(hue(image[:, 2, 1]), hue(OCC3D_COLOURS[TREE]), atol=1e-6, rtol=0)
    labels[1, 1] = FREE
    torch.testing.assert_close(render_bev(labels, GRID, (4, 3), ego=False)[:, 2, 1], torch.tensor(EMPTY))


def test_light_comes_from_ahead_and_left():
    grid = VoxelGrid((0.0, 0.0, 0.0), 1.0, (9, 9, 4))
    labels = flat(grid)
    labels[3:6, 3:6, :3] = TREE
    image = render_bev(labels, grid, (9, 9), ego=False)[1]  # green
    roof = image[3:6, 3:6]
    assert roof[0, 1] > roof[1, 1] > roof[2, 1]  # top row of the image lies ahead
    assert roof[1, 0] > roof[1, 1] > roof[1, 2]


def test_size_is_free_and_the_grid_fills_it():
    labels = flat()
    labels[3, 2, 0] = CAR
    assert render_bev(labels, GRID).shape == (3, 16, 12)
    image = render_bev(labels, GRID, (80, 90), ego=False)
    blue = (image[0] < 0.1).nonzero()
    assert blue.amin(0).tolist() == [0, 0]
    assert blue.amax(0).tolist() == [19, 29]


def test_path_and_ego_are_drawn_in_place():
    labels = torch.full(OCC3D_GRID.shape, FREE, dtype=torch.uint8)
    plain = render_bev(labels, OCC3D_GRID, (800, 800), ego=False)
    path = torch.tensor([[5.0, 0.0], [20.0, 0.0], [20.0, 10.0]])  # ahead, then to the left
    image = render_bev(labels, OCC3D_GRID, (800, 800), ego=False, path=path)
    changed = (image != plain).any(0)
    dark = (image - torch.tensor(OUTLINE)[:, None, None]).abs().amax(0) < 1e-4
    for x, y, drawn in [
        (10, 0, True),
        (20, 0, True),
        (20, 9.9, True),
        (20, -5, False),
        (-10, 0, False),
        (10, 5, False),
    ]:
        row, column = int(400 - 10 * x), int(400 - 10 * y)
        assert bool(dark[row, column]) == drawn
        assert bool(changed[row, column]) == drawn
    rows, columns = changed.nonzero().unbind(-1)
    assert (rows.min() - 200, rows.max() - 350) == pytest.approx((-5, 5), abs=1)
    assert (columns.min() - 300, columns.max() - 400) == pytest.approx((-5, 5), abs=1)
    with_ego = (render_bev(labels, OCC3D_GRID, (800, 800)) != plain).any(0).nonzero().float()
    centre = with_ego.mean(0)
    assert centre.tolist() == pytest.approx([400 - 10 * 1.05, 399.5], abs=1)
    assert (with_ego.amax(0) - with_ego.amin(0)).tolist() == pytest.approx([45, 23], abs=2)


def test_unobserved_columns_are_dimmed():
    observed = torch.zeros(GRID.shape, dtype=torch.bool)
    observed[3, :, 1] = True
    image = render_bev(flat(), GRID, (4, 3), ego=False, observed=observed)
    assert (image[0, 0] > image[0, 1] + 0.1).all()
    assert torch.equal(image[0, 1], image[0, 3])


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="grid's shape"):
        render_bev(flat()[1:], GRID)
    with pytest.raises(ValueError, match="colour for label 99"):
        render_bev(flat(label=99), GRID)


def test_the_recovered_path_lies_in_the_other_where_it_is():
    labels = torch.full(OCC3D_GRID.shape, FREE, dtype=torch.uint8)
    path, found = torch.tensor([[0.0, 0.0], [20.0, 0.0]]), torch.tensor([[0.0, 0.0], [20.0, 4.0]])
    image = render_bev(labels, OCC3D_GRID, (800, 800), path=path, recovered=found, ego=False)
    colour = torch.tensor(RECOVERED_COLOUR)
    at = lambda x, y: image[:, round(400 - 10 * x), round(400 - 10 * y)]  # noqa: E731
    torch.testing.assert_close(at(20.0, 4.0 - 0.05), colour, atol=0.1, rtol=0)
    torch.testing.assert_close(at(10.0, 2.0), colour, atol=0.1, rtol=0)
    torch.testing.assert_close(at(10.0, 0.0), torch.tensor(OUTLINE), atol=0.1, rtol=0)
    torch.testing.assert_close(at(10.0, -2.0), torch.tensor(EMPTY), atol=0.1, rtol=0)
