"""A process that holds one SUMO and can go back to marked moments; it runs as a script and imports nothing of ours.

Requests and replies are tuples of plain values, marshalled behind their length in four bytes.

A mark is a fork: the process that marked sleeps, and its copy goes on with the same pipes. To go back, the copy ends
with a code that says how far, and the sleeper wakes, forks again and goes on. So there is always one process that is
awake, every byte of SUMO's state is as it was, and going back costs milliseconds. Where a sleeper or the one awake is
killed, all of them end.
"""

import marshal
import os
import sys

_REWIND = 16  # exit codes from here on name the mark to wake; marks are few
_MAX_MARKS = 64
_STREETS = 3  # of a moved vehicle's route that SUMO knows


def _read(pipe: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(pipe, size - len(data))
        if not piece:
            os._exit(0)  # whoever asked is gone
        data += piece
    return data


def _reply(pipe: int, value: tuple) -> None:
    data = marshal.dumps(value)
    data = len(data).to_bytes(4, "little") + data
    while data:
        data = data[os.write(pipe, data) :]


def _mark(number: int) -> None:
    """Fall asleep as this mark; return in a copy, now and whenever somebody comes back."""
    while True:
        copy = os.fork()
        if copy == 0:
            return
        code = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
        if code != _REWIND + number:
            os._exit(code if code >= 0 else 128 - code)  # as shells tell a signal


def _look(libsumo) -> tuple:
    """(time, vehicles, persons), each road user as (id, x, y, angle, speed)."""
    vehicle, person = libsumo.vehicle, libsumo.person
    vehicles = [
        (i, *vehicle.getPosition(i), vehicle.getAngle(i), vehicle.getSpeed(i)) for i in sorted(vehicle.getIDList())
    ]
    persons = [(i, *person.getPosition(i), person.getAngle(i), person.getSpeed(i)) for i in sorted(person.getIDList())]
    return libsumo.simulation.getTime(), vehicles, persons


class _Moved:
    """Vehicles that are moved from outside, on the roads and off them, in two ways that SUMO (1.28) survives.

    A route that comes by again and again lets SUMO take a place on a junction for a later visit to it, and die of the
    leap. So SUMO is only told of the next streets, and of further ones as they come.

    One that is on no lane is seen by nobody, yet SUMO reads the lane that it is not on where others are close, and dies
    too. So it is taken out, and put back at each further move until SUMO finds a lane for it.
    """

    def __init__(self, libsumo) -> None:
        self._libsumo = libsumo
        self._plans: dict[str, list[str]] = {}  # streets that were planned from here on, by id
        self._out: dict[str, tuple[str, str]] = {}  # type and route of those who are out, by id
        self._routes = 0

    def move(self, name: str, x: float, y: float, angle: float) -> None:
        vehicle = self._libsumo.vehicle
        if name in self._out:
            kind, route = self._out[name]
            vehicle.add(name, route, kind)
        else:
            self._tell_route(name)
        # keepRoute = 2: exactly there, on a road or not; SUMO finds the lane for the others to see it on.
        vehicle.moveToXY(name, "", -1, x, y, angle, 2)

    def _tell_route(self, name: str) -> None:
        vehicle = self._libsumo.vehicle
        index = vehicle.getRouteIndex(name)
        if index < 0:  # not on its way yet
            return
        route = list(vehicle.getRoute(name)[index:])
        plan = self._plans.setdefault(name, list(route))
        told = route[:_STREETS]
        if route[0] in plan[:_STREETS] and not vehicle.getRoadID(name).startswith(":"):  # on a junction it is decided
            del plan[: plan.index(route[0])]
            told = plan[:_STREETS]
        if told != route:
            vehicle.setRoute(name, told)

    def stepped(self, names: list[str]) -> None:
        """Take out those among the ones that were moved which are on no lane now."""
        vehicle = self._libsumo.vehicle
        for name in names:
            if vehicle.getLaneID(name):
                self._out.pop(name, None)
                continue
            if name not in self._out:
                self._routes += 1
                self._libsumo.route.add(f"moved.{self._routes}", vehicle.getRoute(name))
                self._out[name] = vehicle.getTypeID(name), f"moved.{self._routes}"
            vehicle.remove(name)


def main() -> None:
    """Serve requests from standard input until it closes."""
    out = os.dup(1)
    os.dup2(2, 1)  # what SUMO prints must not mix with the replies
    try:
        import libsumo
    except ImportError as error:
        _reply(out, ("missing", str(error)))
        return
    marks, moved = 0, _Moved(libsumo)
    while True:
        kind, *arguments = marshal.loads(_read(0, int.from_bytes(_read(0, 4), "little")))
        try:
            if kind == "start":
                libsumo.start(["sumo", *arguments[0]])
                result = os.getpid()
            elif kind == "calls":
                result = [getattr(getattr(libsumo, domain), name)(*given) for domain, name, *given in arguments[0]]
            elif (
                kind == "steps"
            ):  # moves (id, x, y, angle) in the first step, number of steps, whether to look after each
                for move in arguments[0]:
                    moved.move(*move)
                result = []
                for i in range(arguments[1]):
                    libsumo.simulationStep()
                    if i == 0:
                        moved.stepped([name for name, *_ in arguments[0]])
                    if arguments[2]:
                        result.append(_look(libsumo))
            elif kind == "look":
                result = _look(libsumo)
            elif kind == "mark":
                if marks == _MAX_MARKS:
                    raise ValueError(f"at most {_MAX_MARKS} marks")
                _mark(marks)
                marks += 1
                result = os.getpid()
            elif kind == "rewind":
                if not 0 <= arguments[0] < marks:
                    raise ValueError(f"there are marks 0 to {marks - 1}, not {arguments[0]}")
                os._exit(_REWIND + arguments[0])
            else:
                raise ValueError(f"no request {kind!r}")
        except Exception as error:  # whatever SUMO refuses is for the one who asked to judge
            _reply(out, ("error", " ".join(str(error).split())))
        else:
            _reply(out, ("ok", result))


if __name__ == "__main__":
    sys.exit(main())
