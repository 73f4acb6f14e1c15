"""Registration against motions that are exact, and what it must refuse to answer."""

import math

import pytest
import torch

from worldloom.geometry import EgoPath, Occupancy, VoxelGrid, path_from_steps
from worldloom.geometry.occupancy import FREE
from worldloom.geometry.warp_occupancy import warp_labels
from worldloom.occupancy.metrics import Abstention, Motion, edge_layers, measured_path, register

VOXEL = 0.4


def motion_between(small, town, step: tuple[float, float, float]) -> Motion | Abstention:
    path = path_from_steps(torch.eye(4, dtype=torch.float64), torch.tensor([step], dtype=torch.float64), 0.5)
    clip = town.clip(path)
    before, after = (edge_layers(labels, clip.grid, clip.dt) for labels in clip.labels)
    return register(before, after)


@pytest.fixture(scope="module")
def town(small):
    return small.SmallTown(small.standing_things(3))


STEPS = [
    (0.0, 0.0, 0.0),
    (2.0, 0.0, 0.0),
    (-2.0, 0.0, 0.0),
    (1.13, 0.37, 0.0),
    (1.13, -0.37, 0.0),
    (0.0, 0.0, math.radians(7)),
    (0.0, 0.0, math.radians(-7)),
    (3.1, 0.4, math.radians(14)),
    (2.6, -0.8, math.radians(-30)),
    (7.3, 0.2, math.radians(2)),
]


@pytest.mark.parametrize("step", STEPS)
def test_an_exact_motion_is_found_within_half_a_voxel(small, town, step) -> None:
    found = motion_between(small, town, step)
    assert isinstance(found, Motion), found
    assert math.hypot(found.dx - step[0], found.dy - step[1]) < VOXEL / 2
    assert abs(found.dyaw - step[2]) < math.radians(0.5)


def test_standing_still_is_exactly_nothing(small, town) -> None:
    found = motion_between(small, town, (0.0, 0.0, 0.0))
    assert isinstance(found, Motion)
    assert (abs(found.dx), abs(found.dy)) < (1e-3, 1e-3)
    assert abs(found.dyaw) < math.radians(0.1)
    assert found.correlation == pytest.approx(1, abs=1e-4)


def test_a_warp_of_real_frames_is_found(sample_clip: Occupancy) -> None:
    """A frame of the bundled drive, moved by an exact SE(2) motion: 0.5 voxel is the bound of the definition."""
    step = torch.tensor([[1.7, -0.5, math.radians(5)]], dtype=torch.float64)
    path = path_from_steps(torch.eye(4, dtype=torch.float64), step, 0.5)
    later, inside = warp_labels(sample_clip.labels[4], torch.linalg.inv(path.world_from_ego[1]), sample_clip.grid)
    before = edge_layers(sample_clip.labels[4], sample_clip.grid, 0.5)
    found = register(before, edge_layers(later, sample_clip.grid, 0.5, inside))
    assert isinstance(found, Motion)
    assert math.hypot(found.dx - 1.7, found.dy + 0.5) < VOXEL / 4
    assert found.dyaw == pytest.approx(math.radians(5), abs=math.radians(0.2))


def test_opposite_motions_have_opposite_signs(small, town) -> None:
    there, back = (motion_between(small, town, (s * 1.6, s * 0.5, s * 0.1)) for s in (1, -1))
    assert isinstance(there, Motion)
    assert isinstance(back, Motion)
    for a, b in zip((there.dx, there.dy, there.dyaw), (back.dx, back.dy, back.dyaw), strict=True):
        assert a > 0.05 > -0.05 > b


def test_before_and_after_swapped_give_the_inverse(sample_clip: Occupancy) -> None:
    before, after = (edge_layers(labels, sample_clip.grid, 0.5) for labels in sample_clip.labels[9:11])
    there, back = register(before, after), register(after, before)
    assert isinstance(there, Motion)
    assert isinstance(back, Motion)
    assert there.dyaw == pytest.approx(-back.dyaw, abs=math.radians(0.3))
    cos, sin = math.cos(there.dyaw), math.sin(there.dyaw)
    assert there.dx + cos * back.dx - sin * back.dy == pytest.approx(0, abs=0.15)
    assert there.dy + sin * back.dx + cos * back.dy == pytest.approx(0, abs=0.15)


