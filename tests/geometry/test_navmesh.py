"""Navmeshes made by hand: neighbours, places, and shortest ways that can be worked out."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.errors import InputError
from worldloom.geometry import Agent, NavMesh


def grid_mesh(columns, rows, missing=(), height=lambda x, y: 0.0):
    """Unit squares in columns x rows, but for those that are missing."""
    vertices = torch.tensor([[x, y, height(x, y)] for y in range(rows + 1) for x in range(columns + 1)]).float()

    def corner(x, y):
        return y * (columns + 1) + x

    squares = [
        (corner(x, y), corner(x + 1, y), corner(x + 1, y + 1), corner(x, y + 1))
        for y in range(rows)
        for x in range(columns)
        if (x, y) not in missing
    ]
    return NavMesh(vertices, tuple(squares))


def length(way):
    return way.diff(dim=0).norm(dim=-1).sum().item()


def test_neighbours_lie_beyond_each_edge():
    mesh = grid_mesh(2, 2)
    # Edges of a square run along y = low, x = high, y = high, x = low.
    assert mesh.neighbours == ((-1, 1, 2, -1), (-1, -1, 3, 0), (0, 3, -1, -1), (1, -1, -1, 2))
    assert mesh.area == pytest.approx(4)


def test_a_straight_walk_is_straight():
    way = grid_mesh(6, 4).shortest_path(torch.tensor([0.5, 0.5, 0]), torch.tensor([5.5, 3.0, 0]))
    assert way is not None
    assert length(way) == pytest.approx(math.hypot(5.0, 2.5), rel=1e-5)


def test_round_a_corner_the_way_is_taut():
    # An L: the only way from the end of one arm to that of the other bends at the inner corner (1, 1).
    mesh = grid_mesh(5, 5, missing={(x, y) for x in range(1, 5) for y in range(1, 5)})
    way = mesh.shortest_path(torch.tensor([4.5, 0.5, 0]), torch.tensor([0.5, 4.5, 0]))
    assert way is not None
    assert length(way) == pytest.approx(2 * math.hypot(3.5, 0.5), rel=1e-5)
    assert ((way - torch.tensor([1.0, 1.0, 0.0])).norm(dim=-1) < 1e-5).any()


def test_round_an_island_the_shorter_side_is_taken():
    mesh = grid_mesh(7, 5, missing={(x, y) for x in range(2, 5) for y in range(1, 4)})
    way = mesh.shortest_path(torch.tensor([1.5, 2.0, 0]), torch.tensor([5.5, 2.0, 0]))
    assert way is not None
    below = math.hypot(0.5, 1.0) * 2 + 3.0
    assert length(way) == pytest.approx(below, rel=1e-5)
    assert way[:, 1].min() == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(
    missing=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=14),
    ends=st.lists(st.tuples(st.floats(0.05, 5.95), st.floats(0.05, 5.95)), min_size=2, max_size=2),
)
def test_ways_stay_on_the_mesh_and_are_no_longer_than_over_the_cells(missing, ends):
    import networkx as nx

    missing -= {(int(x), int(y)) for x, y in ends}
    mesh = grid_mesh(6, 6, missing)
    start, goal = (torch.tensor([x, y, 0.0]) for x, y in ends)
    way = mesh.shortest_path(start, goal)
    cells = nx.grid_2d_graph(6, 6)
    cells.remove_nodes_from(missing)
    a, b = (tuple(int(v) for v in end) for end in ends)
    if not nx.has_path(cells, a, b):
        assert way is None
        return
    assert way is not None
    torch.testing.assert_close(way[[0, -1]], torch.stack([start, goal]), atol=1e-5, rtol=0)
    between = torch.cat([torch.lerp(p, q, torch.linspace(0, 1, 9)[:, None]) for p, q in pairwise(way)])
    inside = torch.stack(
        [
            between + d
            for d in torch.tensor([[0.0, 0, 0], [1e-4, 1e-4, 0], [-1e-4, -1e-4, 0], [1e-4, -1e-4, 0], [-1e-4, 1e-4, 0]])
        ]
    )
    assert (mesh.locate(inside.reshape(-1, 3)).reshape(5, -1) >= 0).any(0).all()
    assert length(way) <= nx.shortest_path_length(cells, a, b) + math.sqrt(2) + 1e-4
    assert length(way) >= (goal - start).norm().item() - 1e-4


def test_a_vertex_of_a_neighbour_on_a_straight_edge():
    # One wide polygon beside two narrow ones: its long edge has a vertex where they meet.
    vertices = torch.tensor([[0.0, 0, 0], [2, 0, 0], [2, 1, 0], [2, 2, 0], [0, 2, 0], [4, 0, 0], [4, 1, 0], [4, 2, 0]])
    mesh = NavMesh(vertices, ((0, 1, 2, 3, 4), (1, 5, 6, 2), (2, 6, 7, 3)))
    assert mesh.neighbours == ((-1, 1, 2, -1, -1), (-1, -1, 2, 0), (1, -1, -1, 0))
    for y in (0.3, 0.99, 1.01, 1.7):
        way = mesh.shortest_path(torch.tensor([0.2, 1.0, 0]), torch.tensor([3.8, y, 0]))
        assert way is not None
        assert length(way) == pytest.approx(math.hypot(3.6, y - 1), rel=1e-4)


def test_heights_of_a_way_are_those_of_the_mesh():
    mesh = grid_mesh(6, 2, height=lambda x, y: 0.5 * x)
    way = mesh.shortest_path(torch.tensor([0.5, 0.5, 9.0]), torch.tensor([5.5, 1.5, -3.0]))
    assert way is not None
    torch.testing.assert_close(way[:, 2], 0.5 * way[:, 0], atol=1e-5, rtol=0)


def test_of_floors_above_one_another_the_nearest_counts():
    square = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    mesh = NavMesh(torch.cat([square, square + torch.tensor([0, 0, 3.0])]), ((0, 1, 2, 3), (4, 5, 6, 7)))
    points = torch.tensor([[0.5, 0.5, 0.2], [0.5, 0.5, 2.9], [0.5, 0.5, 1.4], [1.5, 0.5, 0.0]])
    assert mesh.locate(points).tolist() == [0, 1, 0, -1]
    assert mesh.shortest_path(points[0], points[1]) is None


def test_a_start_off_the_mesh():
    with pytest.raises(InputError, match=r"expected the goal of a path over the navmesh, got \(9, 9, 0\)"):
        grid_mesh(2, 2).shortest_path(torch.tensor([0.5, 0.5, 0]), torch.tensor([9.0, 9.0, 0]))


def test_as_triangles():
    mesh = grid_mesh(2, 1).mesh()
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    normals = torch.linalg.cross(b - a, c - a)
    assert len(mesh.faces) == 4
    assert normals[:, 2].sum().item() == pytest.approx(2 * 2)
    assert (normals[:, 2] > 0).all()


SQUARE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.4, 0.4, 0]])


@pytest.mark.parametrize(
    ("vertices", "polygons", "message"),
    [
        (torch.tensor([[math.nan, 0, 0]]), (), "finite vertices"),
        (SQUARE, ((0, 1),), "three or more"),
        (SQUARE, ((0, 1, 1, 2),), "each once"),
        (SQUARE, ((0, 1, 9),), "numbers of 5 vertices"),
        (SQUARE, ((0, -1, 2),), "numbers of 5 vertices"),
        (SQUARE, ((3, 2, 1, 0),), "counter-clockwise"),
        (SQUARE, ((0, 1, 4, 3),), "convex"),
        (SQUARE, ((0, 1, 2), (0, 1, 3)), "two polygons at most"),
    ],
)
def test_meshes_that_are_none(vertices, polygons, message):
    with pytest.raises(InputError, match=message):
        NavMesh(vertices, polygons)


@pytest.mark.parametrize(
    "options",
    [
        {"radius": 0.0},
        {"radius": math.nan},
        {"radius": 1.0, "height": 1.5},
        {"height": math.inf},
        {"step": 0.0},
        {"step": 2.0},
        {"slope": math.pi / 2},
        {"slope": -0.1},
    ],
)
def test_agents_that_are_none(options):
    with pytest.raises(InputError, match="expected an agent"):
        Agent(**options)
