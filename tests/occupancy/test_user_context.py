"""What a user is surrounded by, told in its own frame."""

import torch

from tests.occupancy.scenes_in_the_plane import random_batch
from worldloom.occupancy.motions import TrafficBatch
from worldloom.occupancy.scene_state import PICTURE, PIXEL
from worldloom.occupancy.user_context import UserContext


def context_of(batch: TrafficBatch, layers: int = 2, map_matters: bool = True) -> torch.Tensor:
    torch.manual_seed(0)
    context = UserContext(64, layers).eval()
    if not map_matters:
        torch.nn.init.zeros_(context.around.out.weight)
    with torch.no_grad():
        return context(batch)


def turned(batch: TrafficBatch, angle: float, x: float, y: float) -> TrafficBatch:
    """The same scene seen from elsewhere; its map is left as it is."""
    a = torch.tensor(angle)
    c, s = a.cos(), a.sin()
    px, py, yaw = batch.history.unbind(-1)
    return batch._replace(history=torch.stack([x + c * px - s * py, y + s * px + c * py, yaw + a], -1))


def test_users_look_the_same_from_wherever_they_are_seen() -> None:
    batch = random_batch()
    mine = context_of(batch, map_matters=False)
    again = context_of(turned(batch, 1.1, 5.0, -4.0), map_matters=False)
    assert torch.allclose(mine, again, atol=2e-3)


def test_a_user_sees_the_map_ahead_of_it_and_not_far_behind() -> None:
    batch = random_batch(1, 3)
    history = torch.zeros_like(batch.history)
    history[0, 1, :, :] = torch.tensor([-10.0, 0.0, torch.pi / 2])  # looks along y
    batch = batch._replace(history=history, ground=torch.full_like(batch.ground, 3))
    before = context_of(batch, 0)
    for x, y, sees in ((-10.0, 20.0, True), (-10.0, -30.0, False), (-22.0, 8.0, True), (20.0, 8.0, False)):
        ground = batch.ground.clone()
        i, j = (int(value / PIXEL + PICTURE / 2) for value in (x, y))
        ground[0, i - 2 : i + 3, j - 2 : j + 3] = 5
        after = context_of(batch._replace(ground=ground), 0)
        assert torch.allclose(before[0, 1], after[0, 1], atol=1e-6) == (not sees), (x, y)


def test_users_know_of_those_who_are_there_only() -> None:
    batch = random_batch(1, 4)
    present = batch.present.clone()
    present[:, 3] = False
    gone = batch._replace(present=present)
    moved = gone._replace(history=gone.history + torch.tensor([0, 0, 0, 1.0])[:, None, None] * 5)
    assert torch.allclose(context_of(gone)[:, :3], context_of(moved)[:, :3], atol=1e-6)
    assert not torch.allclose(context_of(gone)[:, :3], context_of(batch)[:, :3], atol=1e-3)
