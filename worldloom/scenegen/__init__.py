"""From a panorama to places to go: camera paths."""

from worldloom.scenegen.paths import ScenePath, clearance, plan_path

__all__ = ["ScenePath", "clearance", "plan_path"]
