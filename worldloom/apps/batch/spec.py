"""One scenario as a line of JSON: what decides it, and nothing else.

Canonical JSON: keys sorted, no spaces, numbers as Python writes them, UTF-8. The same scenario is the same line.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from worldloom.apps.drive import COPY_WARP, LOG, MAX_FUTURES, MAX_HORIZON, MAX_SPEED, MODES
from worldloom.errors import InputError
from worldloom.geometry.manoeuvres import MANOEUVRES
from worldloom.occupancy.agents import Agents
from worldloom.ops.dataclass_json import dataclass_from_json

POSES = "poses"  # a path that stands in the spec itself
MAX_PAST = 40  # frames
MAX_LINE = 1 << 16  # bytes of a spec
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class ClipSource:
    """A clip file: `save_clip`'s, or one of `worldloom synth clips`."""

    path: str  # "sample:street" is the one that ships with the package
    sha256: str  # of the file
    kind: Literal["clip"] = "clip"


@dataclass(frozen=True)
class Occ3dSource:
    """A scene of a data set with `gts/`: nuScenes with Occ3D labels, or a synthetic town's."""

    root: str
    scene: str
    sha256: str  # of the labels and poses that the scenario looks at
    mask: Literal["lidar", "camera", "none"] = "lidar"  # what becomes `observed`
    kind: Literal["occ3d"] = "occ3d"


@dataclass(frozen=True)
class TownSource:
    """A drive through a synthetic town, made when it is needed: the seeds are all there is to it."""

    town: int
    drive: int = 0  # number of the drive in the town
    density: float = 1.0  # of the traffic
    seconds: float = 20.0
    kind: Literal["town"] = "town"

    def __post_init__(self) -> None:
        if self.town < 0 or self.drive < 0 or not 0 < self.density <= 4 or not 1 <= self.seconds <= 600:
            raise InputError(
                f"expected a town and a drive of 0 or more, density in (0, 4] and 1 to 600 seconds, got {self.town}, "
                f"{self.drive}, {self.density:g} and {self.seconds:g}"
            )


Source = ClipSource | Occ3dSource | TownSource
_SOURCES: dict[str, type] = {"clip": ClipSource, "occ3d": Occ3dSource, "town": TownSource}


@dataclass(frozen=True)
class Drawing:
    """How the future is drawn; see `WorldModel.generate`."""

    model: str = "small"  # embedded weights, a folder of weights, or COPY_WARP
    mode: str = "forward"
    steps: int = 2
    guidance: float = 1.0
    num_futures: int = 1

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"expected a mode {', '.join(MODES)}, got {self.mode!r}")
        if not 1 <= self.steps <= 64 or not 0 <= self.guidance <= 20 or not 1 <= self.num_futures <= MAX_FUTURES:
            raise InputError(
                f"expected 1 to 64 steps, a guidance of 0 to 20 and 1 to {MAX_FUTURES} futures, got {self.steps}, "
                f"{self.guidance:g} and {self.num_futures}"
            )
        if not self.model:
            raise InputError("expected the name of a model, got an empty one")
        if self.model == COPY_WARP and (self.mode != "forward" or self.num_futures > 1):
            raise InputError(f"{COPY_WARP} makes one future along a given path, got {self.num_futures} in {self.mode}")


