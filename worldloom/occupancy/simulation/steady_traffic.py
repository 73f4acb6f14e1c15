"""The learned map among road users who keep their velocity: what learned traffic has to beat."""

import torch

from worldloom.geometry.ego_path import EgoPath
from worldloom.occupancy.planning.imaginer import ConstantVelocity
from worldloom.occupancy.scene_state import scene_state
from worldloom.occupancy.world_model import Drawn, WorldModel, WorldState

_NO_PICTURE = torch.zeros(0, 0, dtype=torch.uint8)


class SteadyTraffic(WorldModel):
    """A model's map and its tracks; its traffic network is asked nothing."""

    def __init__(self, model: WorldModel) -> None:
        super().__init__(model.static, model.traffic)

    def draw(
        self,
        state: WorldState,
        path: EgoPath | None,
        generator: torch.Generator | None,
        mode: str = "forward",
        steps: int = 2,
        guidance: float | int = 1.0,
        frames: int | None = None,
        with_risk: bool = True,
    ) -> Drawn:
        """See `WorldModel`: nothing is drawn, and no risk is known.

        Raises:
            ValueError: no path: nobody here knows where an ego would go.
        """
        if path is None:
            raise ValueError("expected a path of the ego, got none")
        count = frames or len(path)
        scene, kept = scene_state(state.tracks, state.world_from_ego, _NO_PICTURE, self.traffic.config.max_users)
        users = ConstantVelocity().imagine(scene, torch.zeros(1, count, 3), torch.Generator()).users[0]
        return Drawn(self._moved(state, kept, users.double(), count), path.world_from_ego.double()[:count], None)
