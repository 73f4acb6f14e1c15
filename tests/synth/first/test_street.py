"""The street against its own truth: boxes, motion, a world that stands still, and what a sensor can see."""

import math

import pytest
import torch
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import FREE, GROUND, MOVERS, OCC3D_CLASSES, Occupancy, VoxelGrid, apply, invert
from worldloom.geometry.io import load_clip
from worldloom.synth.first.street import Street, line_of_sight, make_street
from worldloom.synth.samples import sample_clip_path
from worldloom.synth.samples.make import STREET_SEED, write_street

SMALL = ("barrier", "bicycle", "motorcycle", "pedestrian", "traffic_cone")
FRAMES = 12


@pytest.fixture(scope="module")
def street() -> Street:
    return make_street(STREET_SEED, FRAMES)


@pytest.fixture(scope="module")
def bundled() -> Occupancy:
    return load_clip(sample_clip_path())


def centres_of(occupancy: Occupancy, frame: int, where: Tensor) -> Tensor:
    """World positions of the voxels marked in `where`."""
    return apply(occupancy.world_from_ego[frame], occupancy.grid.centres()[where])


def test_every_class_is_there_and_the_small_ones_stay(bundled: Occupancy) -> None:
    assert bundled.labels.shape == (20, 200, 200, 16)
    assert bundled.classes == OCC3D_CLASSES
    assert bundled.dt == 0.5
    frames_with = [int((bundled.labels == i).flatten(1).any(1).sum()) for i in range(len(OCC3D_CLASSES))]
    assert min(frames_with) >= 5
    for name in SMALL:
        assert frames_with[OCC3D_CLASSES.index(name)] >= 12, name


def test_ground_is_one_layer_at_the_asked_height(street: Street) -> None:
    labels = street.occupancy.labels
    ground = torch.isin(labels, torch.tensor((*GROUND, 12), dtype=torch.uint8))
    assert not ground[..., 1:].any()
    assert (labels[..., 0] != FREE).all()
    higher = make_street(STREET_SEED, 1, ground_z=0.0)
    ground = torch.isin(higher.occupancy.labels, torch.tensor(GROUND, dtype=torch.uint8))
    assert ground[..., 2].any()
    assert not ground[..., :2].any()
    assert higher.path.world_from_ego[0, 2, 3] == 0


def test_road_users_fill_their_boxes_and_nothing_else(street: Street) -> None:
    """Every voxel of a moving class touches a box of that class, and every box in sight has voxels."""
    occupancy = street.occupancy
    reach = occupancy.grid.voxel_size / 2 + 1e-3
    for frame in (0, 5, 11):
        for label in MOVERS:
            points = centres_of(occupancy, frame, occupancy.labels[frame] == label)
            claimed = torch.zeros(len(points), dtype=torch.bool)
            for actor in (a for a in street.actors if a.label == label):
                local = apply(invert(actor.world_from_actor[frame]), points).abs()
                # A voxel turned against the box reaches into it from at most half its diagonal away.
                slack = local.new_tensor([reach * math.sqrt(2), reach * math.sqrt(2), reach])
                inside = (local <= local.new_tensor(actor.extent) / 2 + slack).all(-1)
                claimed |= inside
                if actor.present[frame]:
                    assert inside.any(), (OCC3D_CLASSES[label], frame)
            assert claimed.all(), OCC3D_CLASSES[label]


def test_voxels_move_as_their_boxes_do(street: Street) -> None:
    occupancy, checked = street.occupancy, 0
    for actor in street.actors:
        label = OCC3D_CLASSES[actor.label]
        moved = (actor.world_from_actor[4, :2, 3] - actor.world_from_actor[0, :2, 3]).norm()
        if label not in ("car", "bus", "truck", "bicycle") or not actor.present[:5].all() or moved < 2:
            continue
        middles = []
        for frame in (0, 4):
            points = centres_of(occupancy, frame, occupancy.labels[frame] == actor.label)
            local = apply(invert(actor.world_from_actor[frame]), points)
            near = (local.abs() <= local.new_tensor(actor.extent) / 2 + 0.3).all(-1)
            middles.append(points[near].mean(0))
        error = (middles[1] - middles[0]) - (actor.world_from_actor[4, :3, 3] - actor.world_from_actor[0, :3, 3])
        assert error[:2].norm() < 0.4, label
        heading = actor.world_from_actor[0, :2, 0]
        assert heading @ (actor.world_from_actor[1, :2, 3] - actor.world_from_actor[0, :2, 3]) > 0, label
        checked += 1
    assert checked >= 4


def test_still_world_coincides_in_world_coordinates(street: Street) -> None:
    occupancy, label = street.occupancy, OCC3D_CLASSES.index("manmade")
    later = (occupancy.labels[8] == label).float()[None, None]
    wide = torch.nn.functional.max_pool3d(later, 3, stride=1, padding=1)[0, 0].bool()

    def agreement(ego_from_world: Tensor) -> float:
        points = apply(ego_from_world, centres_of(occupancy, 2, occupancy.labels[2] == label))
        cell = ((points - points.new_tensor(occupancy.grid.origin)) / occupancy.grid.voxel_size).floor().long()
        inside = ((cell > 1) & (cell < cell.new_tensor(occupancy.grid.shape) - 2))[:, :2].all(-1)
        inside &= (cell[:, 2] >= 0) & (cell[:, 2] < 16)
        x, y, z = cell[inside].unbind(-1)
        return wide[x, y, z].float().mean().item()

    assert agreement(invert(occupancy.world_from_ego[8])) > 0.985
    assert agreement(invert(occupancy.world_from_ego[2])) < 0.9  # where nothing was warped


