"""Driving as a function: state and order in, state out."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from worldloom.errors import InputError
from worldloom.geometry.occupancy import Occupancy
from worldloom.occupancy.simulation.controls import Order, Trajectory, arc_of
from worldloom.occupancy.simulation.scores import least_gap, score_of
from worldloom.occupancy.simulation.state import DriveState
from worldloom.occupancy.simulation.view import View, view_of
from worldloom.occupancy.simulation.world import World

Start = TypeVar("Start")
Inner = TypeVar("Inner")
MAX_SEED = 2**63 - 1


class Simulation(Generic[Start, Inner]):
    """A world to drive in, half a second at a time. All calls are pure: any state can be kept, copied and branched.

    sim = Simulation(ModelWorld(WorldModel.from_pretrained("small")))
    state = sim.start(clip_start(clip, frame=4), seed=0)
    state = sim.step(state, Action(acceleration=1.0, curvature=0.0))
    tried = sim.branch(state, [Action(-3.0, 0.0), Action(0.0, 0.0), Action(2.0, 0.0)])
    print(sim.metrics(tried[0]))
    """

    def __init__(self, world: World[Start, Inner]) -> None:
        self.world = world

    def start(self, start: Start, seed: int = 0) -> DriveState[Inner]:
        """The first state of a drive.

        Args:
            seed: of all that is drawn; the same seed and orders lead to the same states.
        Raises:
            InputError: a start or a seed that cannot be.
        """
        _check_seed(seed)
        at = self.world.begin(start, seed)
        along, aside = at.route.locate(at.ego, 0.0)
        return DriveState(at.route, seed, 0, at.ego, at.doing, along, aside, along, at.others, (), at.inner)

    def ready(self, state: DriveState[Inner], order: Order | None = None) -> DriveState[Inner]:
        """The same moment, with what its next step needs of a network drawn already.

        A step from a state that is ready asks no network, and leads where it leads from the state itself.
        """
        return self.world.ready(state, order if isinstance(order, Trajectory) else None)

    def step(self, state: DriveState[Inner], order: Order) -> DriveState[Inner]:
        """Half a second later.

        Raises:
            InputError: an order that is not finite, or of another shape.
        """
        arc = arc_of(order, state.ego.speed)
        state = self.ready(state, order)
        after = self.world.advance(state, arc)
        along, aside = state.route.locate(after.ego, state.along)
        return replace(
            state, frame=state.frame + 1, ego=after.ego, doing=arc, along=along, aside=aside, others=after.others,
            legs=(*state.legs, after.leg), inner=after.inner,
        )  # fmt: skip

    def branch(self, state: DriveState[Inner], orders: Sequence[Order]) -> list[DriveState[Inner]]:
        """The states to which K orders lead, each as `step` has it.

        What the orders share is drawn once for all: everything, but for trajectories, of which the others are told.
        """
        for order in orders:
            arc_of(order, state.ego.speed)  # before anything is drawn
        shared = self.ready(state) if any(not isinstance(order, Trajectory) for order in orders) else state
        return [self.step(state if isinstance(order, Trajectory) else shared, order) for order in orders]

    def reseeded(self, state: DriveState[Inner], seed: int) -> DriveState[Inner]:
        """The same present with another future.

        Raises:
            InputError: a world that has one future only.
        """
        _check_seed(seed)
        return self.world.reseeded(state, seed)

    def view(self, state: DriveState[Inner]) -> View:
        """What a driver is told, in the ego's frame."""
        return view_of(state)

    def occupancy(self, state: DriveState[Inner]) -> Occupancy:
        """What is around the ego now: one frame of labels."""
        return self.world.occupancy(state)

    def metrics(self, state: DriveState[Inner], wished: float | None = None) -> dict[str, float]:
        """All that is known of the drive so far, by plain names.

        Args:
            wished: seconds that the drive should have lasted, see `score_of`.
        """
        score, leg = score_of(state, wished), state.legs[-1] if state.legs else None
        risk = leg.risk if leg is not None else None
        return {
            "seconds": state.seconds,
            "speed": state.ego.speed,
            "progress": state.progress,
            "expected_progress": state.route.expected_after(state.frame),
            "aside": state.aside,
            "contacts": float(len(state.contacts)),
            "astray": float(state.astray),
            "gap": least_gap(leg) if leg is not None else math.inf,
            "no_collision": score.no_collision,
            "driveable": score.driveable,
            "ttc": score.ttc,
            "progress_share": score.progress,
            "comfort": score.comfort,
            "pdms": score.pdms,
            "known": score.known,
            **({"risk_collision": risk[0], "risk_off_road": risk[1]} if risk is not None else {}),
        }


def _check_seed(seed: int) -> None:
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"expected a seed of 0 to 2^63 - 1, got {seed}")
