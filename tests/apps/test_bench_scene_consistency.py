"""The benchmark of walks: a path that touches nothing and sees truly, and rows that tell a scene from the truth."""

import math

import pytest
import torch

from tests.apps.test_bench_scene_paths import hall
from worldloom.apps.bench.scene import consistency as bench


@pytest.fixture
def halls(monkeypatch):
    """Every seed stands for a hall of 8 x 6 m with a block in it."""
    world = hall(((1.5, 0.5, 0.0), (2.3, 1.3, 1.0))).world
    monkeypatch.setattr(bench, "make_world", lambda kind, seed: world)
    monkeypatch.setattr(bench, "_SIZE", (48, 64))


def test_a_walk_goes_where_there_is_room_and_sees_the_hall(halls) -> None:
    world = bench.world_with_walk(0, 3, 16)
    eyes = world.frames.cameras.world_from_cam[:, :3, 3]
    steps = eyes.diff(dim=0).norm(dim=-1)
    torch.testing.assert_close(steps, torch.full((2,), 1.0))
    assert world.eye == pytest.approx(1.6, abs=1e-4)
    assert float((eyes[:, :2].abs() - torch.tensor([4.0, 3.0])).max()) < -0.29  # off the walls
    points = world.frames.points()[world.frames.solid]
    assert float(points[:, 0].abs().max()) < 4.01
    assert float(points[:, 1].abs().max()) < 3.01
    assert float(points[:, 2].min()) > -0.01
    # The gaze turns: along a straight way with a fixed gaze, frames in any order have the same lines.
    forward = world.frames.cameras.world_from_cam[:, :3, 2]
    assert math.degrees(math.acos(float(forward[0] @ forward[-1]))) == pytest.approx(30, abs=0.1)
    assert world.frames.rgb.std() > 0.01


@pytest.mark.slow
def test_the_rows_tell_the_scene_from_the_truth() -> None:
    rows = {row.metric: row for row in bench.consistency_rows(quick=True)}
    flow = rows["walk_true_flow_l1"]
    assert flow.baseline["exact distance"] < flow.value < flow.baseline["truth in reverse"]
    assert rows["walk_flow_l1"].baseline["truth"] < rows["walk_flow_l1"].baseline["truth in reverse"]
    assert rows["walk_holes"].value <= rows["walk_holes"].baseline["warp"]
    assert rows["walk_coverage"].value < rows["walk_coverage"].baseline["exact distance"]
    astray = rows["walk_sunken_opacity"].value + rows["walk_floating_opacity"].value
    assert 0 < astray < 1
    if "walk_sampson_px" in rows:  # with pycolmap
        assert rows["walk_sampson_px"].value < rows["walk_sampson_px"].baseline["truth in reverse"]
        assert rows["walk_matches"].value > 5