def test_nobody_shares_a_place(street: Street) -> None:
    """Footprints never overlap, the ego's included (separating axes)."""
    boxes = [(a.world_from_actor, a.extent) for a in street.actors] + [(street.path.world_from_ego, (4.5, 1.9, 1.5))]
    signs = torch.tensor([[0.5, 0.5, 0], [0.5, -0.5, 0], [-0.5, -0.5, 0], [-0.5, 0.5, 0]])
    for frame in range(FRAMES):
        corners = torch.stack([apply(pose[frame], signs * torch.tensor(size))[:, :2] for pose, size in boxes])
        axes = torch.stack([pose[frame, :2, :2].T for pose, _ in boxes])  # rows: forward, left
        a, b = torch.triu_indices(len(boxes), len(boxes), offset=1)
        apart = torch.zeros(len(a), dtype=torch.bool)
        for axis in (axes[a, 0], axes[a, 1], axes[b, 0], axes[b, 1]):
            one, two = ((corners[i] * axis[:, None]).sum(-1) for i in (a, b))
            apart |= (one.amax(1) <= two.amin(1)) | (two.amax(1) <= one.amin(1))
        assert apart.all(), (frame, [(boxes[i][1], boxes[j][1]) for i, j in zip(a[~apart], b[~apart], strict=True)])


def test_ego_drives_forward_changes_lane_and_speed(street: Street) -> None:
    steps = street.path.steps()
    assert torch.equal(street.path.world_from_ego, street.occupancy.world_from_ego)
    assert (steps[:, 0] > 1.5).all()
    assert steps[:, 0].max() - steps[:, 0].min() > 0.5
    assert (steps[:, 1].abs() < 0.5).all()
    assert steps[:, 2].max() > 0.03  # it steers to the left
    assert steps[:, 2].abs().max() < 0.2


def test_actors_are_present_where_their_centre_is_in_the_grid(street: Street) -> None:
    actor = next(a for a in street.actors if a.present.any() and not a.present.all())
    for frame in range(FRAMES):
        centre = apply(invert(street.path.world_from_ego[frame]), actor.world_from_actor[frame, None, :3, 3])[0]
        assert actor.present[frame] == bool((centre[:2].abs() < 40).all())


def test_masks_are_a_sensors(street: Street) -> None:
    seen, labels = street.occupancy.observed, street.occupancy.labels
    assert 0.05 < seen.float().mean() < 0.3
    near_road = seen[:, 110:130, 98:102, 0].float().mean()
    assert near_road > 0.9  # just ahead of the car the road is known
    assert not seen[:, 99:101, 99:101, 0].any()  # under the car it is not
    assert (labels[seen] == FREE).float().mean() > 0.5


def test_line_of_sight_stops_at_a_wall() -> None:
    grid = VoxelGrid((-4.0, -4.0, -1.0), 0.4, (20, 20, 5))
    occupied = torch.zeros(grid.shape, dtype=torch.bool)
    sensor = (0.2, 0.2, 0.0)
    assert not line_of_sight(occupied, grid, sensor).any()  # nothing came back
    occupied[15, :, :] = True
    occupied[18, :, :] = True
    seen = line_of_sight(occupied, grid, sensor)
    assert seen[15, 5:15, 2].all()  # the wall
    assert seen[11:15, 10, 2].all()  # the way to it
    assert not seen[16:].any()  # behind it
    assert not seen[:10].any()  # the other way


def test_the_bundled_clip_is_what_the_generator_says(street: Street, bundled: Occupancy) -> None:
    differing = bundled.labels[:FRAMES] != street.occupancy.labels
    assert differing.float().mean() < 1e-5  # another machine may round a point across a voxel's face
    assert (bundled.observed[:FRAMES] != street.occupancy.observed).float().mean() < 1e-3
    torch.testing.assert_close(bundled.world_from_ego[:FRAMES], street.occupancy.world_from_ego)


def test_same_seed_same_bytes_other_seed_other_street(tmp_path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_street(tmp_path / name, num_frames=2)
    assert (tmp_path / "one/street.npz").read_bytes() == (tmp_path / "two/street.npz").read_bytes()
    other = make_street(STREET_SEED + 1, 2).occupancy
    assert (other.labels != load_clip(tmp_path / "one/street.npz").labels).float().mean() > 0.02


@pytest.mark.parametrize(("num_frames", "dt"), [(0, 0.5), (4, 0.0), (4, -1.0)])
def test_impossible_clips_are_refused(num_frames: int, dt: float) -> None:
    with pytest.raises(InputError, match=f"got {num_frames} and {dt}"):
        make_street(0, num_frames, dt)
