"""`worldloom/TownDrive-v0`: drive in a synthetic town whose traffic SUMO moves, as true as this toolkit can be."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from worldloom.apps.simulation.actions import ActionKind
from worldloom.apps.simulation.drive_env import DriveEnv, Reward, driving_reward
from worldloom.errors import InputError, require
from worldloom.occupancy.simulation.sensors import Sensor
from worldloom.occupancy.simulation.simulation import Simulation


class TownDriveEnv(DriveEnv):
    """See the module and `DriveEnv`; what is observed is all that is there, whether a sensor would see it or not.

    Args:
        towns: seeds of towns; those of `occupancy.data.splits` below 3000 are for training.
        kind, size: as `make_town` takes them.
        traffic: seeds of the traffic, and of which of its cars the ego is.
        at: seconds of the logged drive after which the ego is taken over.
        density: of the traffic; 1 is busy.
    """

    def __init__(
        self,
        towns: Sequence[int] = (1000,),
        kind: str | None = None,
        size: float = 480.0,
        traffic: Sequence[int] = (0,),
        at: Sequence[float] = (2.0, 6.0, 10.0),
        density: float = 1.0,
        *,
        observation: str | Sensor | Sequence[str] | Mapping[str, Sensor] = "numbers",
        action: str | ActionKind = "control",
        reward: Reward = driving_reward,
        seconds: float = 10.0,
        render_mode: str | None = None,
        render_height: int = 360,
    ) -> None:
        require("shapely", "synth", "a town")
        require("libsumo", "traffic", "a town's traffic")
        from worldloom.occupancy.simulation.town_world import TownStart, TownWorld

        if not towns or not traffic or not at:
            raise InputError("expected at least one town, one traffic and one moment, got none")
        starts = [
            TownStart(_town(town, kind, size), seed, float(moment), density)
            for town in towns
            for seed in traffic
            for moment in at
        ]
        super().__init__(
            Simulation(TownWorld()),
            starts,
            observation=observation,
            action=action,
            reward=reward,
            seconds=seconds,
            render_mode=render_mode,
            render_height=render_height,
        )


@lru_cache(maxsize=4)
def _town(seed: int, kind: str | None, size: float):
    from worldloom.synth.towns.town import make_town

    return make_town(seed, kind, size)
