"""The memory in worlds small enough to know the answer, against twins that are slow and plain, and hostile files."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.errors import InputError
from worldloom.geometry import FREE, MOVERS, VoxelGrid, compose, invert, rotz, warp_labels
from worldloom.geometry.io.npz import save_npz
from worldloom.occupancy.memory.memory import GENERATED_WEIGHT, LOG_ODDS, MIN_BUDGET, OBSERVED_WEIGHT, Memory
from worldloom.occupancy.memory.memory_file import load_memory, save_memory
from worldloom.occupancy.memory.voxel_blocks import (
    MOST,
    OBSERVED,
    REACH,
    ROW_BYTES,
    UNKNOWN,
    VoxelBlocks,
    blocks_of,
    empty_rows,
    keys_of,
    vote,
)

CAR, ROAD, WALK, WALL, TREE = 4, 11, 13, 15, 16
GRID = VoxelGrid((-6.4, -6.4, -1.0), 0.4, (32, 32, 8))


def at(x: float, y: float = 0.0, z: float = 0.0, yaw: float = 0.0, tilt: float = 0.0) -> torch.Tensor:
    c, s = math.cos(tilt), math.sin(tilt)
    lean = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float64)
    turn = rotz(torch.tensor(yaw, dtype=torch.float64)) @ lean
    return compose(turn, torch.tensor([x, y, z], dtype=torch.float64))


def static_labels(seed: int, shape: tuple[int, int, int] = GRID.shape) -> torch.Tensor:
    labels = torch.randint(0, 18, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return torch.where(torch.isin(labels, torch.tensor(MOVERS, dtype=torch.uint8)), FREE, labels)


def everywhere() -> torch.Tensor:
    return torch.ones(GRID.shape, dtype=torch.bool)


def full(label: int) -> torch.Tensor:
    return torch.full(GRID.shape, label, dtype=torch.uint8)


def memory_of(*frames: tuple[int, bool], budget: int = MIN_BUDGET) -> Memory:
    """All frames at one place, each of one class, observed or generated."""
    memory = Memory(GRID, budget=budget)
    for label, generated in frames:
        memory.record(full(label), everywhere(), at(0), GRID, generated=generated)
    return memory


def middle(memory: Memory) -> tuple[int, bool, bool, float]:
    known = memory.evidence_in(GRID, at(0))
    return tuple(value[16, 16, 4].item() for value in known)  # pyright: ignore[reportReturnType]


def test_what_was_recorded_is_there_again() -> None:
    labels, observed = static_labels(0), torch.rand(GRID.shape) < 0.5
    memory = Memory(GRID, at(500, 900, 3, 1.1, 0.02))
    assert memory.record(labels, observed, at(500, 900, 3, 1.1, 0.02), GRID) == 0
    got, known = memory.labels_in(GRID, at(500, 900, 3, 1.1, 0.02))
    assert torch.equal(known, observed)
    assert torch.equal(got, torch.where(observed, labels, FREE))


@pytest.mark.parametrize(("x", "y", "z"), [(3, 0, 0), (0, -5, 0), (0, 0, 2), (-40, 11, -3)])
def test_shifts_of_whole_voxels_are_exact(x: int, y: int, z: int) -> None:
    labels = static_labels(1)
    memory = Memory(GRID)
    memory.record(labels, everywhere(), at(0.4 * x, 0.4 * y, 0.4 * z), GRID)
    for i, known_at in ((0, at(0.4 * x, 0.4 * y, 0.4 * z)), (1, at(0.4 * (x + 1), 0.4 * y, 0.4 * z))):
        got, known = memory.labels_in(GRID, known_at)
        assert torch.equal(got[: 32 - i], labels[i:])
        assert known[: 32 - i].all()
        assert not known[32 - i :].any()


def test_a_turn_to_the_left_turns_the_world_to_the_right() -> None:
    labels = full(FREE)
    labels[16, 31, 2] = WALL  # on the left
    memory = Memory(GRID)
    memory.record(labels, everywhere(), at(0), GRID)
    got, _ = memory.labels_in(GRID, at(0, yaw=math.pi / 2))
    assert (got != FREE).nonzero().tolist() == [[31, 15, 2]]  # now ahead


@settings(max_examples=8)
@given(
    st.tuples(*[st.floats(-300, 300)] * 2, st.floats(-20, 20), st.floats(-3.2, 3.2), st.floats(-0.2, 0.2)),
    st.sampled_from(
        [GRID, VoxelGrid((-3.0, -9.0, -2.0), 0.4, (20, 41, 13)), VoxelGrid((0.1, -5.0, -1.0), 0.3, (24, 24, 9))]
    ),
)
def test_both_ways_are_nearest_voxels_by_backward_mapping(
    pose: tuple[float, float, float, float, float], grid: VoxelGrid
) -> None:
    """Against the warp of whole grids. Where a centre lies within rounding of a face either voxel will do."""
    world_from_ego = at(*pose)
    labels = static_labels(2, grid.shape)
    memory = Memory(GRID)
    memory.record(labels, torch.ones(grid.shape, dtype=torch.bool), world_from_ego, grid)
    x, y, z = (round(p / 0.4) * 0.4 for p in pose[:3])
    whole = VoxelGrid((-14.4, -14.4, -7.0), 0.4, (72, 72, 36))
    expected, inside = warp_labels(labels, invert(at(x, y, z)) @ world_from_ego, grid, whole)
    got, known = memory.labels_in(whole, at(x, y, z))
    assert (known != inside).float().mean() < 1e-4
    assert (got != expected).float().mean() < 1e-4
    back, back_known = memory.labels_in(grid, world_from_ego)
    codes = torch.where(known, got, 127)
    again, there = warp_labels(codes, invert(world_from_ego) @ at(x, y, z), whole, grid, fill=127)
    assert there.all()
    assert (torch.where(back_known, back, 127) != again).float().mean() < 2e-3


@pytest.mark.parametrize(
    ("frames", "label", "generated", "votes"),
    [
        ([(WALL, False)], WALL, False, OBSERVED_WEIGHT),
        ([(WALL, False), (TREE, False)], TREE, False, 0),  # equal evidence: the later one
        ([(WALL, False), (TREE, False), (WALL, False)], WALL, False, OBSERVED_WEIGHT),
        ([(WALL, False), (WALL, False), (TREE, False)], WALL, False, OBSERVED_WEIGHT),
        ([(WALL, False), (WALL, False), (TREE, False), (ROAD, False), (WALL, False)], WALL, False, 2 * OBSERVED_WEIGHT),
        ([(WALL, True)], WALL, True, GENERATED_WEIGHT),
        ([(WALL, False)] + 30 * [(TREE, True)], WALL, False, OBSERVED_WEIGHT),  # made-up frames change nothing
        (9 * [(TREE, True)] + [(WALL, False)], WALL, False, OBSERVED_WEIGHT),  # one look, and what was made up is gone
        ([(TREE, True), (WALL, True), (WALL, True)], WALL, True, GENERATED_WEIGHT),
        (30 * [(WALL, False)], WALL, False, MOST),
        (30 * [(WALL, False)] + 8 * [(FREE, False)], FREE, False, 0),  # pulled down: believed after eight looks
        (30 * [(WALL, False)] + 7 * [(FREE, False)], WALL, False, OBSERVED_WEIGHT),
        ([(WALL, False), (CAR, False)], WALL, False, OBSERVED_WEIGHT),  # road users are no news
    ],
)
def test_evidence(frames: list[tuple[int, bool]], label: int, generated: bool, votes: int) -> None:
    got = middle(memory_of(*frames))
    assert got[:3] == (label, True, generated)
    assert got[3] == pytest.approx(votes * LOG_ODDS, rel=1e-5)


def test_one_vote_is_the_log_odds_of_a_look() -> None:
    assert math.isclose(OBSERVED_WEIGHT * LOG_ODDS, math.log(9))


@given(st.lists(st.sampled_from([WALL, TREE, ROAD, FREE, WALK]), min_size=1, max_size=8))
def test_counters_keep_what_most_votes_were_for(looks: list[int]) -> None:
    rows = empty_rows(1)
    for label in looks:
        vote(rows, np.full((1, 512), label, np.uint8), OBSERVED_WEIGHT, True)
    best, first, second, other = rows[0, :, 0].tolist()
    assert 0 < first <= MOST
    assert other <= first
    kept = {best - OBSERVED} | ({second} if other else set())
    for label, count in Counter(looks).items():
        if 3 * count > len(looks):
            assert label in kept
        if 2 * count > len(looks):
            assert label == best - OBSERVED
    assert max(first, other) <= OBSERVED_WEIGHT * max(Counter(looks).values())


def test_road_users_and_what_nobody_saw_are_not_remembered() -> None:
    labels, observed = full(ROAD), everywhere()
    labels[4, 4, 1], observed[5, 5, 1] = CAR, False
    memory = Memory(GRID)
    memory.record(labels, observed, at(0), GRID)
    got, known = memory.labels_in(GRID, at(0))
    assert (~known).nonzero().tolist() == [[4, 4, 1], [5, 5, 1]]
    assert got[4, 4, 1] == got[5, 5, 1] == FREE


def test_what_was_made_up_can_be_left_out() -> None:
    memory = Memory(GRID)
    near = everywhere()
    near[16:] = False
    memory.record(full(ROAD), near, at(0), GRID)
    memory.record(full(WALL), everywhere(), at(0), GRID, generated=True)
    labels, known = memory.labels_in(GRID, at(0))
    assert known.all()
    assert (labels[:16] == ROAD).all()
    assert (labels[16:] == WALL).all()
    labels, known = memory.labels_in(GRID, at(0), generated=False)
    assert torch.equal(known, near)
    assert (labels[16:] == FREE).all()


def test_leave_and_return() -> None:
    """A place is the same after a long drive elsewhere; a memory of the last frames alone has lost it."""
    memory, start = Memory(GRID), static_labels(3)
    memory.record(start, everywhere(), at(0), GRID)
    for i in range(1, 12):
        memory.record(static_labels(3 + i), everywhere(), at(12.8 * i), GRID)
    agreement = memory.agreement(start, everywhere(), at(0), GRID)
    assert agreement.iou == agreement.class_iou == 1
    assert agreement.cells == start.numel()
    other = memory.agreement(static_labels(99), everywhere(), at(0), GRID)
    assert other.class_iou < 0.2
    assert memory.agreement(start, everywhere(), at(0, 500), GRID).cells == 0
    assert math.isnan(memory.agreement(start, everywhere(), at(0, 500), GRID).iou)


def test_forms_of_what_is_known() -> None:
    labels, observed = full(FREE), everywhere()
    labels[:, :, 0] = ROAD
    labels[3, 3, 4], labels[5, 5, 0], observed[7, 7] = WALL, TREE, False
    memory = Memory(GRID)
    memory.record(labels, observed, at(0), GRID)
    picture = memory.process("picture", GRID, at(0))
    assert isinstance(picture, torch.Tensor)
    assert picture[3, 3] == WALL
    assert picture[5, 5] == TREE
    assert picture[7, 7] == UNKNOWN
    assert (picture == ROAD).sum() == 32 * 32 - 3
    assert torch.equal(memory.process("occupancy", GRID, at(0))[0], memory.labels_in(GRID, at(0))[0])  # pyright: ignore


def test_forgetting_empties_the_region_and_nothing_else() -> None:
    labels = static_labels(4)
    memory = Memory(GRID)
    memory.record(labels, everywhere(), at(0), GRID)
    memory.compress(-1)
    inside = torch.zeros(GRID.shape, dtype=torch.bool)
    inside[3:20, 5:6, 2:] = True
    low = torch.tensor([-6.4 + 3 * 0.4, -6.4 + 5 * 0.4, -1 + 2 * 0.4])
    assert memory.forget(low, low + torch.tensor([17 * 0.4, 0.4, 100.0])) == int(inside.sum())
    got, known = memory.labels_in(GRID, at(0))
    assert torch.equal(known, ~inside)
    assert torch.equal(got, torch.where(inside, FREE, labels))
    assert len(memory.select(at(0), 3)) == 1
    memory.forget(torch.full((3,), -1e3), torch.full((3,), 1e3))
    assert len(memory.blocks) == len(memory) == 0
    assert memory.select(at(0), 3) == []
    assert memory.record(labels, everywhere(), at(0), GRID) == 1  # numbers are not used twice


def test_branches_do_not_touch_each_other() -> None:
    memory = memory_of((WALL, False))
    branch = memory.copy()
    branch.record(full(TREE), everywhere(), at(0), GRID)
    branch.record(full(TREE), everywhere(), at(100), GRID)
    assert (len(memory), len(branch)) == (1, 3)
    assert middle(memory)[0] == WALL
    assert middle(branch)[0] == TREE
    assert not memory.labels_in(GRID, at(100))[1].any()
    assert [one.frame.number for one in memory.select(at(0), 5)] == [0]


def test_merging_two_halves_of_a_drive_gives_the_whole() -> None:
    drive = [(static_labels(i), at(3.2 * i), i % 3 == 2) for i in range(6)]
    whole, one, two = Memory(GRID), Memory(GRID), Memory(GRID)
    for i, (labels, pose, generated) in enumerate(drive):
        for memory in (whole, one if i < 3 else two):
            memory.record(labels, everywhere(), pose, GRID, 0.5 * i, generated)
    one.merge(two)
    wide = VoxelGrid((-10.0, -10.0, -2.0), 0.4, (100, 50, 12))
    a, b = whole.evidence_in(wide, at(0)), one.evidence_in(wide, at(0))
    assert torch.equal(a.known, b.known)
    assert torch.equal(a.generated, b.generated)
    assert (a.labels == b.labels).float().mean() > 0.8  # ties may fall otherwise
    assert len(one) == 6
    empty = Memory(GRID)
    empty.merge(whole)
    assert torch.equal(empty.evidence_in(wide, at(0)).labels, a.labels)
    with pytest.raises(ValueError, match="another lattice"):
        empty.merge(Memory(VoxelGrid((0.0, 0.0, 0.0), 0.4, (1, 1, 1))))


def drive_round(memory: Memory, count: int, radius: float = 60.0) -> list[torch.Tensor]:
    """A lap; each frame sees a cone ahead of it."""
    poses = []
    cone = GRID.centres()[..., 0] > GRID.centres()[..., 1].abs()
    for i in range(count):
        angle = 2 * math.pi * i / count
        pose = at(radius * math.cos(angle), radius * math.sin(angle), 0, angle + math.pi / 2)
        memory.record(full(ROAD), cone, pose, GRID)
        poses.append(pose)
    return poses


def test_selection_shows_what_the_view_shows() -> None:
    memory = Memory(GRID)
    poses = drive_round(memory, 60)
    for i in (7, 30, 51):
        chosen = memory.select(poses[i], 4, reach=8, field_deg=90)
        assert min(abs(one.frame.number - i) % 58 for one in chosen[:1]) <= 3
        # No frame that was left out adds as much as one that was taken.
        query = set(memory._cells_of_view(poses[i], 8.0, 90.0).tolist())
        covered: set[int] = set()
        for one in chosen:
            gains = [len((query - covered) & set(frame.cells.tolist())) for frame in memory.frames]
            mine = len((query - covered) & set(one.frame.cells.tolist()))
            assert mine == max(gains)
            assert one.share == pytest.approx(mine / len(query))
            covered |= set(one.frame.cells.tolist())
        recent = list(memory.frames)[-4:]
        if i < 50:  # the last frames show nothing of it
            assert not any(query & set(frame.cells.tolist()) for frame in recent)
    assert memory.select(at(0, 0), 4, reach=20) == []
    assert memory.select(poses[0], 0) == []


def test_views_look_along_x_and_recent_frames_win_ties() -> None:
    memory = Memory(GRID)
    ahead = memory.record(full(ROAD), everywhere(), at(30), GRID)
    behind = memory.record(full(ROAD), everywhere(), at(-30), GRID)
    left = memory.record(full(ROAD), everywhere(), at(0, 30), GRID)
    for yaw, expected in ((0, ahead), (math.pi, behind), (math.pi / 2, left)):
        assert [one.frame.number for one in memory.select(at(0, yaw=yaw), 5, field_deg=60)] == [expected]
    again = memory.record(full(ROAD), everywhere(), at(30), GRID)
    assert memory.select(at(0), 1, field_deg=60)[0].frame.number == again


def random_rows(count: int, seed: int = 0) -> np.ndarray:
    rows = empty_rows(count)
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 8, 11, 15, 16, 17], np.uint8), (count, 512))
    vote(rows, labels, OBSERVED_WEIGHT, True)
    return rows


def test_blocks_hold_their_budget_and_keep_what_was_used() -> None:
    blocks = VoxelBlocks(1 << 20)
    keys = keys_of(np.stack([np.arange(3000), np.zeros(3000, int), np.zeros(3000, int)], 1))
    rows = random_rows(3000)
    for a in range(0, 3000, 100):
        blocks.put(keys[a : a + 100], rows[a : a + 100], float(a))
        blocks.codes(keys[:50], float(a))  # a place that is visited again and again
        if blocks.nbytes > blocks.budget:
            blocks.evict(int(0.9 * blocks.budget), float(a))
        assert blocks.nbytes <= blocks.budget
    assert 0 < len(blocks) < 3000
    assert np.array_equal(blocks.codes(keys[:50], 3000.0), rows[:50, 0])
    assert np.array_equal(blocks.codes(keys[-100:], 3000.0), rows[-100:, 0])
    assert (blocks.codes(keys[50:150], 3000.0) == UNKNOWN).all()
    with pytest.raises(ValueError, match=r"expected a budget of .* bytes or more for 3000 blocks, got 1048576"):
        blocks.put(keys, rows, 0.0)


def test_packing_keeps_the_best_class_and_its_lead() -> None:
    blocks = VoxelBlocks(4 << 20)
    rows = random_rows(40)
    vote(rows, np.full((40, 512), WALL, np.uint8), 5, True)
    keys = keys_of(np.stack([np.arange(40), np.arange(40), np.arange(40)], 1))
    blocks.put(keys, rows, 0.0)
    before = blocks.nbytes
    assert blocks.compress() == 40
    assert blocks.num_compressed == 40
    assert blocks.nbytes < before
    packed = blocks.rows(keys)
    assert np.array_equal(packed[:, 0], rows[:, 0])
    assert np.array_equal(packed[:, 1], np.maximum(rows[:, 1] - rows[:, 3], 1))
    assert not packed[:, 3].any()
    blocks.codes(keys, 1.0)  # read: taken back into use
    assert blocks.num_compressed == 0
    blocks.remove(keys[::2])
    assert len(blocks) == 20
    assert np.array_equal(blocks.rows(keys[1::2])[:, 0], rows[1::2, 0])


@given(st.lists(st.tuples(*[st.integers(-REACH + 1, REACH - 1)] * 3), min_size=1, max_size=20, unique=True))
def test_keys_are_blocks_in_order(blocks: list[tuple[int, int, int]]) -> None:
    array = np.array(sorted(blocks), np.int64)
    keys = keys_of(array)
    assert (np.diff(keys) > 0).all()
    assert np.array_equal(blocks_of(keys), array)


def test_the_budget_holds_over_a_long_drive() -> None:
    memory = Memory(GRID)
    labels, forgotten = static_labels(5), 0
    memory.blocks.budget = 40 * ROW_BYTES  # so that a short drive is long
    for i in range(40):
        memory.record(labels, everywhere(), at(12.8 * i, yaw=0.0), GRID)
        forgotten += memory.manage()
        assert memory.blocks.nbytes <= memory.blocks.budget
    assert len(memory.blocks) < 40 * 16
    assert memory.agreement(labels, everywhere(), at(12.8 * 39), GRID).iou == 1  # the present is there
    assert memory.frames.thin(memory.frames.nbytes // 2) > 0
    assert memory.select(at(12.8 * 39), 1)[0].share > 0


@pytest.mark.parametrize("packed", [False, True])
def test_files_give_back_the_same_memory(tmp_path: Path, packed: bool) -> None:
    memory = Memory(GRID, at(3, 4, 0, 0.3))
    drive_round(memory, 9)
    memory.record(static_labels(6), everywhere(), at(60), GRID, generated=True)
    memory.frames.remove(4)
    if packed:
        memory.compress(2.0)
    save_memory(tmp_path / "a.npz", memory)
    back = load_memory(tmp_path / "a.npz")
    save_memory(tmp_path / "b.npz", back)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert back.blocks.num_compressed == memory.blocks.num_compressed
    assert (back.now, back.budget, len(back)) == (memory.now, memory.budget, 9)
    for one, two in zip(memory.evidence_in(GRID, at(60)), back.evidence_in(GRID, at(60)), strict=True):
        assert torch.equal(one, two)
    assert [s.frame.number for s in back.select(at(60), 9)] == [s.frame.number for s in memory.select(at(60), 9)]
    assert back.record(full(ROAD), everywhere(), at(0), GRID) == 10


def changed(name: str, at: tuple[int, ...], value: object):
    def change(arrays: dict[str, np.ndarray]) -> None:
        array = arrays[name].copy()
        array[at] = value
        arrays[name] = array

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("rows"), "an array 'rows'"),
        (lambda a: a.update(memory_version=np.int64(2)), "memory version 1, got 2"),
        (lambda a: a.update(budget=np.int64(5)), "a budget of at least"),
        (lambda a: a.update(voxel_size=np.float64(0)), "a voxel size above 0"),
        (lambda a: a.update(keys=a["keys"][:-1]), "'rows' to be uint8 n 4 512"),
        (lambda a: a.update(keys=a["keys"][::-1].copy()), "keys of blocks in order"),
        (lambda a: a.update(rows=a["rows"].astype(np.int64)), "got int64"),
        (lambda a: a.update(now=np.float64(np.nan)), "finite times"),
        (lambda a: a.update(frame_num_cells=a["frame_num_cells"] * 2), "cells of frames"),
        (lambda a: a.update(frame_numbers=a["frame_numbers"] + 7), "numbers of frames from 0 to 1"),
        (lambda a: a.update(recorded=np.int64(1 << 40)), "numbers of frames"),
        (changed("rows", (0, 0, 0), 18), "codes of classes 0 to 17"),
        (changed("rows", (0, 1, 0), 0), "counters from 0 to 120"),
        (changed("rows", (0, 1, 0), 200), "counters from 0 to 120"),
        (changed("rows", (0, 2, 0), 40), "second classes 0 to 17|counters"),
        (changed("hits", (0,), -1), "counts of hits"),
        (changed("world_from_memory", (0, 0), 2.0), "rigid transforms"),
        (changed("frame_world_from_ego", (0, 0, 3), np.inf), "finite numbers"),
        (changed("frame_num_cells", (0,), -1), "cells of frames"),
    ],
)
def test_wrong_files(tmp_path: Path, change, message: str) -> None:
    memory = memory_of((WALL, False), (TREE, False), (WALL, False))
    for number in (1, 2):
        memory.frames.remove(number)
    memory.frames = type(memory.frames).of(memory.frames, 1)
    save_memory(tmp_path / "good.npz", memory)
    with np.load(tmp_path / "good.npz", allow_pickle=False) as file:
        arrays = dict(file)
    change(arrays)
    save_npz(tmp_path / "bad.npz", arrays)
    with pytest.raises(InputError, match=message):
        load_memory(tmp_path / "bad.npz")


def test_truncated_and_foreign_files(tmp_path: Path) -> None:
    save_memory(tmp_path / "good.npz", memory_of((WALL, False)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:500])
    (tmp_path / "text.npz").write_text("hello")
    for name in ("cut.npz", "text.npz", "none.npz"):
        with pytest.raises(InputError, match=name):
            load_memory(tmp_path / name)


def nan_pose() -> torch.Tensor:
    pose = at(0)
    pose[0, 3] = math.nan
    return pose


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.record(full(ROAD)[1:], everywhere()[1:], at(0), GRID), r"\(32, 32, 8\), got \(31, 32, 8\)"),
        (lambda m: m.record(full(18), everywhere(), at(0), GRID), "classes 0 to 17, got 18"),
        (lambda m: m.record(full(ROAD), everywhere(), nan_pose(), GRID), "finite numbers"),
        (lambda m: m.labels_in(GRID, nan_pose()), "finite numbers"),
        (lambda m: m.record(full(ROAD), everywhere(), at(1e9), GRID), "within 1048576"),
        (lambda m: m.labels_in(VoxelGrid((0.0, 0.0, 0.0), 4.0, (200, 200, 16)), at(0)), "at most 268435456 voxels"),
        (lambda m: m.manage(1000), "at least 16777216 bytes, got 1000"),
        (lambda m: Memory(GRID, budget=0), "at least 16777216 bytes, got 0"),
    ],
)
def test_wrong_calls(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(Memory(GRID))


def test_a_frame_that_shows_nothing_is_a_frame() -> None:
    memory = Memory(GRID)
    assert memory.record(full(ROAD), ~everywhere(), at(0), GRID) == 0
    assert len(memory.blocks) == 0
    assert not memory.labels_in(GRID, at(0))[1].any()
    assert memory.select(at(0), 3) == []
