"""The traffic of one town, running: moments follow one another, and earlier ones can be gone back to."""

from collections.abc import Sequence
from typing import NamedTuple

from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.demand import WARM_UP, Member, Traffic, make_traffic
from worldloom.synth.traffic.motion import Bodies, Box, boxes, follow
from worldloom.synth.traffic.sumo import STEP, Move, Sumo, with_closed_lanes

_SETTLING = 3.0  # seconds of the warm-up in which bodies already roll, so that headings are theirs and not SUMO's


class Moment(NamedTuple):
    """Everyone in one step."""

    step: int  # since the end of the warm-up
    bodies: Bodies
    earlier: Bodies  # one step before

    def boxes(
        self, members: dict[str, Member], within: tuple[float, float, float, float] | None = None
    ) -> dict[str, Box]:
        """Middles of all boxes, by id, or only of those whose bodies are in a part of the plane (x0, y0, x1, y1)."""
        bodies = self.bodies
        if within is not None:
            x0, y0, x1, y1 = within
            bodies = {name: body for name, body in bodies.items() if x0 <= body.x <= x1 and y0 <= body.y <= y1}
        return boxes(bodies, members, self.earlier)


class LiveTraffic:
    """SUMO's traffic with rolling bodies, at step 0 when it is made. Close it, or use `with`."""

    def __init__(self, town: Town, seed: int, density: float | int = 1.0) -> None:
        closed = frozenset(town.closed_lanes)
        self.traffic: Traffic = make_traffic(town.roads, seed, density, closed)
        self.sumo = Sumo(with_closed_lanes(town.roads.net_xml, closed), self.traffic.routes_xml, seed)
        self.sumo.step(round((WARM_UP - _SETTLING) / STEP), look=False)
        self.now = Moment(-round(_SETTLING / STEP), {}, {})
        self.advance(-self.now.step)
        self._marks: list[Moment] = []

    def __enter__(self) -> "LiveTraffic":
        return self

    def __exit__(self, *_: object) -> None:
        self.sumo.close()

    def advance(self, count: int = 1, moves: Sequence[Move] = ()) -> list[Moment]:
        """The next moments. The moves are for the first of them."""
        moments = []
        for reading in self.sumo.step(count, moves):
            bodies = follow(self.now.bodies, reading, self.traffic.members)
            self.now = Moment(self.now.step + 1, bodies, self.now.bodies)
            moments.append(self.now)
        return moments

    def mark(self) -> int:
        """Keep this moment; what `rewind` takes."""
        number = self.sumo.mark()
        self._marks = [*self._marks[:number], self.now]
        return number

    def rewind(self, mark: int) -> None:
        """Be exactly at that mark again; later marks are gone."""
        self.sumo.rewind(mark)
        self.now = self._marks[mark]
        self._marks = self._marks[: mark + 1]
