"""One moment of a drive, whoever moves the world: never changed, so that it can be kept, copied and branched."""

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.geometry.occupancy import MOVERS, among
from worldloom.occupancy.simulation.route import Route
from worldloom.occupancy.traffic import DT
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT, Action, Ego
from worldloom.synth.traffic.footprints import overlap

Inner = TypeVar("Inner")
NEAR = 50.0  # metres from the ego within which others are told
_TOUCHABLE = 20.0  # metres between middles within which contacts are looked for
_STANDS = 0.05  # m/s; whoever meets an ego that stands has itself to blame


class Others(NamedTuple):
    """Everybody near the ego at one moment, in the plane of the world."""

    names: tuple[str, ...]
    labels: UInt8[Tensor, " n"]  # Occ3D classes
    boxes: Float[Tensor, "n 5"]  # x, y, yaw, length, width
    velocity: Float[Tensor, "n 2"]  # m/s


class Leg(NamedTuple):
    """What was true during one step, at s moments a tenth of a second apart; the last is the present."""

    ego: Float[Tensor, "s 3"]  # x, y, yaw of the rear axle
    speed: Float[Tensor, " s"]
    names: tuple[str, ...]
    labels: UInt8[Tensor, " n"]
    boxes: Float[Tensor, "n s 5"]
    blocked: Bool[Tensor, " s"]  # the ego stands on something that does not move
    astray: Bool[Tensor, " s"]  # a corner of the ego is off the road
    known: float  # share of the corners' places of which anything is known
    risk: tuple[float, float] | None  # a model's own probability of a collision, and of leaving the road
    drawn: bool  # a network was asked how the others move on

    def contacts(self) -> tuple[str, ...]:
        """Who was touched while the ego moved; "" stands for things."""
        mine = footprints(self.ego)
        hit = (self.blocked & (self.speed > _STANDS)).any()
        touched = touching(mine, self.boxes) & (self.speed > _STANDS)
        names = [name for name, is_hit in zip(self.names, touched.any(1).tolist(), strict=True) if is_hit]
        return (*names, *([""] if bool(hit) else []))

    def agents(self) -> Bool[Tensor, " n"]:
        """Who of the others moves by itself; the rest are barriers and cones."""
        return among(self.labels, MOVERS)


@dataclass(frozen=True, eq=False)
class DriveState(Generic[Inner]):
    """See the module."""

    route: Route
    seed: int
    frame: int  # steps since the start
    ego: Ego  # rear axle in the plane of the world, heading and speed
    doing: Action  # in the last step
    along: float  # metres along the route, from its beginning
    aside: float  # metres to the left of it
    began: float  # metres along the route at the start
    others: Others
    legs: tuple[Leg, ...]  # one of each step
    inner: Inner  # what only the world that made the state reads

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self.frame * DT

    @property
    def timestamp_us(self) -> int:
        """Microseconds since the start."""
        return round(self.seconds * 1e6)

    @property
    def progress(self) -> float:
        """Metres of the route that were driven."""
        return self.along - self.began

    @property
    def contacts(self) -> tuple[str, ...]:
        """Who was touched in the last step while the ego moved; "" stands for things."""
        return self.legs[-1].contacts() if self.legs else ()

    @property
    def astray(self) -> bool:
        """Whether a corner of the ego is off the road now."""
        return bool(self.legs and self.legs[-1].astray[-1])


def footprints(ego: Float[Tensor, "s 3"]) -> Float[Tensor, "s 5"]:
    """Boxes of the ego whose rear axle is at x, y, yaw."""
    yaw = ego[:, 2:]
    middle = ego[:, :2] + EGO_CENTRE * torch.cat([yaw.cos(), yaw.sin()], 1)
    return torch.cat([middle, yaw, torch.tensor(EGO_EXTENT[:2], dtype=ego.dtype).expand(len(ego), 2)], 1)


def touching(mine: Float[Tensor, "s 5"], boxes: Float[Tensor, "n s 5"]) -> Bool[Tensor, "n s"]:
    """Who overlaps the ego at each moment."""
    close = (boxes[..., :2] - mine[:, :2]).norm(dim=-1) < _TOUCHABLE
    hit = torch.zeros_like(close)
    hit[close] = overlap(mine.expand(boxes.shape)[close], boxes[close])
    return hit


def in_order(others: Others, ego: Ego, reach: float = NEAR) -> Others:
    """Those within reach, nearest first."""
    away = (others.boxes[:, :2] - torch.tensor([ego.x, ego.y], dtype=others.boxes.dtype)).norm(dim=1)
    order = away.argsort(stable=True)
    order = order[away[order] < reach]
    names = tuple(others.names[i] for i in order.tolist())
    return Others(names, others.labels[order], others.boxes[order], others.velocity[order])
