"""Cells become polygons that cover the same ground, fit each other, and join what the cells join."""

import math
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from scipy import ndimage

from tests.scenegen.rooms import furnished
from worldloom.geometry import Agent
from worldloom.scenegen.free_space import FreeSpace
from worldloom.scenegen.ground import Ground, find_ground
from worldloom.scenegen.walkable_mesh import navmesh_from_ground

AGENT = Agent()


def ground_of_cells(walkable, height=None, cell=0.1):
    height = np.zeros(walkable.shape, np.float32) if height is None else height.astype(np.float32)
    first = np.argwhere(walkable)
    start = (int(first[0, 0]), int(first[0, 1])) if len(first) else None
    return Ground(
        (-1.0, 2.0),
        cell,
        np.where(walkable, height, np.nan).astype(np.float32),
        walkable.astype(np.float32),
        walkable,
        start,
    )


def blobs(seed, size=90, holes=0.35):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((size, size)), 3)
    return noise > np.quantile(noise, holes)


def outlines(navmesh):
    return [shapely.Polygon(navmesh.vertices[list(p), :2].double().numpy()) for p in navmesh.polygons]


@pytest.mark.parametrize("seed", range(4))
def test_polygons_cover_the_cells_without_overlap(seed):
    walkable = blobs(seed)
    navmesh = navmesh_from_ground(ground_of_cells(walkable), AGENT)
    cells = [shapely.box(-1 + 0.1 * i, 2 + 0.1 * j, -0.9 + 0.1 * i, 2.1 + 0.1 * j) for i, j in np.argwhere(walkable)]
    truth, faces = shapely.union_all(cells), outlines(navmesh)
    together = shapely.union_all(faces)
    assert sum(face.area for face in faces) == pytest.approx(together.area, rel=1e-6)
    assert navmesh.area == pytest.approx(together.area, rel=1e-5)
    assert together.symmetric_difference(truth).area < 0.06 * truth.area
    # Outlines move by a cell or so.
    assert truth.buffer(0.15).covers(together)
    assert together.buffer(0.2).covers(truth)


def test_far_fewer_polygons_than_cells():
    navmesh = navmesh_from_ground(ground_of_cells(np.ones((120, 200), bool)), AGENT)
    assert len(navmesh.polygons) <= 12
    assert navmesh.area == pytest.approx(240)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_joined_by_cells_is_joined_by_polygons(seed):
    walkable = blobs(seed, holes=0.5)
    labelled: Any = ndimage.label(walkable)
    label = labelled[0]
    largest = label == 1 + np.bincount(label[label > 0])[1:].argmax()
    ground = ground_of_cells(largest)
    navmesh = navmesh_from_ground(ground, AGENT)
    cells = np.argwhere(largest)
    ends = ground.points(cells[np.random.default_rng(seed).choice(len(cells), 8)])
    ends = ends[navmesh.locate(ends) >= 0]
    assert len(ends) >= 4
    for end in ends[1:]:
        way = navmesh.shortest_path(ends[0], end)
        assert way is not None
        torch.testing.assert_close(way[[0, -1]], torch.stack([ends[0], end]), atol=1e-5, rtol=0)


def test_pieces_apart_stay_apart():
    walkable = np.zeros((40, 40), bool)
    walkable[:15], walkable[20:] = True, True
    ground = ground_of_cells(walkable)
    navmesh = navmesh_from_ground(ground, AGENT)
    a, b = ground.points(np.array([[5, 5], [30, 30]]))
    assert navmesh.shortest_path(a, b) is None


def test_a_hill_keeps_its_shape():
    x, y = np.meshgrid(np.arange(100) * 0.1, np.arange(100) * 0.1, indexing="ij")
    height = 0.8 * np.exp(-((x - 5) ** 2 + (y - 5) ** 2) / 6)
    ground = ground_of_cells(np.ones((100, 100), bool), height)
    navmesh = navmesh_from_ground(ground, AGENT)
    assert len(navmesh.polygons) > 4
    on = navmesh.vertices
    expected = 0.8 * torch.exp(-((on[:, 0] + 1 - 5) ** 2 + (on[:, 1] - 2 - 5) ** 2) / 6)
    torch.testing.assert_close(on[:, 2], expected, atol=0.03, rtol=0)
    way = navmesh.shortest_path(torch.tensor([-0.5, 2.5, 0.0]), torch.tensor([8.5, 11.5, 0.0]))
    assert way is not None
    true = 0.8 * torch.exp(-((way[:, 0] - 4) ** 2 + (way[:, 1] - 7) ** 2) / 6)
    assert (way[:, 2] - true).abs().max() < 0.15
    assert way[:, 2].max() > 0.6  # over the hill, which is the shortest


def test_nothing_walkable_makes_an_empty_mesh():
    navmesh = navmesh_from_ground(ground_of_cells(np.zeros((8, 8), bool)), AGENT)
    assert navmesh.polygons == ()
    assert navmesh.area == 0


def test_the_mesh_of_a_room_lies_a_radius_from_its_walls():
    panorama = furnished(((2.0, -0.3, -1.6), (2.6, 0.3, 1.2)), height=192)
    ground = find_ground(panorama, FreeSpace(panorama, 200_000), AGENT, 0.1)
    navmesh = navmesh_from_ground(ground, AGENT)
    assert navmesh.agent == AGENT
    xy = navmesh.vertices[:, :2]
    assert xy[:, 0].min() > -3 + AGENT.radius
    assert xy[:, 1].abs().max() < 4 - AGENT.radius
    box = shapely.box(2.0, -0.3, 2.6, 0.3)
    assert min(face.distance(box) for face in outlines(navmesh)) > AGENT.radius
    start, behind = torch.tensor([0.0, 0.0, -1.6]), torch.tensor([3.5, 2.0, -1.6])
    way = navmesh.shortest_path(start, behind)
    assert way is not None
    length = way.diff(dim=0).norm(dim=-1).sum().item()
    assert math.hypot(3.5, 2.0) <= length + 1e-4 < 1.02 * math.hypot(3.5, 2.0)
