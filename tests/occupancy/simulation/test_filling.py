"""When a map is filled in and where, with a model that only says what it was asked."""

import torch

from worldloom.geometry import OCC3D_GRID, VoxelGrid
from worldloom.occupancy.simulation.filling import BLOCK, Told, fill_in, forget, rectangles
from worldloom.occupancy.static_map import StaticMap


class Asked:
    """Stands in for the network: it remembers what it was asked, and knows everything it is believed about."""

    def __init__(self) -> None:
        self.windows: list[VoxelGrid] = []

    def filled_in(
        self, static: StaticMap, window: VoxelGrid, way: torch.Tensor, believed: VoxelGrid | None = None
    ) -> StaticMap:
        assert believed is not None
        self.windows.append(window)
        self.way = way
        low = torch.tensor(believed.origin, dtype=torch.float64)
        static = static.over(low, low + 0.4 * torch.tensor(believed.shape, dtype=torch.float64))
        labels = torch.full(believed.shape, 15, dtype=torch.uint8)
        return static.filled(believed, labels, torch.ones(believed.shape, dtype=torch.bool))


def fresh() -> StaticMap:
    nothing = torch.zeros(OCC3D_GRID.shape, dtype=torch.bool)
    labels = torch.full(OCC3D_GRID.shape, 17, dtype=torch.uint8)
    return StaticMap(labels, nothing, nothing, nothing[..., 0], OCC3D_GRID, torch.eye(4, dtype=torch.float64))


def poses(first: float, count: int, step: float = 4.0) -> torch.Tensor:
    rows = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    rows[:, 0, 3] = first + step * torch.arange(count)
    return rows


def test_all_that_will_be_seen_is_known_and_nothing_is_asked_twice() -> None:
    asked = Asked()
    static, told = fill_in(asked, fresh(), Told(), poses(0, 9), 20.0, poses(36, 4))
    assert len(asked.windows) == 1
    assert asked.way.shape == (13, 2)
    assert all(n % BLOCK == 0 for n in asked.windows[0].shape[:2])
    size, (ox, oy) = static.grid.voxel_size, static.grid.origin[:2]
    for x in (0.0, 16.0, 32.0):  # everything 20 m around each of the poses
        i, j = (round((at - o) / size) for at, o in ((x, ox), (0.0, oy)))
        n = round(20 / size)
        assert bool(static.known[i - n : i + n, j - n : j + n].all())
    again, same = fill_in(asked, static, told, poses(8, 9), 20.0, poses(44, 4))
    assert (again, same) == (static, told)
    assert len(asked.windows) == 1


def test_new_ground_is_asked_for_in_a_strip() -> None:
    asked = Asked()
    static, told = fill_in(asked, fresh(), Told(), poses(0, 9), 20.0, poses(36, 4))
    first = asked.windows[0].shape[0] * asked.windows[0].shape[1]
    fill_in(asked, static, told, poses(48, 5), 20.0, poses(68, 4))
    assert len(asked.windows) == 2
    assert asked.windows[1].shape[0] * asked.windows[1].shape[1] < 0.7 * first
    assert asked.windows[1].origin[0] > asked.windows[0].origin[0]


def test_what_is_far_is_forgotten_and_asked_for_again() -> None:
    asked = Asked()
    static, told = fill_in(asked, fresh(), Told(), poses(0, 9), 20.0, poses(36, 4))
    far = poses(300, 9)
    static, told = fill_in(asked, static, told, far, 20.0, poses(336, 4))
    assert forget(static, told, far[0], 400.0) == (static, told)
    left, known = forget(static, told, far[0], 100.0)
    assert left.grid.shape[0] * left.grid.voxel_size < 220
    place = StaticMap.place_of(left.grid, static.grid)
    assert torch.equal(left.labels, static.labels[place])
    count = len(asked.windows)
    assert fill_in(asked, left, known, far, 20.0, poses(336, 4)) == (left, known)
    assert len(asked.windows) == count, "what is near is still known"
    back, _ = fill_in(asked, left, known, poses(0, 9), 20.0, poses(36, 4))
    assert len(asked.windows) > count
    i, j = (round(-origin / 0.4) for origin in back.grid.origin[:2])
    assert bool(back.known[i - 50 : i + 50, j - 50 : j + 50].all())


def test_told_blocks_grow_with_rectangles_anywhere() -> None:
    told = Told().with_rectangle((2, 4, 1, 3)).with_rectangle((-3, -1, 5, 6))
    needed = torch.ones(10, 10, dtype=torch.bool)
    missing = told.missing(needed, (-4, -2))
    done = {(i - 4, j - 2) for i, j in (~missing).nonzero().tolist()}
    assert done == {(2, 1), (2, 2), (3, 1), (3, 2), (-3, 5), (-2, 5)}
    assert bool(told.missing(needed, (40, 40)).all())


def test_rectangles_cover_everything_and_a_corner_is_cut() -> None:
    mask = torch.zeros(120, 120, dtype=torch.bool)
    assert rectangles(mask) == []
    mask[5:25, 3:90] = True
    assert rectangles(mask) == [(5, 25, 3, 90)]
    mask[5:110, 3:25] = True  # an L
    parts = rectangles(mask)
    assert len(parts) == 2
    covered = torch.zeros_like(mask)
    for i0, i1, j0, j1 in parts:
        covered[i0:i1, j0:j1] = True
    assert bool((covered | ~mask).all())
    assert int(covered.sum()) < 1.2 * int(mask.sum())
