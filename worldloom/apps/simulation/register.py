"""Telling gymnasium of the environments, without loading any of them."""

from worldloom.errors import require

_HOME = "worldloom.apps.simulation"
ENVIRONMENTS = {
    "worldloom/OccupancyDrive-v0": f"{_HOME}.occupancy_drive:OccupancyDriveEnv",
    "worldloom/TownDrive-v0": f"{_HOME}.town_drive:TownDriveEnv",
    "worldloom/SceneNav-v0": f"{_HOME}.scene_nav:SceneNavEnv",
}


def register_environments() -> None:
    """Register what is not registered yet.

    Raises:
        MissingExtra: gymnasium is not installed.
    """
    registration = require("gymnasium.envs.registration", "sim", "the environments")
    for name, entry_point in ENVIRONMENTS.items():
        if name not in registration.registry:
            registration.register(id=name, entry_point=entry_point)
