"""From a panorama to places to go: free space, walkable ground, camera paths."""

from worldloom.scenegen.families import FAMILIES
from worldloom.scenegen.free_space import FreeSpace
from worldloom.scenegen.plan import Coverage, Dropped, Plan, plan_paths
from worldloom.scenegen.scene_path import ScenePath

__all__ = ["FAMILIES", "Coverage", "Dropped", "FreeSpace", "Plan", "ScenePath", "plan_paths"]
