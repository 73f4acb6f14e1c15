"""What a simulation asks of a world, whether a model draws it or SUMO moves it."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from worldloom.geometry.occupancy import Occupancy
from worldloom.occupancy.simulation.controls import Trajectory
from worldloom.occupancy.simulation.route import Route
from worldloom.occupancy.simulation.state import DriveState, Leg, Others
from worldloom.synth.traffic.ego import Action, Ego

Start = TypeVar("Start", contravariant=True)
Inner = TypeVar("Inner")


@dataclass(frozen=True, eq=False)
class Beginning(Generic[Inner]):
    """A world at the start of a drive."""

    ego: Ego
    doing: Action
    others: Others
    route: Route
    inner: Inner


@dataclass(frozen=True, eq=False)
class After(Generic[Inner]):
    """A world one step later."""

    ego: Ego
    others: Others
    leg: Leg
    inner: Inner


@runtime_checkable
class World(Protocol[Start, Inner]):
    """All calls are pure: the same arguments give the same answer, and no state is changed."""

    def begin(self, start: Start, seed: int) -> Beginning[Inner]:
        """The world at a start."""
        ...

    def ready(self, state: DriveState[Inner], told: Trajectory | None = None) -> DriveState[Inner]:
        """The state with all that its next step needs of a network, if that is not there yet.

        Args:
            told: where the ego says that it is going.
        """
        ...

    def advance(self, state: DriveState[Inner], arc: Action) -> After[Inner]:
        """A ready state one step later."""
        ...

    def occupancy(self, state: DriveState[Inner]) -> Occupancy:
        """One frame: what is around the ego now."""
        ...

    def reseeded(self, state: DriveState[Inner], seed: int) -> DriveState[Inner]:
        """The same present with another future."""
        ...
