"""Driving in a world, learned or true: pure steps, branches, scores, and policies to compare."""

from worldloom.occupancy.simulation.clip_starts import ClipStart, clip_start, starts_of
from worldloom.occupancy.simulation.controls import Order, Trajectory
from worldloom.occupancy.simulation.model_world import ModelWorld, ModelWorldConfig
from worldloom.occupancy.simulation.route import Route, route_through
from worldloom.occupancy.simulation.scores import DriveScore, score_of
from worldloom.occupancy.simulation.simulation import Simulation
from worldloom.occupancy.simulation.state import DriveState
from worldloom.occupancy.simulation.view import View

__all__ = [
    "ClipStart",
    "DriveScore",
    "DriveState",
    "ModelWorld",
    "ModelWorldConfig",
    "Order",
    "Route",
    "Simulation",
    "Trajectory",
    "View",
    "clip_start",
    "route_through",
    "score_of",
    "starts_of",
]