@dataclass(frozen=True)
class ScenarioSpec:
    """A past clip, how the ego goes on, and a seed."""

    source: Source
    now: int  # the frame that is the present
    past: int = 4  # frames up to the present
    horizon: int = 6  # frames to make, two a second
    path: str | None = "straight"  # LOG, one of MANOEUVRES, or POSES; None where the model drives
    speed: float | None = 6.0  # m/s, of a manoeuvre alone
    poses: tuple[tuple[float, float, float], ...] | None = None  # of POSES: dx, dy, dyaw of each step, earlier frame
    agents: Agents = field(default_factory=Agents)
    seed: int = 0
    drawing: Drawing = field(default_factory=Drawing)
    score: bool = True  # risk and metrics; without them a shard has the future alone
    keep: Literal["none", "first", "all"] = "first"  # which futures are kept as voxels

    def __post_init__(self) -> None:
        if not (1 <= self.past <= MAX_PAST and self.past - 1 <= self.now):
            raise InputError(
                f"expected 1 to {MAX_PAST} past frames, the first of them frame 0 or later, got {self.past} up to "
                f"frame {self.now}"
            )
        if not 1 <= self.horizon <= MAX_HORIZON:
            raise InputError(f"expected a horizon of 1 to {MAX_HORIZON} frames, got {self.horizon}")
        if not 0 <= self.seed < 1 << 40:
            raise InputError(f"expected a seed from 0 to {(1 << 40) - 1}, got {self.seed}")
        if (self.path is None) != (self.drawing.mode != "forward"):
            raise InputError(f"expected a path in mode forward, and none in others, got {self.path!r} in "
                             f"{self.drawing.mode}")  # fmt: skip
        if self.path is not None and self.path not in (LOG, POSES, *MANOEUVRES):
            raise InputError(f"expected a path {', '.join((LOG, POSES, *MANOEUVRES))}, got {self.path!r}")
        if (self.speed is not None) != (self.path in MANOEUVRES):
            raise InputError(
                f"expected a speed for a manoeuvre, and for nothing else, got {self.speed} for {self.path}"
            )
        if self.speed is not None and not 0 <= self.speed <= MAX_SPEED:
            raise InputError(f"expected a speed of 0 to {MAX_SPEED:g} m/s, got {self.speed:g}")
        if (self.poses is not None) != (self.path == POSES):
            raise InputError(f"expected poses for the path {POSES!r}, and for nothing else, got a path {self.path!r}")
        if self.poses is not None:
            if len(self.poses) != self.horizon:
                raise InputError(f"expected {self.horizon} steps in poses, one a frame, got {len(self.poses)}")
            if not all(math.isfinite(value) and abs(value) <= 1e3 for step in self.poses for value in step):
                raise InputError("expected finite steps of at most 1000 m in poses")
        if isinstance(self.source, (ClipSource, Occ3dSource)) and not (
            len(self.source.sha256) == 64 and set(self.source.sha256) <= _HEX
        ):
            raise InputError(f"expected 64 hex digits in sha256, got {self.source.sha256[:70]!r}")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, with lists for tuples."""
        return json.loads(json.dumps(asdict(self), allow_nan=False))

    def line(self) -> str:
        """As canonical JSON, without a line end."""
        return canonical(self.to_json())

    @property
    def key(self) -> str:
        """32 hex digits of what decides the outcome: all but where the input lies."""
        content = self.to_json()
        for where in ("root", "path"):
            content["source"].pop(where, None)
        return digest(content)

    @property
    def title(self) -> str:
        """A few words for people."""
        way = {None: self.drawing.mode, LOG: "as logged", POSES: "own path"}.get(self.path, self.path)
        speed = "" if self.speed is None else f" {self.speed:g} m/s"
        return f"{source_name(self.source)} @{self.now}, {way}{speed}{_agents_words(self.agents)}, seed {self.seed}"


def source_name(source: Source) -> str:
    """What people call a source."""
    if isinstance(source, TownSource):
        return f"town {source.town} drive {source.drive}"
    if isinstance(source, Occ3dSource):
        return source.scene
    name = source.path.removeprefix("sample:")
    return name.rsplit("/", 1)[-1].removesuffix(".npz")


def spec_from_json(value: Any, where: str) -> ScenarioSpec:
    """A spec from JSON.

    Raises:
        InputError: fields that are missing, unknown, of another type or out of range; `where` begins the message.
    """
    if isinstance(value, dict) and isinstance(value.get("source"), dict):
        kind = value["source"].get("kind")
        if not isinstance(kind, str) or kind not in _SOURCES:
            raise InputError(f"{where}: expected a source of kind {', '.join(_SOURCES)}, got {str(kind)[:40]!r}")
        dataclass_from_json(value["source"], _SOURCES[kind], f"{where}: source")  # a message of this kind alone
    return dataclass_from_json(value, ScenarioSpec, where)


def spec_from_line(line: str | bytes, where: str) -> ScenarioSpec:
    """A spec from a line of JSON, canonical or not.

    Raises:
        InputError: longer than MAX_LINE, not JSON, keys twice, or not a spec.
    """
    if len(line) > MAX_LINE:
        raise InputError(f"{where}: expected a line of at most {MAX_LINE} bytes, got {len(line)}")
    try:
        value = json.loads(line, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise InputError(f"{where}: {error}") from error
        raise InputError(f"{where}: expected a spec as JSON, got {str(error)[:100]}") from error
    return spec_from_json(value, where)


def canonical(value: Any) -> str:
    """The one way in which a value is written."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """32 hex digits of SHA-256 of canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InputError(f"expected each key once, got {_repeated([key for key, _ in pairs])[:40]!r} twice")
    return found


def _repeated(keys: list[str]) -> str:
    return next(key for i, key in enumerate(keys) if key in keys[:i])


def _no_constant(name: str) -> Any:
    raise InputError(f"expected finite numbers, got {name}")


def _agents_words(agents: Agents) -> str:
    words = "" if agents.keep is None else f", {agents.keep} agents"
    return words + "".join(f" + {one.kind}" for one in agents.add)