def test_road_users_do_not_pull(small, town) -> None:
    """A bus and four cars that drive along with the ego at its speed would look like standing still."""
    users = [
        small.moving(4, (6.0 * i - 8, side * 2.4), 0.0, 6.0, (4.4, 1.8, 1.6), 2) for i in range(4) for side in (-1, 1)
    ]
    found = motion_between(small, small.SmallTown(town.boxes + users), (3.0, 0.0, 0.0))
    assert isinstance(found, Motion)
    assert found.dx == pytest.approx(3.0, abs=0.2)


def test_nothing_is_no_motion(small) -> None:
    empty = small.SmallTown([], ground=False)
    assert motion_between(small, empty, (1.0, 0.0, 0.0)) == Abstention("few edges")


def test_a_corridor_tells_nothing_along_itself() -> None:
    """Two endless walls: any motion along them looks the same."""
    labels = torch.full((120, 120, 4), FREE, dtype=torch.uint8)
    labels[:, :, 0] = 11
    for y in (40, 80):
        labels[:, y : y + 2, 1:] = 15
    grid = VoxelGrid((-24.0, -24.0, -1.0), 0.4, (120, 120, 4))
    layers = edge_layers(labels, grid, 0.5)
    assert register(layers, layers) == Abstention("flat peak")


def test_noise_alone_is_refused() -> None:
    grid = VoxelGrid((-20.0, -20.0, -1.0), 0.4, (100, 100, 8))
    draw = torch.Generator().manual_seed(0)
    before, after = (
        edge_layers(torch.randint(0, 18, grid.shape, generator=draw, dtype=torch.uint8), grid, 0.5) for _ in range(2)
    )
    assert isinstance(register(before, after), Abstention)


def test_a_repeated_pattern_is_ambiguous(small) -> None:
    """Equal posts every 4 m along the street: a shift by 4 m is as good as none."""
    posts = [small.Box(15, [(4.0 * i, side * 6.0, 0.0)], (0.9, 0.9, 3.0)) for i in range(-16, 17) for side in (-1, 1)]
    town = small.SmallTown(posts, ground=False)
    assert motion_between(small, town, (0.0, 0.0, 0.0)) == Abstention("ambiguous peak")


def test_two_grids_do_not_register(sample_clip: Occupancy, town_clip: Occupancy) -> None:
    with pytest.raises(ValueError, match="share a grid"):
        register(
            edge_layers(sample_clip.labels[0], sample_clip.grid, 0.5),
            edge_layers(town_clip.labels[0], town_clip.grid, 0.5),
        )


def test_the_path_of_a_real_drive(sample_clip: Occupancy) -> None:
    """The sharpest turn of the bundled drive: 3 m and 27 degrees in a step; positions add up."""
    part = sample_clip[8:14]
    measured = measured_path(part)
    truth = EgoPath(part.world_from_ego.double(), part.dt)
    assert measured.measured.all()
    assert measured.headline
    assert measured.abstained == {}
    torch.testing.assert_close(measured.steps, truth.steps(), atol=0.15, rtol=0)
    start_from_ego = torch.linalg.inv(truth.world_from_ego[0]) @ truth.world_from_ego
    torch.testing.assert_close(measured.path.world_from_ego[:, :2, 3], start_from_ego[:, :2, 3], atol=0.3, rtol=0)


def test_what_is_not_measured_is_said(small, town) -> None:
    clip = town.clip(small.arc(4.0, 0.0, 4))
    labels = clip.labels.clone()
    labels[3] = FREE
    measured = measured_path(small.with_labels(clip, labels))
    assert measured.measured.tolist() == [True, True, False]
    assert measured.reasons == (None, None, "few edges")
    assert measured.abstained == {"few edges": pytest.approx(1 / 3)}
    assert not measured.headline
    assert torch.equal(measured.steps[2], measured.steps[1])  # so that the path goes on
    with pytest.raises(ValueError, match="t >= 2"):
        measured_path(clip[:1])
