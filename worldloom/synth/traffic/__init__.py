"""Towns that move: SUMO's traffic, drives, and a simulator to steer in."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldloom.synth.traffic.counterfactuals import counterfactuals
    from worldloom.synth.traffic.drive import Drive, RoadUser, drive_town
    from worldloom.synth.traffic.simulator import Simulator

__all__ = ["Drive", "RoadUser", "Simulator", "counterfactuals", "drive_town"]

_HOME = {
    "Drive": "drive",
    "RoadUser": "drive",
    "Simulator": "simulator",
    "counterfactuals": "counterfactuals",
    "drive_town": "drive",
}


def __getattr__(name: str) -> Any:
    # On first use: towns need the extra `synth`, but the ego, footprints and ways of this package do not.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
