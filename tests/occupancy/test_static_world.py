"""Static worlds fused from clips: places, times of observation, and what is left out."""

from dataclasses import replace

import pytest
import torch

from tests.occupancy.moving_world import CAR, PEDESTRIAN, ROAD, WALL, straight_street
from worldloom.geometry import FREE, OCC3D_GRID, VoxelGrid
from worldloom.geometry.rigid import invert
from worldloom.occupancy.static_map import StaticMap
from worldloom.occupancy.static_world import box_around, cut_to, fuse_clip, lattice_grid


def fused(clip):
    anchor = clip.world_from_ego[-1]
    grid = lattice_grid(clip.grid, *box_around(clip.grid, invert(anchor) @ clip.world_from_ego))
    return fuse_clip(clip, anchor, grid)


def test_walls_stand_where_they_stood_in_every_frame() -> None:
    clip = straight_street(4, ego_speed=4.0)  # five voxels a frame
    world = fused(clip)
    assert world.grid.shape == (215, 200, 16)
    assert world.grid.origin[0] == pytest.approx(-46.0)
    for i in range(4):
        part = world.labels[5 * i : 5 * i + 200]
        static = (clip.labels[i] == WALL) | (clip.labels[i] == ROAD)
        assert torch.equal(part[static], clip.labels[i][static])


def test_road_users_are_not_part_of_it() -> None:
    world = fused(straight_street(3, users=((CAR, 10, 2, 6.0), (PEDESTRIAN, 5, -5, 1.0))))
    assert set(world.labels.unique().tolist()) == {ROAD, WALL, FREE}


def test_each_voxel_knows_who_saw_it() -> None:
    clip = straight_street(3, ego_speed=4.0, users=())
    looked = torch.zeros_like(clip.observed)
    looked[0, 100:], looked[2, :100] = True, True
    world = fused(replace(clip, observed=looked))
    assert torch.equal(world.observed(0, 1), world.seen & 1 == 1)
    # Frame 0 stands ten voxels behind frame 2: its front half begins at index 100 of the fused grid.
    assert bool(world.observed(0, 1)[100:200].all())
    assert not bool(world.observed(0, 1)[:100].any())
    assert bool(world.observed(2, 3)[10:110].all())
    assert not bool(world.observed(1, 2).any())


def test_the_later_frame_is_right() -> None:
    clip = straight_street(2, ego_speed=0.0, users=())
    labels = clip.labels.clone()
    labels[0, 50, 50, 8], labels[1, 50, 50, 8] = WALL, 16
    assert fused(replace(clip, labels=labels)).labels[50, 50, 8] == 16


def test_a_grid_beside_the_clip_stays_empty() -> None:
    clip = straight_street(1, users=())
    world = fuse_clip(clip, clip.world_from_ego[0], VoxelGrid((200.0, 0.0, -1.0), 0.4, (10, 10, 16)))
    assert not bool(world.observed().any())


def test_too_many_frames_are_refused() -> None:
    clip = straight_street(1)
    many = replace(
        clip,
        labels=clip.labels.expand(64, -1, -1, -1),
        observed=clip.observed.expand(64, -1, -1, -1),
        world_from_ego=clip.world_from_ego.expand(64, -1, -1),
    )
    with pytest.raises(ValueError, match="1 to 63 frames"):
        fused(many)


def test_cutting_a_grid_keeps_its_lattice() -> None:
    part, place = cut_to(OCC3D_GRID, torch.tensor([-1.0, 3.9, -9.0]).double(), torch.tensor([1.0, 90.0, 0.0]).double())
    assert part is not None
    assert place == (slice(97, 103), slice(109, 200), slice(0, 3))
    assert part.origin == pytest.approx((-1.2, 3.6, -1.0))


def test_a_map_grows_and_keeps_what_it_knows() -> None:
    world = StaticMap.of(straight_street(2, users=()))
    grown = world.over(torch.tensor([-60.0, -50, -3]).double(), torch.tensor([80.0, 10, 2]).double())
    place = grown.place_of(world.grid, grown.grid)
    assert torch.equal(grown.labels[place], world.labels)
    assert int(grown.known.sum()) == int(world.known.sum())
    part = VoxelGrid(grown.grid.origin, 0.4, (30, *grown.grid.shape[1:]))
    valid = torch.zeros(part.shape, dtype=torch.bool)
    valid[:, ::2] = True
    filled = grown.filled(part, torch.full(part.shape, WALL, dtype=torch.uint8), valid)
    assert torch.equal(filled.labels[place][world.known], world.labels[world.known])
    new = ~grown.known[:30]
    assert bool((filled.labels[:30][new & valid] == WALL).all())
    assert bool((filled.labels[:30][new & ~valid] == FREE).all())
    assert torch.equal(filled.known[:30], grown.known[:30] | valid)
    assert torch.equal(filled.observed, grown.observed)
    with pytest.raises(ValueError, match="expected a grid within"):
        world.place_of(grown.grid, world.grid)
