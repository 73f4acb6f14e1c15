"""Occupancy as splats: which faces there are, where they lie, and what a camera sees of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.geometry import FREE, OCC3D_CLASSES, OCC3D_GRID, Camera, Occupancy, VoxelGrid, compose, look_at, rotz
from worldloom.geometry.gaussians import SH_C0
from worldloom.geometry.occ3d_palette import OCC3D_COLOURS
from worldloom.render import fastest_backend
from worldloom.render.occupancy import (
    FACE_LIGHT,
    OCCLUSION,
    chase_camera,
    gaussians_from_occupancy,
    render_occupancy,
)

GRID = VoxelGrid(origin=(-1.0, -2.0, 0.5), voxel_size=0.5, shape=(6, 5, 4))
CAR, ROAD = 4, 11


def empty() -> torch.Tensor:
    return torch.full(GRID.shape, FREE, dtype=torch.uint8)


def test_palette():
    assert OCC3D_COLOURS.shape == (len(OCC3D_CLASSES), 3)
    assert (OCC3D_COLOURS[4] * 255).round().tolist() == [0, 150, 245]
    assert (OCC3D_COLOURS[16] * 255).round().tolist() == [0, 175, 0]
    assert (OCC3D_COLOURS[11] * 255).round().tolist() == [255, 0, 255]


def test_one_voxel_has_six_faces():
    labels = empty()
    labels[3, 1, 2] = CAR
    gaussians = gaussians_from_occupancy(labels, GRID)
    centre = torch.tensor([-1.0 + 3.5 * 0.5, -2.0 + 1.5 * 0.5, 0.5 + 2.5 * 0.5])
    normals = torch.tensor([[-1.0, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]])
    # A twentieth of a voxel below the surface, thin across it.
    torch.testing.assert_close(gaussians.means, centre + 0.45 * 0.5 * normals)
    assert torch.equal(gaussians.scales.argmin(-1), normals.abs().argmax(-1))
    assert torch.equal(gaussians.opacities, torch.ones(6))
    rgb = 0.5 + SH_C0 * gaussians.sh[:, 0]
    light = torch.tensor(FACE_LIGHT).flatten()
    torch.testing.assert_close(rgb, light[:, None] * OCC3D_COLOURS[CAR], atol=1e-6, rtol=0)


def test_the_sun_stands_high_behind_and_to_the_left():
    (behind, ahead), (right, left), (below, above) = FACE_LIGHT
    assert above > behind > left > ahead > right > below


def test_a_post_shades_the_eight_squares_of_ground_around_it():
    labels = empty()
    labels[:, :, 0] = ROAD
    labels[3, 2, 1] = CAR
    gaussians = gaussians_from_occupancy(labels, GRID)
    ground = (gaussians.means[:, 2] < 0.5 + 0.5) & (gaussians.scales.argmin(-1) == 2)
    light = (0.5 + SH_C0 * gaussians.sh[ground, 0, 0]) / OCC3D_COLOURS[ROAD, 0]
    away = (gaussians.means[ground, :2] - torch.tensor([-1.0 + 3.5 * 0.5, -2.0 + 2.5 * 0.5])).abs().amax(-1)
    assert (away < 0.6).sum() == 8
    expected = torch.where(away < 0.6, 1 - OCCLUSION / 8, 1.0)
    torch.testing.assert_close(light, expected, atol=1e-6, rtol=0)


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_faces_are_counted(seed):
    """As many faces as pairs of an occupied and a free neighbour, with free cells around all but the bottom."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.where(torch.rand(GRID.shape, generator=generator) < 0.4, CAR, FREE).to(torch.uint8)
    occupied = np.pad((labels != FREE).numpy(), 1)
    occupied[:, :, 0] = True
    expected = sum(
        int((occupied & ~np.roll(occupied, step, axis))[1:-1, 1:-1, 1:-1].sum())
        for axis in range(3)
        for step in (-1, 1)
    )
    assert len(gaussians_from_occupancy(labels, GRID)) == expected


def test_faces_between_voxels_and_under_the_ground_are_left_out():
    labels = empty()
    labels[2:4, 2, 2] = CAR
    assert len(gaussians_from_occupancy(labels, GRID)) == 10
    labels = empty()
    labels[2, 2, 0] = ROAD
    assert len(gaussians_from_occupancy(labels, GRID)) == 5
    assert len(gaussians_from_occupancy(empty(), GRID)) == 0


def test_corners_are_darker():
    labels = empty()
    labels[:, :, 0] = ROAD
    labels[3, :, 1] = ROAD
    gaussians = gaussians_from_occupancy(labels, GRID)
    top = (gaussians.scales.argmin(-1) == 2) & (gaussians.means[:, 2] < 1.0)
    red = 0.5 + SH_C0 * gaussians.sh[top, 0, 0]
    beside = (gaussians.means[top, 0] - (-1.0 + 3.5 * 0.5)).abs() < 0.6
    assert red[beside].max() < red[~beside].min()


