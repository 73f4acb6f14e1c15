"""Meshes, textures, voxels and colliders of a room that is known exactly."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull, KDTree
from torch import Tensor

from tests.recon import truth_room as room
from worldloom.errors import InputError
from worldloom.geometry import Mesh
from worldloom.recon import mesh as M
from worldloom.recon.mesh.depth_views import cameras_around, depth_views, look_around, sky_radius, spread_eyes
from worldloom.recon.mesh.hulls import _points
from worldloom.recon.mesh.solid import well_composed
from worldloom.recon.mesh.surface import without_specks
from worldloom.recon.mesh.tsdf import surface_points

VOXEL = 0.05


@pytest.fixture(scope="module")
def views() -> M.DepthViews:
    return room.truth_views()


@pytest.fixture(scope="module")
def mesh(views: M.DepthViews) -> Mesh:
    return M.mesh_from_views(views, VOXEL, num_faces=None)


@pytest.fixture(scope="module")
def voxels(views: M.DepthViews) -> M.SceneVoxels:
    return M.voxels_from_views(views, 0.1)


@pytest.fixture(scope="module")
def solid(voxels: M.SceneVoxels) -> M.Solid:
    return M.solid_from_voxels(voxels, room.EYES)


def normals(mesh: Mesh) -> Tensor:
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    return torch.linalg.cross(b - a, c - a)


def edge_uses(mesh: Mesh) -> np.ndarray:
    start, end = mesh.faces.flatten(), mesh.faces[:, [1, 2, 0]].flatten()
    edge = torch.stack([torch.minimum(start, end), torch.maximum(start, end)], 1)
    return np.unique(edge.numpy(), axis=0, return_counts=True)[1]


def volume(mesh: Mesh) -> float:
    a, b, c = mesh.vertices[mesh.faces].double().unbind(1)
    return ((torch.linalg.cross(a, b) * c).sum() / 6).item()


# Depth views


def test_rendered_depth_is_the_room_s() -> None:
    """Splats show the walls at their depth to a per cent or so, and nothing between the table's edge and the wall."""
    splats = room.splats()
    eyes = torch.tensor([[0.1, 0.05, 0.1]])
    cameras = cameras_around(eyes, 64)
    seen, truth = depth_views(splats, cameras, 10.0), room.truth_views(64, eyes)
    error = (seen.depth / truth.depth - 1).abs()[seen.valid]
    assert seen.valid.float().mean() > 0.85
    assert error.median() < 0.003
    assert (error > 0.05).float().mean() < 0.01
    facing = (torch.nn.functional.normalize(seen.plane, dim=1) * torch.nn.functional.normalize(truth.plane, dim=1)).sum(
        1
    )
    assert facing[seen.valid].median() > 0.99
    assert (seen.rgb - truth.rgb).abs().mean() < 0.02


def test_what_lies_beyond_the_limit_is_open_and_no_surface() -> None:
    views = depth_views(room.splats(64), cameras_around(torch.zeros(1, 3), 32), 1.8)
    ahead = views.depth.gt(0) & views.valid
    assert views.open[0, 10, 16]  # the wall ahead, at 2 m
    assert not views.valid[0, 10, 16]
    assert ahead.any()  # the walls to the sides, at 1.5 m


def test_eyes_are_spread_and_different() -> None:
    places = torch.tensor([[0.0, 0, 0], [0.01, 0, 0], [1, 0, 0], [0.4, 0, 0]])
    assert spread_eyes(places, 3).tolist() == [[0, 0, 0], [1, 0, 0], places[3].tolist()]
    assert len(spread_eyes(places[:2], 5)) == 1  # nearer than 5 cm


def test_the_reach_of_the_views_is_that_of_the_room_and_not_of_its_sky() -> None:
    views = look_around(room.splats(96), torch.zeros(1, 3), size=16, num_eyes=1)
    # 90 % of what is seen is nearer than the corners, at 3 m.
    assert 2 * 2.0 < views.max_depth < 2 * 3.1
    assert M.voxel_size_for(views) == pytest.approx(1.25 * 0.5 * views.max_depth / 8)
    assert sky_radius(room.splats(64), torch.zeros(3)) is None


def test_nothing_to_see_is_said() -> None:
    splats = room.splats(64)
    mist = replace(splats, opacities=0.001 * splats.opacities)
    with pytest.raises(InputError, match="nothing that can be seen"):
        look_around(mist, torch.zeros(1, 3), size=16)


# Mesh


def test_the_mesh_lies_on_walls_and_table(mesh: Mesh) -> None:
    error = room.to_surface(mesh.vertices)
    assert error.median() < 0.05 * VOXEL
    assert (error > VOXEL).float().mean() < 0.005


def test_the_mesh_is_whole_where_it_was_seen(mesh: Mesh) -> None:
    seen = room.truth_views(12)
    points = torch.cat([surface_points(seen, i) for i in range(len(seen))])
    nearest, _ = KDTree(mesh.vertices.numpy()).query(points.numpy())
    assert (nearest < 1.5 * VOXEL).mean() > 0.98


