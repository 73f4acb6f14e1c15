"""A commanded path on the end of a clip: the one rule, its two branches, and the log."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, EgoPath, Occupancy, VoxelGrid, compose, path_from_steps, rotz
from worldloom.occupancy.future_path import first_off_log, lay_path

GRID = VoxelGrid((0.0, 0.0, 0.0), 1.0, (1, 1, 1))


def make_clip(poses: torch.Tensor, dt: float = 0.5) -> Occupancy:
    labels = torch.full((len(poses), 1, 1, 1), 17, dtype=torch.uint8)
    return Occupancy(labels, torch.ones_like(labels, dtype=torch.bool), poses, GRID, OCC3D_CLASSES, dt)


def at(x: float, y: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> torch.Tensor:
    return compose(rotz(torch.tensor(yaw, dtype=torch.float64)), torch.tensor([x, y, z], dtype=torch.float64))


def drive(num: int, speed: float = 2.0, dyaw: float = 0.1, start: torch.Tensor | None = None) -> EgoPath:
    steps = torch.tensor([[speed, 0.0, dyaw]] * num, dtype=torch.float64)
    return path_from_steps(at(600, 1600, 0, 0.7) if start is None else start, steps, 0.5)


def test_a_path_through_the_present_goes_on_from_there() -> None:
    log = drive(11)
    laid = lay_path(log, make_clip(log.world_from_ego[:4]), 6)
    assert torch.equal(laid.ego_path.world_from_ego, log.world_from_ego[4:10])
    assert "from pose 3" in laid.laid


def test_a_path_of_another_place_is_laid_on_the_present() -> None:
    """Two metres a step to the left of north, laid on a car that faces west."""
    command = drive(5, speed=2.0, dyaw=0.0)
    past = make_clip(torch.stack([at(5, 1, 0.3, math.pi / 2), at(5, 3, 0.3, math.pi / 2)]))
    future = lay_path(command, past, 4).ego_path.world_from_ego
    torch.testing.assert_close(future, torch.stack([at(5, 3 + 2 * (i + 1), 0.3, math.pi / 2) for i in range(4)]))


def test_foreign_tilts_and_heights_stay_behind() -> None:
    """The other road climbs at 4 degrees; on this road the same motions stay in the plane of the last ego frame."""
    pitch = math.radians(-4)
    climb = torch.eye(4, dtype=torch.float64)
    climb[0, 0], climb[0, 2], climb[2, 0], climb[2, 2] = (
        math.cos(pitch),
        math.sin(pitch),
        -math.sin(pitch),
        math.cos(pitch),
    )
    command = drive(8, dyaw=0.2, start=climb)
    future = lay_path(command, make_clip(at(0)[None]), 8).ego_path
    assert future.world_from_ego[:, 2, 3].abs().max() == 0
    assert (future.world_from_ego[:, 2, 2] - 1).abs().max() == 0
    torch.testing.assert_close(EgoPath(torch.cat([at(0)[None], future.world_from_ego]), 0.5).steps(), command.steps())


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(-200, 200), st.floats(-200, 200), st.integers(1, 4), st.integers(1, 6))
def test_motions_are_kept_wherever_it_is_laid(yaw: float, x: float, y: float, num_past: int, horizon: int) -> None:
    command = drive(8)
    poses = drive(num_past - 1, start=at(x, y, 0, yaw)).world_from_ego if num_past > 1 else at(x, y, 0, yaw)[None]
    future = lay_path(command, make_clip(poses), horizon).ego_path
    together = EgoPath(torch.cat([poses[-1:], future.world_from_ego]), 0.5)
    torch.testing.assert_close(together.steps(), command.steps()[:horizon])


def test_a_car_that_waits_is_found_by_its_past() -> None:
    """Poses 3 to 6 are one place; the past came from pose 2, so the present is pose 3 and it waits three steps more."""
    steps = torch.tensor([[2.0, 0, 0]] * 3 + [[0.0, 0, 0]] * 3 + [[2.0, 0, 0]] * 3, dtype=torch.float64)
    log = path_from_steps(at(0), steps, 0.5)
    moved = lay_path(log, make_clip(log.world_from_ego[1:4]), 6).ego_path
    assert torch.equal(moved.world_from_ego, log.world_from_ego[4:10])
    waited = lay_path(log, make_clip(log.world_from_ego[2:6]), 4).ego_path
    assert torch.equal(waited.world_from_ego, log.world_from_ego[6:10])


def test_another_rhythm_is_interpolated() -> None:
    fine = path_from_steps(at(0), torch.tensor([[0.4, 0, 0]] * 40, dtype=torch.float64), 0.1)  # 4 m/s at 10 Hz
    future = lay_path(fine, make_clip(at(0, 7)[None]), 8).ego_path
    assert future.dt == 0.5
    torch.testing.assert_close(future.world_from_ego, torch.stack([at(2.0 * (i + 1), 7) for i in range(8)]))


@pytest.mark.parametrize(
    ("num_past", "clip", "numbers"),
    [
        (4, drive(11).world_from_ego, ("13", "9 from pose 3")),  # in its own world
        (1, at(0)[None], ("13", "got 12")),  # laid on another
    ],
)
def test_too_few_poses_name_both_numbers(num_past: int, clip: torch.Tensor, numbers: tuple[str, str]) -> None:
    with pytest.raises(InputError) as error:
        lay_path(drive(11), make_clip(clip[:num_past]), 12)
    for number in numbers:
        assert number in str(error.value)


def test_leaving_the_log_is_seen() -> None:
    log = drive(10)
    truth = make_clip(log.world_from_ego[4:])
    assert first_off_log(log[4:], truth) is None
    assert first_off_log(log[4:7], truth) is None  # shorter is not off
    aside = log.world_from_ego[4:].clone()
    aside[2:] = aside[2:] @ at(0, 0.5)
    assert first_off_log(EgoPath(aside, 0.5), truth) == (2, pytest.approx(0.5))
    turned = log.world_from_ego[4:] @ at(0, yaw=0.05)
    found = first_off_log(EgoPath(turned, 0.5), truth)
    assert found is not None
    assert found[0] == 0