def test_detail_fills_the_same_face_with_more_splats():
    labels = empty()
    labels[3, 1, 2] = CAR
    one, three = (gaussians_from_occupancy(labels, GRID, detail=d) for d in (1, 3))
    assert len(three) == 9 * len(one)
    torch.testing.assert_close(three.means[:9].mean(0)[1:], one.means[0, 1:])
    torch.testing.assert_close(three.scales.amax(-1), one.scales.amax(-1).repeat_interleave(9) / 3)
    assert three.means[:9, 1].amax() - three.means[:9, 1].amin() == pytest.approx(0.5 * 2 / 3)


def test_world_from_grid_places_the_faces():
    labels = empty()
    labels[3, 1, 2] = CAR
    pose = compose(rotz(torch.tensor(0.4)), torch.tensor([10.0, -3.0, 1.0]))
    here, there = gaussians_from_occupancy(labels, GRID), gaussians_from_occupancy(labels, GRID, pose)
    torch.testing.assert_close(there.means, here.means @ pose[:3, :3].T + pose[:3, 3])


def test_a_camera_sees_each_voxel_where_it_is():
    """From above, with x up and y left in the image: colours of a lopsided scene, voxel by voxel."""
    labels = empty()
    labels[:, :, 0] = ROAD
    labels[5, 0, 0] = CAR
    labels[0, 3, 0] = 16
    eye, target = torch.tensor([0.5, -0.75, 20.0]), torch.tensor([0.5, -0.75, 0.0])
    camera = Camera(
        look_at(eye, target, up=(1.0, 0.0, 0.0)), torch.tensor([[570.0, 0, 75], [0, 570, 90], [0, 0, 1]]), (180, 150)
    )
    occupancy = Occupancy(
        labels[None], torch.ones(1, *GRID.shape, dtype=torch.bool), torch.eye(4)[None], GRID, OCC3D_CLASSES, 0.5
    )
    rgb = render_occupancy(occupancy, 0, camera, backend="torch").rgb
    # Voxels are 0.5 m: 15 pixels at 19 m. x = 2 is the top row, y = 0.5 the left column.
    for x in range(6):
        for y in range(5):
            u = 75 + 570 * (-0.75 - (-2.0 + (y + 0.5) * 0.5)) / 19
            v = 90 + 570 * (0.5 - (-1.0 + (x + 0.5) * 0.5)) / 19
            seen = rgb[:, int(v - 2) : int(v + 2), int(u - 2) : int(u + 2)].mean((-1, -2))
            expected = OCC3D_COLOURS[labels[x, y, 0].long()]
            torch.testing.assert_close(seen, expected, atol=0.15, rtol=0)  # neighbours shine in a little


def test_chase_camera_follows():
    poses = torch.stack([compose(rotz(torch.tensor(a)), torch.tensor([4.0, a, 0.2])) for a in (0.0, 2.0)])
    cameras = chase_camera(poses, (90, 160))
    assert cameras.batch == (2,)
    for pose, camera in ((poses[i], cameras[i]) for i in range(2)):

        def pixel(x, y, z, pose=pose, camera=camera):
            local = camera.cam_from_world @ pose @ torch.tensor([x, y, z, 1.0])
            u, v, depth = camera.K @ local[:3]
            return (u / depth).item(), (v / depth).item(), depth.item()

        ego, ahead, left, up = pixel(0.0, 0.0, 0.0), pixel(20.0, 0.0, 0.0), pixel(0.0, 3.0, 0.0), pixel(0.0, 0.0, 2.0)
        assert ego[0] == pytest.approx(80, abs=1e-3)
        assert 45 < ego[1] < 90
        assert ego[2] > 10
        assert ahead[1] < ego[1]
        assert left[0] < ego[0]
        assert up[1] < ego[1]


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="grid's shape"):
        gaussians_from_occupancy(empty()[1:], GRID)
    labels = empty()
    labels[0, 0, 0] = 200
    with pytest.raises(ValueError, match="colour for label 200"):
        gaussians_from_occupancy(labels, GRID)


def test_a_real_label_fills_the_view(test_data):
    path = next((test_data / "occ3d").rglob("labels.npz"))
    labels = torch.from_numpy(np.load(path)["semantics"])
    gaussians = gaussians_from_occupancy(labels, OCC3D_GRID)
    occupied = (labels != FREE).sum().item()
    assert occupied < len(gaussians) < 4 * occupied
    clip = Occupancy(labels[None], labels[None] != FREE, torch.eye(4)[None], OCC3D_GRID, OCC3D_CLASSES, 0.5)
    image = render_occupancy(clip, 0, chase_camera(torch.eye(4), (54, 96)), backend=fastest_backend("cpu"), detail=1)
    assert image.alpha[27:].mean() > 0.85
    assert image.rgb.std() > 0.2
