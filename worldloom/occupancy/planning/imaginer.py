"""What a planner asks: how everybody would move if the ego drove this way, or that."""

from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.occupancy.scene_state import SceneState
from worldloom.occupancy.world_model import Imagined

State = TypeVar("State", contravariant=True)


@runtime_checkable
class Imaginer(Protocol[State]):
    """Whoever answers a planner: `WorldModel`, the true simulator, or a rule."""

    def imagine(self, state: State, paths: Float[Tensor, "k f 3"], generator: torch.Generator) -> Imagined:
        """Users beside K paths of the ego, and the risk of each path.

        Args:
            state: the present, as this imaginer knows it.
            paths: x, y, yaw in the ego's present frame at each of the next frames, DT seconds apart.
        """
        ...


class ConstantVelocity:
    """Everybody keeps the velocity and heading of the last half second, whatever the ego does. Knows no risk."""

    def imagine(self, state: SceneState, paths: Float[Tensor, "k f 3"], generator: torch.Generator) -> Imagined:
        """See `Imaginer`; who was not there a frame ago is taken to stand."""
        k, f, _ = paths.shape
        now, before = state.history[:, -1], state.history[:, -2]
        moved = torch.where(state.present[:, -2, None], now[:, :2] - before[:, :2], 0.0)
        steps = torch.arange(1, f + 1, dtype=now.dtype)
        place = now[:, None, :2] + steps[:, None] * moved[:, None]
        users = torch.cat([place, now[:, None, 2:].expand(-1, f, 1)], -1)
        return Imagined(users.expand(k, *users.shape), state.sizes, state.middles, state.labels, torch.zeros(k, f, 2))
