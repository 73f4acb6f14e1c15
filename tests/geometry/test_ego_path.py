"""Steps of motion and the paths they make."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worldloom.geometry import EgoPath, path_from_steps, rotz

moves = st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(-3, 3)), min_size=1, max_size=8).map(
    lambda s: torch.tensor(s, dtype=torch.float64)
)


@given(moves)
def test_steps_of_a_path_made_of_steps(steps: torch.Tensor) -> None:
    path = path_from_steps(torch.eye(4, dtype=torch.float64), steps, 0.5)
    assert len(path) == len(steps) + 1
    assert torch.allclose(path.steps(), steps, atol=1e-9)


def test_left_turn_by_hand() -> None:
    """4 m ahead with a quarter turn to the left, twice: the second step goes along +y."""
    path = path_from_steps(torch.eye(4), torch.tensor([[4.0, 0.0, math.pi / 2]] * 2), 1.0)
    assert torch.allclose(path.world_from_ego[:, :2, 3], torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]]), atol=1e-5)
    assert torch.allclose(path.world_from_ego[2, :3, :3], rotz(torch.tensor(math.pi)), atol=1e-6)


def test_steps_do_not_depend_on_the_world_frame() -> None:
    steps = torch.tensor([[1.0, 0.2, 0.3], [2.0, -0.1, -0.4]])
    start = torch.eye(4)
    start[:3, :3], start[:3, 3] = rotz(torch.tensor(2.0)), torch.tensor([5.0, -7.0, 1.0])
    assert torch.allclose(path_from_steps(start, steps, 0.5).steps(), steps, atol=1e-5)


def test_index_takes_the_leading_axis() -> None:
    path = EgoPath(torch.eye(4).expand(6, 4, 4), 0.5)
    assert len(path[:4]) == 4
    batch = EgoPath(torch.eye(4).expand(3, 6, 4, 4), 0.5)
    assert len(batch[0]) == 6
    assert batch.steps().shape == (3, 5, 3)


def test_refuses() -> None:
    with pytest.raises(ValueError, match="dt"):
        EgoPath(torch.eye(4)[None], 0.0)


def test_a_real_drive_goes_forward(test_data: Path) -> None:
    with np.load(test_data / "ego_paths" / "scene_a_n008-2018-08-01-15-16-36.npz") as file:
        poses = torch.from_numpy(file["world_from_ego"])
    steps = EgoPath(poses, 0.5).steps()
    assert steps[:, 0].sum().item() == pytest.approx(118, abs=3)  # metres driven
    assert steps[:, 1].abs().max() < 0.5  # a car does not go sideways
