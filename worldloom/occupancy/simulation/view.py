"""What a driver is told, in the car's own frame: how it drives, where to go, and who is near. The cheapest look."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.occupancy.planning.candidates import Line, Start
from worldloom.occupancy.simulation.route import into
from worldloom.occupancy.simulation.state import DriveState
from worldloom.synth.traffic.ego import Ego


@dataclass(frozen=True, eq=False)
class View:
    """All in the ego's present frame."""

    speed: float
    acceleration: float  # of the last step
    curvature: float
    line: Line  # the route, from a little behind the ego on
    labels: UInt8[Tensor, " n"]  # of the others, nearest first
    boxes: Float[Tensor, "n 5"]  # x, y, yaw, length, width
    velocity: Float[Tensor, "n 2"]  # m/s over the ground
    due: float  # metres along the route to where a good driver would be after the next step

    @property
    def start(self) -> Start:
        """For a plan to begin with."""
        return Start(self.speed, self.acceleration, self.curvature)


def view_of(state: DriveState[Any]) -> View:
    """The present as the ego is told of it."""
    ego, others = state.ego, state.others
    yaw = torch.remainder(others.boxes[:, 2:3] - ego.yaw + torch.pi, 2 * torch.pi) - torch.pi
    boxes = torch.cat([into(ego, others.boxes[:, :2]), yaw, others.boxes[:, 3:]], 1)
    velocity = into(Ego(0.0, 0.0, ego.yaw, 0.0), others.velocity)
    arc, route = state.doing, state.route
    due = state.began + route.expected_after(state.frame + 1) - state.along
    line = route.ahead(ego, state.along)
    return View(ego.speed, arc.acceleration, arc.curvature, line, others.labels, boxes, velocity, due)
