"""Gymnasium environments. Importing this package registers them; so does the id "worldloom.apps.simulation:ID".

worldloom/OccupancyDrive-v0   drive in what the learned model imagines
worldloom/TownDrive-v0        drive in a synthetic town whose traffic SUMO moves
worldloom/SceneNav-v0         walk in a scene of splats
"""

from worldloom.apps.simulation.register import register_environments

register_environments()

__all__ = ["register_environments"]
