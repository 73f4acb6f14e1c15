"""The model's map: it grows, it is filled where nothing is known, and places that were left are not touched again."""

import torch

from tests.occupancy.moving_world import straight_street
from worldloom.geometry import FREE
from worldloom.occupancy.static_map import StaticMap

WALL = 15


def around(static: StaticMap) -> StaticMap:
    low = torch.tensor(static.grid.origin, dtype=torch.float64)
    high = low + static.grid.voxel_size * torch.tensor(static.grid.shape)
    return static.over(low - 8.0, high + 8.0)


def test_growing_keeps_everything_in_its_place() -> None:
    small = StaticMap.of(straight_street(2)).settled_along(torch.eye(4, dtype=torch.float64)[None], 10.0)
    large = around(small)
    place = large.place_of(small.grid, large.grid)
    for name in ("labels", "observed", "known", "settled"):
        assert torch.equal(getattr(large, name)[place[: getattr(small, name).ndim]], getattr(small, name))
    assert large.settled.sum() == small.settled.sum() > 0


def test_only_what_is_unknown_and_unsettled_is_filled() -> None:
    static = around(StaticMap.of(straight_street(2)))
    wall = torch.full(static.grid.shape, WALL, dtype=torch.uint8)
    everywhere = torch.ones(static.grid.shape, dtype=torch.bool)
    full = static.filled(static.grid, wall, everywhere)
    assert full.known.all()
    assert torch.equal(full.labels[static.known], static.labels[static.known])
    assert (full.labels[~static.known] == WALL).all()
    settled = static.settled_along(torch.eye(4, dtype=torch.float64)[None], 10.0)
    part = settled.filled(static.grid, wall, everywhere)
    columns = settled.settled[..., None].expand(static.grid.shape)
    assert torch.equal(part.labels[columns], static.labels[columns])
    assert torch.equal(part.known[columns], static.known[columns])
    assert (part.labels[~columns & ~static.known] == WALL).all()
    assert not torch.equal(static.labels, full.labels)
    assert (static.labels[~static.known] == FREE).all()  # nothing is changed in place


def test_what_is_near_or_left_behind_is_settled() -> None:
    static = around(StaticMap.of(straight_street(2)))
    pose = torch.eye(4, dtype=torch.float64)[None]
    settled = static.settled_along(pose, 10.0).settled

    def at(x: float, y: float) -> bool:
        i, j = ((a - o) / static.grid.voxel_size for a, o in zip((x, y), static.grid.origin[:2], strict=True))
        return bool(settled[int(i), int(j)])

    assert at(9.0, 0.0)
    assert at(0.0, -9.0)
    assert not at(12.0, 0.0)  # ahead: there is more to say when it is nearer
    assert at(-12.0, 0.0)
    assert at(-12.0, 12.0)
    assert not at(-12.0, 18.0)  # too far to have been asked about
    turned = pose.clone()
    turned[0, :2, :2] = torch.tensor([[-1.0, 0.0], [0.0, -1.0]])
    settled = static.settled_along(turned, 10.0).settled
    assert at(12.0, 0.0)
    assert not at(-12.0, 0.0)


def test_a_part_of_the_map_holds_what_the_whole_held_there() -> None:
    static = around(StaticMap.of(straight_street(2)))
    low, high = torch.tensor([-5.1, 3.0]), torch.tensor([12.0, 14.3])
    part = static.within(low, high)
    place = StaticMap.place_of(part.grid, static.grid)
    for name in ("labels", "observed", "known"):
        assert torch.equal(getattr(part, name), getattr(static, name)[place])
    assert torch.equal(part.settled, static.settled[place[:2]])
    origin, size = part.grid.origin, part.grid.voxel_size
    for axis in (0, 1):
        assert low[axis] - size < origin[axis] <= low[axis]
        assert high[axis] <= origin[axis] + part.grid.shape[axis] * size < high[axis] + size
    assert static.within(torch.tensor([-1e6, -1e6]), torch.tensor([1e6, 1e6])).grid == static.grid
    assert static.within(torch.tensor([1e6, 1e6]), torch.tensor([1e6, 1e6])).grid.shape[:2] == (1, 1)
