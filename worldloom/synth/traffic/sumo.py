"""One running SUMO: started, stepped, read and rewound. The only place that knows SUMO's conventions.

SUMO's x, y of a vehicle or a person is the middle of its foremost edge (the front bumper), and its angle is in degrees
clockwise from north (+y). Both are converted here: everything that leaves this file is in metres and radians, yaw
counter-clockwise from +x.

SUMO's own saved states are not exact: what follows a loaded state differs from what followed the saved one. A run of
SUMO with one seed and the same commands is exact, though, and so is a copy of its process. Hence a moment is kept as a
`mark`, a sleeping copy of the worker process (see sumo_worker.py), and whoever needs it in another process repeats the
commands that led there.
"""

import itertools
import marshal
import math
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from worldloom.errors import MissingExtra

STEP = 0.1  # seconds of one step of SUMO
_WORKER = Path(__file__).with_name("sumo_worker.py")
_OPTIONS = (
    *("--step-length", str(STEP), "--no-step-log", "--no-warnings", "--xml-validation", "never"),
    *("--xml-validation.net", "never", "--xml-validation.routes", "never"),
    *("--route-steps", "0"),  # all routes are read at once, so that copies of the process share no half-read file
    *("--time-to-teleport", "-1", "--collision.action", "none"),  # nobody vanishes or jumps, whatever happens
    *("--lateral-resolution", "0.4", "--step-method.ballistic"),  # lanes are changed smoothly
    *("--max-depart-delay", "20"),  # who finds no room in the beginning stays away
    *("--ignore-route-errors", "--default.action-step-length", str(STEP)),
    *("--pedestrian.striping.stripe-width", "0.6", "--pedestrian.striping.dawdling", "0.1"),
)


class SumoError(RuntimeError):
    """SUMO refused something or ended."""


class Sighting(NamedTuple):
    """One road user in one step."""

    id: str
    x: float  # the middle of the front edge, metres
    y: float
    yaw: float
    speed: float


class Reading(NamedTuple):
    """Everyone on the road at one time; both tuples are sorted by id."""

    time: float
    vehicles: tuple[Sighting, ...]
    persons: tuple[Sighting, ...]


class Move(NamedTuple):
    """Where a vehicle is to be after the next step, by its front edge, instead of driving itself."""

    id: str
    x: float
    y: float
    yaw: float


def with_closed_lanes(net_xml: bytes, lanes: Collection[str]) -> bytes:
    """The network with lanes that nobody may use, so that everybody changes to another in good time."""
    return _with_closed_lanes(net_xml, frozenset(lanes)) if lanes else net_xml


@lru_cache(maxsize=2)  # drives through one town follow one another
def _with_closed_lanes(net_xml: bytes, lanes: frozenset[str]) -> bytes:
    root = ElementTree.fromstring(net_xml)
    for lane in root.iter("lane"):
        if lane.attrib["id"] in lanes:
            lane.attrib.pop("allow", None)
            lane.set("disallow", "all")
    return ElementTree.tostring(root)


