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
            os._exit(code if code >= 0 else 1)


def _look(libsumo) -> tuple:
    """(time, vehicles, persons), each road user as (id, x, y, angle, speed)."""
    vehicle, person = libsumo.vehicle, libsumo.person
    vehicles = [
        (i, *vehicle.getPosition(i), vehicle.getAngle(i), vehicle.getSpeed(i)) for i in sorted(vehicle.getIDList())
    ]
    persons = [(i, *person.getPosition(i), person.getAngle(i), person.getSpeed(i)) for i in sorted(person.getIDList())]
    return libsumo.simulation.getTime(), vehicles, persons


def main() -> None:
    """Serve requests from standard input until it closes."""
    out = os.dup(1)
    os.dup2(2, 1)  # what SUMO prints must not mix with the replies
    try:
        import libsumo
    except ImportError as error:
        _reply(out, ("missing", str(error)))
        return
    marks = 0
    while True:
        kind, *arguments = marshal.loads(_read(0, int.from_bytes(_read(0, 4), "little")))
        try:
            if kind == "start":
                libsumo.start(["sumo", *arguments[0]])
                result = os.getpid()
            elif kind == "calls":
                result = [getattr(getattr(libsumo, domain), name)(*given) for domain, name, *given in arguments[0]]
            elif kind == "steps":  # calls before the first step, number of steps, whether to look after each
                for domain, name, *given in arguments[0]:
                    getattr(getattr(libsumo, domain), name)(*given)
                result = []
                for _ in range(arguments[1]):
                    libsumo.simulationStep()
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
