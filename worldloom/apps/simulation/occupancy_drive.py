"""`worldloom/OccupancyDrive-v0`: drive in what the learned model imagines of a recorded past."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from worldloom.apps.simulation.actions import ActionKind
from worldloom.apps.simulation.drive_env import DriveEnv, Reward, driving_reward
from worldloom.occupancy.simulation.clip_starts import ClipStart, starts_of
from worldloom.occupancy.simulation.model_world import ModelWorld, ModelWorldConfig
from worldloom.occupancy.simulation.sensors import Sensor, needed_reach, sensors_of
from worldloom.occupancy.simulation.simulation import Simulation
from worldloom.occupancy.world_model import WorldModel


class OccupancyDriveEnv(DriveEnv):
    """See the module and `DriveEnv`.

    Args:
        clips: files that `save_clip` or `worldloom synth clips` wrote, a folder of them, or starts; the bundled sample
            if not given. Drives begin in any of a clip's frames that has enough before and after it.
        model: weights by name or folder, or a model.
        world: how closely the network is asked; by default as far as the observations need.
    """

    def __init__(
        self,
        clips: str | Path | Sequence[str | Path | ClipStart] | None = None,
        model: str | Path | WorldModel = "small",
        world: ModelWorldConfig | None = None,
        *,
        observation: str | Sensor | Sequence[str] | Mapping[str, Sensor] = "numbers",
        action: str | ActionKind = "control",
        reward: Reward = driving_reward,
        seconds: float = 10.0,
        render_mode: str | None = None,
        render_height: int = 360,
    ) -> None:
        seen = sensors_of(observation)
        config = world or ModelWorldConfig(reach=40.0 if render_mode else needed_reach(seen))
        net = model if isinstance(model, WorldModel) else _model(str(model))
        super().__init__(
            Simulation(ModelWorld(net, config)),
            starts_of(clips),
            observation=observation,
            action=action,
            reward=reward,
            seconds=seconds,
            render_mode=render_mode,
            render_height=render_height,
        )


@lru_cache(maxsize=2)
def _model(name: str) -> WorldModel:
    """Weights are the same for all environments of a process: nothing changes them."""
    return WorldModel.from_pretrained(name)