def test_triangles_turn_counter_clockwise_as_seen_from_the_room(mesh: Mesh) -> None:
    middle, normal = mesh.vertices[mesh.faces].mean(1), normals(mesh)
    wall = (middle - room.ROOM[:, None]).abs().amin(0).amin(-1) < 0.01  # not the table, whose inside is towards an eye
    inward = (normal[wall] * -middle[wall]).sum(-1)
    assert (inward > 0).float().mean() > 0.999


def test_specks_go(mesh: Mesh) -> None:
    speck = mesh.vertices[:4] * 0 + torch.eye(4)[:, :3]
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]]) + len(mesh.vertices)
    both = without_specks(Mesh(torch.cat([mesh.vertices, speck]), torch.cat([mesh.faces, faces])), fewest=3)
    assert len(both.faces) == len(mesh.faces)
    assert torch.equal(both.vertices[both.faces], mesh.vertices[mesh.faces])


def test_fewer_triangles_for_the_same_surface(mesh: Mesh) -> None:
    pytest.importorskip("fast_simplification", reason="the extra 'export' is not installed")
    small = M.decimate(mesh, 2000)
    assert 1000 < len(small.faces) <= 2000
    assert room.to_surface(small.vertices).quantile(0.99) < VOXEL
    assert M.decimate(small, 5000) is small


# Texture


def test_the_atlas_shows_the_room_s_colours(mesh: Mesh, views: M.DepthViews) -> None:
    """At the middle of every triangle the atlas has the colour of that place: u, v, charts and cameras agree."""
    textured, atlas = M.bake_colours(mesh, views, room.splats(64), VOXEL)
    height, width = atlas.base_colour.shape[:2]
    assert max(height, width) <= 4096
    uv = textured.uv[textured.faces].mean(1)
    assert (textured.uv >= 0).all()
    assert (textured.uv <= 1).all()
    texel = (uv * torch.tensor([width, height])).long()
    painted = atlas.base_colour[texel[:, 1], texel[:, 0]].float() / 255
    off = (painted - room.colour(textured.vertices[textured.faces].mean(1))).abs().amax(-1)
    assert off.median() < 0.02
    assert (off > 0.1).float().mean() < 0.02


def test_a_small_atlas_is_coarser(mesh: Mesh, views: M.DepthViews) -> None:
    _, atlas = M.bake_colours(mesh, views, room.splats(64), VOXEL, max_side=256)
    assert atlas.base_colour.shape[1] == 256
    assert atlas.base_colour.shape[0] <= 256


# Voxels


def test_voxels_are_what_the_room_is(voxels: M.SceneVoxels) -> None:
    centres = voxels.grid.centres()
    free = room.is_free(centres.flatten(0, 2), 0.11).view(voxels.grid.shape)
    assert voxels.free[free].float().mean() > 0.99
    assert not voxels.occupied[free].any()
    within = ((centres > room.TABLE[0] + 0.15) & (centres < room.TABLE[1] - 0.15)).all(-1)
    assert within.any()
    assert not (voxels.occupied | voxels.free)[within].any()  # nobody has seen the table's inside
    beyond = (centres > room.ROOM[1] + 0.11).any(-1) | (centres < room.ROOM[0] - 0.11).any(-1)
    assert not (voxels.occupied | voxels.free)[beyond].any()
    layer = int((-1.6 - voxels.grid.origin[2]) / voxels.grid.voxel_size)
    x, y, _ = centres[:, :, layer].unbind(-1)
    assert voxels.occupied[:, :, layer][(x.abs() < 0.6) & (y.abs() < 1.4)].all()  # not yet in the table's shadow
    assert not voxels.occupied[:, :, layer + 1][(x.abs() < 0.6) & (y.abs() < 1.3)].any()


def test_voxels_as_occupancy(voxels: M.SceneVoxels) -> None:
    occupancy = voxels.to_occupancy()
    assert occupancy.classes[-1] == "free"
    assert torch.equal(occupancy.observed[0], voxels.occupied | voxels.free)
    assert torch.equal(occupancy.observed[0] & (occupancy.labels[0] == 0), voxels.occupied)


# Colliders


def test_the_collider_is_closed_and_where_the_room_ends(solid: M.Solid) -> None:
    collider = M.collider_from_solid(solid)
    assert (edge_uses(collider) == 2).all()
    assert volume(collider) > 0
    # Its inner side lies on the walls: free space is not walled up, and the room is no larger than it is.
    low, high = collider.vertices - room.ROOM[0], room.ROOM[1] - collider.vertices
    inner = collider.vertices[((low > -0.06) & (high > -0.06)).all(-1) & (collider.vertices[:, 0] < 0.6)]
    # At most half a voxel and a little, where a wall lies between two voxels.
    assert room.to_surface(inner).quantile(0.95) < 0.065