class Sumo:
    """A traffic simulation in its own process; any number of them may run at once. Close it, or use `with`.

    Args:
        net_xml: the road network.
        routes_xml: vehicle types, vehicles and persons.
    Raises:
        MissingExtra: SUMO is not installed.
        SumoError: from any method: SUMO refuses what it is given, or its process has died.
    """

    def __init__(self, net_xml: bytes, routes_xml: str, seed: int) -> None:
        if find_spec("libsumo") is None:
            raise MissingExtra("traffic needs libsumo, which is not installed; pip install 'worldloom[traffic]'")
        self._temporary = tempfile.TemporaryDirectory(prefix="worldloom_sumo_")
        self.folder = folder = Path(self._temporary.name)
        (folder / "net.net.xml").write_bytes(net_xml)
        (folder / "routes.rou.xml").write_text(routes_xml, encoding="utf-8")
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )
        self._marks = 0
        files = ("-n", str(folder / "net.net.xml"), "-r", str(folder / "routes.rou.xml"))
        try:
            # SUMO's seeds are 31 bits wide.
            self.pid: int = self._ask("start", [*files, *_OPTIONS, "--seed", str(seed % 2**31)])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Sumo":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()

    def close(self) -> None:
        """End the process and all its marks; a closed simulation only answers with SumoError."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()  # the worker reads the end of its input, and leaves
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()
        self._temporary.cleanup()

    @property
    def dead(self) -> bool:
        """Whether it is closed or its process has ended."""
        return self._process.stdin is None or self._process.stdin.closed

    def step(self, count: int = 1, moves: Sequence[Move] = (), look: bool = True) -> tuple[Reading, ...]:
        """Go on by `count` steps and read each of them, if `look`. The moves are for the first step.

        Who is moved to where no lane is, is seen by nobody and told in no reading, until it is moved onto one.
        """
        placed = [(m.id, m.x, m.y, _angle_from_yaw(m.yaw)) for m in moves]
        return tuple(_reading(*seen) for seen in self._ask("steps", placed, count, look))

    def look(self) -> Reading:
        """Everyone as they are now."""
        return _reading(*self._ask("look"))

    def call(self, domain: str, name: str, *arguments: Any) -> Any:
        """Any other function of libsumo, such as call("vehicle", "getRoute", "car.3"), in SUMO's own conventions."""
        return self._ask("calls", [(domain, name, *arguments)])[0]

    def mark(self) -> int:
        """Keep this moment; the number by which `rewind` finds it."""
        self.pid = self._ask("mark")
        self._marks += 1
        return self._marks - 1

    def rewind(self, mark: int) -> None:
        """Be again exactly as at that mark. Later marks are gone; the mark itself stays."""
        if not 0 <= mark < self._marks:
            raise SumoError(f"there are {self._marks} marks, no number {mark}")
        self.pid = self._ask("rewind", mark)
        self._marks = mark + 1

    def _ask(self, *request: Any) -> Any:
        if self._process.stdin is None or self._process.stdout is None or self._process.stdin.closed:
            raise SumoError("this traffic simulation is closed")
        data = marshal.dumps(request)
        try:
            _write_all(self._process.stdin, len(data).to_bytes(4, "little") + data)
            status, value = marshal.loads(self._read(int.from_bytes(self._read(4), "little")))
        except (BrokenPipeError, EOFError):
            self._process.stdin.close()
            end = _end_of(self._process.wait())
            said = (self.folder / "log").read_text(errors="replace").split()
            raise SumoError(f"the process of SUMO ended unexpectedly ({' '.join([end, *said])[-300:]})") from None
        if status == "missing":
            raise MissingExtra(f"traffic needs libsumo ({value}); pip install 'worldloom[traffic]'")
        if status == "error":
            raise SumoError(f"SUMO refused {request[0]}: {value}")
        return value

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._process.stdout.read(size - len(data)) if self._process.stdout else b""
            if not piece:
                raise EOFError
            data += piece
        return data


def _end_of(code: int) -> str:
    """How a process ended: a mark tells a signal as 128 + its number, the process itself as a negative one."""
    number = -code if code < 0 else code - 128
    return signal.Signals(number).name if number in set(signal.Signals) else f"code {code}"


def _write_all(pipe: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def _yaw_from_angle(angle_deg: float) -> float:
    """Yaw in (-pi, pi] of degrees clockwise from north."""
    return math.remainder(math.pi / 2 - math.radians(angle_deg), math.tau)


def _angle_from_yaw(yaw: float) -> float:
    """Degrees clockwise from north, in [0, 360)."""
    return math.degrees(math.pi / 2 - yaw) % 360


def _reading(time: float, vehicles: Sequence[tuple], persons: Sequence[tuple]) -> Reading:
    seen = [
        Sighting(i, x, y, _yaw_from_angle(angle), speed) for i, x, y, angle, speed in itertools.chain(vehicles, persons)
    ]
    return Reading(time, tuple(seen[: len(vehicles)]), tuple(seen[len(vehicles) :]))
