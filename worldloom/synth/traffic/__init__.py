"""Towns that move: SUMO's traffic, drives, and a simulator to steer in."""

from worldloom.synth.traffic.counterfactuals import counterfactuals
from worldloom.synth.traffic.drive import Drive, RoadUser, drive_town
from worldloom.synth.traffic.simulator import Simulator

__all__ = ["Drive", "RoadUser", "Simulator", "counterfactuals", "drive_town"]
