"""Looking through voxel grids: closed forms, brute force, and the two engines bit for bit."""

import math

import pytest
import torch

from worldloom.errors import InputError
from worldloom.ops.sparse.backend import native_module
from worldloom.ops.voxel_rays import look, look_from_each, mark_points

ENGINES = ["torch", pytest.param("native", marks=pytest.mark.skipif(native_module() is None, reason="not built"))]
SHAPE = (13, 9, 7)


def all_cells(grid: torch.Tensor) -> torch.Tensor:
    return torch.arange(grid.numel())


def cell(*at: int, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.tensor([(at[0] * shape[1] + at[1]) * shape[2] + at[2]])


def eye(*at: float) -> torch.Tensor:
    return torch.tensor(at, dtype=torch.float64)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_empty_grid_hides_nothing(engine: str) -> None:
    empty = torch.zeros(SHAPE, dtype=torch.bool)
    for place in (eye(-20, 4.2, 3.3), eye(6.5, 4.5, 3.5), eye(6, 30, -9)):
        assert look(empty, place, all_cells(empty), backend=engine).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_wall_hides_what_is_behind_it_and_nothing_else(engine: str, axis: int) -> None:
    wall = torch.zeros(SHAPE, dtype=torch.bool)
    wall.select(axis, 4).fill_(True)
    place = torch.tensor([6.3, 4.4, 3.6], dtype=torch.float64)
    place[axis] = 1.5
    seen = look(wall, place, all_cells(wall), backend=engine).reshape(SHAPE)
    at = torch.arange(SHAPE[axis])
    expected = (at <= 4).reshape([-1 if a == axis else 1 for a in range(3)]).expand(SHAPE)
    assert torch.equal(seen, expected)
    # From the other side the other half is hidden.
    place[axis] = SHAPE[axis] + 3.0
    seen = look(wall, place, all_cells(wall), backend=engine).reshape(SHAPE)
    expected = (at >= 4).reshape([-1 if a == axis else 1 for a in range(3)]).expand(SHAPE)
    assert torch.equal(seen, expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_pierce_counts_the_blocked_voxels_in_between(engine: str) -> None:
    row = torch.zeros(12, 1, 1, dtype=torch.bool)
    row[[2, 4, 5, 9]] = True
    targets = torch.tensor([1, 3, 6, 11])
    for pierce in range(5):
        seen = look(row, eye(-3, 0.5, 0.5), targets, pierce=pierce, backend=engine)
        assert seen.tolist() == [True, pierce >= 1, pierce >= 3, pierce >= 4]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_voxel_of_a_far_floor_is_seen_by_its_top(engine: str) -> None:
    """Towards their centres all but the nearest would hide behind their neighbours."""
    floor = torch.zeros(60, 40, 6, dtype=torch.bool)
    floor[:, :, 0] = True
    assert look(floor, eye(0.5, 20.2, 4.6), floor.flatten().nonzero()[:, 0], backend=engine).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_eye_sees_out_of_its_own_voxel(engine: str) -> None:
    grid = torch.zeros(SHAPE, dtype=torch.bool)
    grid[6, 4, 3] = True
    seen = look(grid, eye(6.5, 4.5, 3.5), all_cells(grid), backend=engine)
    assert int((~seen).sum()) == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_the_way_to_a_voxel_is_the_way_a_dense_line_takes(engine: str) -> None:
    """Brute force: thousands of points along the line, and the voxels they fall into."""
    generator = torch.Generator().manual_seed(3)
    empty = torch.zeros(SHAPE, dtype=torch.bool)
    for _ in range(10):
        place = (torch.rand(3, generator=generator, dtype=torch.float64) * 3 - 1) * torch.tensor(SHAPE)
        target = (torch.rand(3, generator=generator) * torch.tensor(SHAPE)).long()
        crossed = torch.zeros_like(empty)
        look(empty, place, cell(*target.tolist()), crossed, backend=engine)
        share = torch.linspace(0, 1, 40_001, dtype=torch.float64)[:, None]
        visited = (place + share * (target + 0.5 - place)).floor().long()
        visited = visited[((visited >= 0) & (visited < torch.tensor(SHAPE))).all(1)]
        expected = torch.zeros_like(empty)
        expected[tuple(visited.T)] = True
        expected[tuple(target.tolist())] = False
        # A corner that is cut shorter than the samples' spacing may be missed by the brute force, never the reverse.
        assert not (expected & ~crossed).any()
        assert int((crossed & ~expected).sum()) <= 1


@pytest.mark.parametrize("engine", ENGINES)
def test_only_looks_that_succeed_leave_a_trace(engine: str) -> None:
    grid = torch.zeros(10, 1, 1, dtype=torch.bool)
    grid[5] = True
    crossed = torch.zeros_like(grid)
    assert look(grid, eye(0.5, 0.5, 0.5), torch.tensor([8]), crossed, backend=engine).tolist() == [False]
    assert not crossed.any()
    assert look(grid, eye(0.5, 0.5, 0.5), torch.tensor([5]), crossed, backend=engine).tolist() == [True]
    assert crossed.flatten().nonzero()[:, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_way_to_a_face_holds_the_voxel_before_it(engine: str) -> None:
    grid = torch.zeros(SHAPE, dtype=torch.bool)
    grid[6, 4, 3] = True

    def way(*place: float) -> list[list[int]]:
        crossed = torch.zeros_like(grid)
        assert look(grid, eye(*place), cell(6, 4, 3), crossed, backend=engine).all()
        return crossed.nonzero().tolist()

    for axis in range(3):
        for side in (-1, 1):
            near, far = [6.5, 4.5, 3.5], [6.5, 4.5, 3.5]
            near[axis] += side
            far[axis] += 2 * side
            # In the voxel before the face, and one farther away.
            assert way(*near) == [[int(at) for at in near]]
            assert way(*far) == sorted([[int(at) for at in near], [int(at) for at in far]])
    # The voxel before the lower face, the one below, and nothing of the sides.
    assert way(6.5, 4.5, -9.0) == [[6, 4, 0], [6, 4, 1], [6, 4, 2]]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_way_to_a_covered_voxel_holds_free_voxels_only(engine: str) -> None:
    grid = torch.zeros(12, 1, 1, dtype=torch.bool)
    grid[4:6] = grid[11] = True
    crossed = torch.zeros_like(grid)
    assert look(grid, eye(0.5, 0.5, 0.5), torch.tensor([5]), crossed, pierce=1, backend=engine).all()
    assert crossed.flatten().nonzero()[:, 0].tolist() == [0, 1, 2, 3]
    # A face on the border of the grid, seen from outside: nothing of the grid is on the way.
    crossed = torch.zeros_like(grid)
    assert look(grid, eye(20.0, 0.5, 0.5), torch.tensor([11]), crossed, backend=engine).all()
    assert not crossed.any()


@pytest.mark.skipif(native_module() is None, reason="the extension is not built")
@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
@pytest.mark.parametrize("density", [0.0, 0.03, 0.25])
def test_engines_agree_bit_for_bit(isa: str, density: float, monkeypatch: pytest.MonkeyPatch) -> None:
    if isa not in supported_isas():
        pytest.skip(f"this CPU has no {isa}")
    monkeypatch.setenv("WORLDLOOM_ISA", isa)
    generator = torch.Generator().manual_seed(7)
    grid = torch.rand(19, 14, 11, generator=generator) < density
    for trial in range(4):
        place = torch.rand(3, generator=generator, dtype=torch.float64) * torch.tensor([40.0, 34.0, 27.0]) - 9
        # Whole and half numbers put lines exactly through edges and corners.
        place = (place, place.round(), place.floor() + 0.5)[trial % 3]
        results = []
        for engine in ("torch", "native"):
            crossed = torch.zeros_like(grid)
            results.append((look(grid, place, all_cells(grid), crossed, trial % 4, engine), crossed))
        assert torch.equal(results[0][0], results[1][0])
        assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize("engine", ENGINES)
def test_several_eyes_see_what_each_sees_alone(engine: str) -> None:
    generator = torch.Generator().manual_seed(11)
    grid = torch.rand(SHAPE, generator=generator) < 0.1
    eyes = torch.rand(3, 3, generator=generator, dtype=torch.float64) * 9 - 1
    cells = [torch.randperm(grid.numel(), generator=generator)[:count] for count in (200, 0, 37)]
    together, alone = torch.zeros_like(grid), torch.zeros_like(grid)
    looks = look_from_each(grid, eyes, cells, together, pierce=1, backend=engine)
    for place, some, seen in zip(eyes, cells, looks, strict=True):
        assert torch.equal(seen, look(grid, place, some, alone, pierce=1, backend=engine))
    assert torch.equal(together, alone)
    with pytest.raises(InputError, match="each of 3 eyes, got 2"):
        look_from_each(grid, eyes, cells[:2], backend=engine)


def supported_isas() -> list[str]:
    native = native_module()
    order = ["scalar", "avx2", "avx512"]
    return order[: order.index(native.isa()) + 1] if native else []


@pytest.mark.skipif(native_module() is None, reason="the extension is not built")
def test_threads_do_not_change_a_bit() -> None:
    grid = torch.rand(40, 40, 16, generator=torch.Generator().manual_seed(1)) < 0.02
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            crossed = torch.zeros_like(grid)
            results.append((look(grid, eye(-4, 11.3, 8.1), all_cells(grid), crossed, backend="native"), crossed))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize("engine", ENGINES)
def test_points_raise_their_voxels(engine: str) -> None:
    best = torch.zeros(4, 3, 2, dtype=torch.uint8)
    points = torch.tensor([[0.1, 0.1, 0.1], [0.4, 0.4, 0.4], [1.9, 1.4, 0.9], [2.0, 0.0, 0.0], [-0.01, 0, 0]])
    values = torch.tensor([3, 2, 7, 9, 9], dtype=torch.uint8)
    double = torch.tensor([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]])
    flagged, flags = torch.zeros_like(best), torch.tensor([False, True, False, True, True])
    mark_points(best, points, values, double, backend=engine, flagged=(flagged, flags))
    expected = torch.zeros_like(best)
    expected[0, 0, 0], expected[3, 2, 1] = 3, 7
    assert torch.equal(best, expected)
    assert flagged.nonzero().tolist() == [[0, 0, 0]]  # by the point of the smaller value
    assert flagged.max() == 1


@pytest.mark.skipif(native_module() is None, reason="the extension is not built")
def test_marked_points_agree_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(2)
    points = torch.randn(20_000, 3, generator=generator) * 6
    values = torch.randint(0, 256, (20_000,), generator=generator, dtype=torch.uint8)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    affine = torch.cat([turn, torch.full((3, 1), 8.0, dtype=torch.float64)], 1)
    grids = [torch.zeros(16, 15, 14, dtype=torch.uint8) for _ in range(2)]
    flagged = [torch.zeros_like(grid) for grid in grids]
    for grid, second, engine in zip(grids, flagged, ("torch", "native"), strict=True):
        mark_points(grid, points, values, affine, backend=engine, flagged=(second, values > 250))
    assert torch.equal(grids[0], grids[1])
    assert torch.equal(flagged[0], flagged[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eye": eye(math.nan, 0, 0)}, "finite eye"),
        ({"cells": torch.tensor([13 * 9 * 7])}, "expected cells of 819 voxels"),
        ({"cells": torch.tensor([-1])}, "expected cells of 819 voxels"),
        ({"crossed": torch.zeros(2, 2, 2, dtype=torch.bool)}, "crossed"),
        ({"pierce": -1}, "pierce"),
        ({"backend": "cuda"}, "backend"),
    ],
)
def test_bad_looks_are_refused_in_one_line(change: dict[str, object], words: str) -> None:
    arguments: dict[str, object] = {
        "blocked": torch.zeros(SHAPE, dtype=torch.bool),
        "eye": eye(0, 0, 0),
        "cells": torch.tensor([0]),
    }
    # jaxtyping would notice the odd shape of `crossed` first, where it runs.
    with pytest.raises((InputError, TypeError)) as caught:
        look(**(arguments | change))  # pyright: ignore[reportArgumentType]
    if isinstance(caught.value, InputError):
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