def test_the_ground_goes_on_below_the_table(solid: M.Solid) -> None:
    size, origin = solid.grid.voxel_size, torch.tensor(solid.grid.origin)
    at = ((torch.tensor([1.1, 0.05, -1.6]) - origin) / size).long()
    assert solid.matter[at[0], at[1], at[2] - 1 : at[2] + 1].any()
    assert not solid.matter[at[0], at[1], at[2] + 20]


@pytest.mark.parametrize("num_faces", [3000, 600])
def test_a_decimated_collider_stays_closed(solid: M.Solid, num_faces: int) -> None:
    pytest.importorskip("fast_simplification", reason="the extra 'export' is not installed")
    collider = M.collider_from_solid(solid)
    small = M.decimate_closed(collider, num_faces)
    assert len(small.faces) < 1.1 * num_faces
    assert (edge_uses(small) == 2).all()
    assert volume(small) == pytest.approx(volume(collider), rel=0.05)


def random_matter() -> Iterator[Tensor]:
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        matter = torch.zeros(9, 8, 7, dtype=torch.bool)
        matter[1:-1, 1:-1, 1:-1] = torch.rand(7, 6, 5, generator=generator) < 0.15 + 0.15 * seed
        yield matter


def test_no_two_voxels_touch_along_an_edge_or_at_a_corner_alone() -> None:
    for matter in random_matter():
        filled = well_composed(matter)
        assert bool((filled | ~matter).all())
        assert not filled[[0, -1]].any()
        windows = filled.unfold(0, 2, 1).unfold(1, 2, 1).unfold(2, 2, 1).reshape(-1, 2, 2, 2)
        for window in windows.unique(dim=0):
            for axis in range(3):
                for face in window.unbind(axis):
                    a, b, c, d = face.flatten().tolist()
                    assert not (a == d and b == c and a != b)
            for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
                pair = (window[0, corner[0], corner[1]], window[1, 1 - corner[0], 1 - corner[1]])
                count = int(window.sum())
                assert not (all(pair) and count == 2)
                assert not (not any(pair) and count == 6)


def test_hulls_hold_all_matter_and_leave_the_room_free(solid: M.Solid) -> None:
    hulls = M.hulls_from_solid(solid)
    assert 6 <= len(hulls) < 200
    size = solid.grid.voxel_size
    exposed = solid.matter & (torch.nn.functional.max_pool3d((~solid.matter)[None].float(), 3, 1, 1)[0] > 0)
    centres = solid.grid.centres()[exposed].double().numpy()
    grid = torch.cartesian_prod(*(torch.linspace(a + 0.25, b - 0.25, 10) for a, b in room.ROOM.T.tolist()))
    free = grid[room.is_free(grid, 0.25)].double().numpy()
    covered = np.zeros(len(centres), bool)
    # The ceiling is no lower and the floor no higher than it is, also under walls and in the table's shadow.
    above = torch.cartesian_prod(
        torch.linspace(-1.7, 0.5, 8), torch.linspace(-1.2, 1.2, 8), torch.tensor([-1.57, 0.97])
    )
    for hull in hulls:
        convex = ConvexHull(hull.vertices.double().numpy(), qhull_options="QJ")
        planes, offsets = convex.equations[:, :3], convex.equations[:, 3]
        covered |= (centres @ planes.T + offsets).max(1) < 0.5 * size
        assert (free @ planes.T + offsets).max(1).min() > 0
        assert (above.double().numpy() @ planes.T + offsets).max(1).min() > 0
        assert volume(hull) == pytest.approx(convex.volume, rel=0.01)  # outside is outside
    assert covered.all()


def test_a_part_is_drawn_around_its_surface_and_the_middles_of_its_voxels() -> None:
    """Two voxels in a row along x and one on the second: a step. Faces say how far outside of them the surface is."""
    part = np.array([[[True, False]], [[True, True]]])
    faces = np.full((6, 2, 1, 2), np.nan)
    middles = [[0.5, 0.5, 0.5], [1.5, 0.5, 0.5], [1.5, 0.5, 1.5]]
    assert sorted(_points(part, faces).tolist()) == middles
    faces[0, 1, 0, 1] = -0.4  # the side of the step, 0.4 voxels farther along +x than its face
    corners = [[1.4, y, z] for y in (0, 1) for z in (1, 2)]
    assert sorted(_points(part, faces).tolist()) == sorted(middles + corners)
    # The top of the step, at the outermost layer: what is at its side goes no higher.
    faces[5, 1, 0, 1] = -0.3
    tops = [[2, y, 1.7] for y in (0, 1)]
    sides = [[1.4, y, z] for y in (0, 1) for z in (1, 1.7)]
    np.testing.assert_allclose(sorted(_points(part, faces).tolist()), sorted(middles + sides + tops))
    faces[5] = np.nan
    faces[4, 0] = -0.2  # below the first voxel alone: the whole part ends there
    faces[1, 1] = 0.1
    lowest = min(_points(part, faces)[:, 2])
    assert lowest == pytest.approx(0.2)
