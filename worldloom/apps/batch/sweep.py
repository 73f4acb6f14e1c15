"""A sweep: sources, and what is varied over them. It is read from YAML (or JSON), or put together from options.

    sources: [{clip: sample:street}, {occ3d: /data/nuscenes, split: val}, {towns: 1000:1010, drives: 2}]
    moments: {first: 3, every: 8}        # which frames are the present; or a list of them
    path: [straight, left, log, policy, my_path.json]
    speed: [4, 8]                        # m/s, of manoeuvres
    agents: [all, 0, {keep: 5, add: [{kind: pedestrian, ahead: 14, left: -3, heading_deg: 90, speed: 1.4}]}]
    seeds: 0:4

Everything else has a default; `FIELDS` names it. Numbers are those of YAML 1.2: `1:30` is a text, not ninety.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from worldloom.apps.batch.spec import MODES, Drawing
from worldloom.apps.drive import LOG
from worldloom.errors import InputError
from worldloom.geometry.io.ego_path import load_ego_path
from worldloom.geometry.manoeuvres import MANOEUVRES
from worldloom.occupancy.agents import AddedAgent, Agents
from worldloom.ops.dataclass_json import brief, dataclass_from_json, one_line

MAX_BYTES = 1 << 20
MAX_SEED = 1 << 40
MAX_VALUES = 1_000_000  # of one axis
DT = 0.5  # seconds between frames
_RANGE = re.compile(r"(\d{1,13}):(\d{1,13})")
_DRIVEN = tuple(mode for mode in MODES if mode != "forward")  # words for a path that the model draws


@dataclass(frozen=True)
class Clips:
    """A clip file."""

    path: str


@dataclass(frozen=True)
class Occ3dScenes:
    """Scenes of a data set."""

    root: str
    scenes: tuple[str, ...] | None = None  # all if not given
    split: str | None = None
    mask: str = "lidar"


@dataclass(frozen=True)
class Towns:
    """Drives through synthetic towns."""

    seeds: tuple[int, ...]
    drives: int = 1
    density: tuple[float, ...] = (1.0,)
    seconds: float = 20.0


@dataclass(frozen=True)
class Moments:
    """Frames that are the present: those listed, or every so many from the first on."""

    frames: tuple[int, ...] | None = None
    first: int | None = None  # as early as the past allows if not given
    every: int = 8
    last: int | None = None


@dataclass(frozen=True)
class Way:
    """How the ego goes on: a word, or steps (dx, dy, dyaw) read from a file."""

    word: str
    steps: tuple[tuple[float, float, float], ...] | None = None


@dataclass(frozen=True)
class Sweep:
    """Sources, and the values of each axis."""

    sources: tuple[Clips | Occ3dScenes | Towns, ...]
    moments: Moments = Moments()
    past: int = 4
    horizon: int = 6
    ways: tuple[Way, ...] = (Way("straight"),)
    speeds: tuple[float, ...] = (6.0,)
    agents: tuple[Agents, ...] = (Agents(),)
    seeds: tuple[int, ...] = (0,)
    drawing: Drawing = field(default_factory=Drawing)
    score: bool = True
    keep: str = "first"
    sample: int | None = None  # so many of all scenarios
    sample_seed: int = 0


def load_sweep(path: str | Path) -> Sweep:
    """Read a sweep; files that it names are looked for beside it.

    Raises:
        InputError: no such file, not YAML, or values that are not a sweep's.
    """
    return sweep_from_json(load_values(path), str(path), Path(path).parent)


def load_values(path: str | Path) -> Any:
    """The plain values of a YAML file.

    Raises:
        InputError: no such file, not YAML, aliases or a key twice.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a sweep, got {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: expected a sweep of at most {MAX_BYTES} bytes, got {len(content)}")
    try:
        return yaml.load(content, _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: expected YAML, got {one_line(error)}") from error


def sweep_from_json(value: Any, where: str, folder: Path = Path()) -> Sweep:
    """A sweep from plain values.

    Args:
        where: begins messages.
        folder: of relative paths.
    Raises:
        InputError: unknown or missing keys, or values of another kind.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a sweep with sources, got {brief(value)}")
    if strangers := sorted(str(key) for key in set(value) - set(FIELDS)):
        raise InputError(f"{where}: expected keys of {', '.join(FIELDS)}, got {strangers[0][:40]!r}")
    if "sources" not in value:
        raise InputError(f"{where}: expected sources, got none")
    fields, drawing = {}, {}
    for key, given in value.items():
        read, target = FIELDS[key]
        found = read(given, f"{where}: {key}", folder)
        (drawing if target in Drawing.__dataclass_fields__ else fields)[target] = found
    try:
        return replace(Sweep((Clips(""),)), **fields, drawing=Drawing(**drawing))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def numbers(value: Any, where: str, folder: Path = Path()) -> tuple[int, ...]:
    """Whole numbers: one, a list, or FIRST:END, of which END is not one.

    Raises:
        InputError: something else, nothing, or a number twice.
    """
    if isinstance(value, str) and (match := _RANGE.fullmatch(value.strip())):
        first, end = int(match[1]), int(match[2])
        if not first < end <= MAX_SEED or end - first > MAX_VALUES:
            raise InputError(f"{where}: expected FIRST:END with 1 to {MAX_VALUES} numbers, got {value!r}")
        return tuple(range(first, end))
    found = [_whole(one, where) for one in _listed(value, where)]
    return _once(found, where)


def _whole(value: Any, where: str, folder: Path = Path()) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_SEED:
        raise InputError(f"{where}: expected a whole number of 0 or more, or FIRST:END, got {brief(value)}")
    return value


def _number(value: Any, where: str, folder: Path = Path()) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
        raise InputError(f"{where}: expected a number, got {brief(value)}")
    return float(value)


def _speeds(value: Any, where: str, folder: Path = Path()) -> tuple[float, ...]:
    return _once([_number(one, where) for one in _listed(value, where)], where)


def _text(value: Any, where: str, folder: Path = Path()) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{where}: expected a text, got {brief(value)}")
    return value


def _flag(value: Any, where: str, folder: Path = Path()) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{where}: expected true or false, got {brief(value)}")
    return value


def _keep(value: Any, where: str, folder: Path = Path()) -> str:
    if value not in ("none", "first", "all"):
        raise InputError(f"{where}: expected none, first or all, got {brief(value)}")
    return value


def _ways(value: Any, where: str, folder: Path) -> tuple[Way, ...]:
    return _once([_way(one, where, folder) for one in _listed(value, where)], where)


def _way(value: Any, where: str, folder: Path) -> Way:
    words = (LOG, *MANOEUVRES, *_DRIVEN)
    if value in words:
        return Way(value)
    if not isinstance(value, str) or not value.endswith((".json", ".npz")):
        raise InputError(f"{where}: expected {', '.join(words)}, or a file of ego poses, got {brief(value)}")
    steps = load_ego_path(folder / value, DT).steps().double()
    rounded = (steps * 1e6).round() / 1e6
    return Way("poses", tuple((x, y, yaw) for x, y, yaw in rounded.tolist()))


def _agents(value: Any, where: str, folder: Path = Path()) -> tuple[Agents, ...]:
    return _once([_agent(one, where) for one in _listed(value, where)], where)


def _agent(value: Any, where: str) -> Agents:
    if value == "all":
        return Agents()
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"keep": value}
    if isinstance(value, dict) and isinstance(value.get("add"), dict):
        value = {**value, "add": [value["add"]]}
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected all, a number to keep, or {{keep: …, add: […]}}, got {brief(value)}")
    for one in value.get("add") or ():
        dataclass_from_json(one, AddedAgent, f"{where}: add")
    return dataclass_from_json(value, Agents, where)


def _moments(value: Any, where: str, folder: Path = Path()) -> Moments:
    if not isinstance(value, dict):
        return Moments(numbers(value, where))
    if strangers := sorted(str(key) for key in set(value) - {"first", "every", "last"}):
        raise InputError(f"{where}: expected first, every and last, got {strangers[0][:40]!r}")
    found = Moments(None, **{key: _whole(one, f"{where}: {key}") for key, one in value.items()})
    if found.every < 1:
        raise InputError(f"{where}: expected every 1 or more frames, got {found.every}")
    return found


def _sources(value: Any, where: str, folder: Path) -> tuple[Clips | Occ3dScenes | Towns, ...]:
    return tuple(_source(one, where, folder) for one in _listed(value, where))


def _source(value: Any, where: str, folder: Path) -> Clips | Occ3dScenes | Towns:
    kinds: dict[str, dict[str, Callable[..., Any]]] = {
        "clip": {"clip": _text},
        "occ3d": {"occ3d": _text, "scenes": _names, "split": _text, "mask": _mask},
        "towns": {"towns": numbers, "drives": _whole, "density": _speeds, "seconds": _number},
    }
    kind = next((key for key in kinds if isinstance(value, dict) and key in value), None)
    if kind is None:
        raise InputError(f"{where}: expected {{clip: …}}, {{occ3d: …}} or {{towns: …}}, got {brief(value)}")
    if strangers := sorted(str(key) for key in set(value) - set(kinds[kind])):
        raise InputError(f"{where}: expected keys of {', '.join(kinds[kind])}, got {strangers[0][:40]!r}")
    found = {key: kinds[kind][key](one, f"{where}: {key}") for key, one in value.items()}
    if kind == "clip":
        path = found["clip"]
        return Clips(path if path.startswith("sample:") else str((folder / path).absolute()))
    if kind == "occ3d":
        return Occ3dScenes(str((folder / found.pop("occ3d")).absolute()), **found)
    towns = Towns(found.pop("towns"), **found)
    if not 1 <= towns.drives <= 10_000:
        raise InputError(f"{where}: expected 1 to 10000 drives in each town, got {towns.drives}")
    return towns


def _names(value: Any, where: str) -> tuple[str, ...]:
    return _once([_text(one, where) for one in _listed(value, where)], where)


def _mask(value: Any, where: str) -> str:
    if value not in ("lidar", "camera", "none"):
        raise InputError(f"{where}: expected lidar, camera or none, got {brief(value)}")
    return value


def _listed(value: Any, where: str) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if not values or len(values) > MAX_VALUES:
        raise InputError(f"{where}: expected 1 to {MAX_VALUES} values, got {len(values)}")
    return values


def _once(values: Sequence[Any], where: str) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        twice = next(one for i, one in enumerate(values) if one in values[:i])
        raise InputError(f"{where}: expected each value once, got {brief(twice)} twice")
    return tuple(values)


# Key -> how it is read, and the field of Sweep or Drawing that it becomes.
FIELDS: dict[str, tuple[Callable[..., Any], str]] = {
    "sources": (_sources, "sources"),
    "moments": (_moments, "moments"),
    "past": (_whole, "past"),
    "horizon": (_whole, "horizon"),
    "path": (_ways, "ways"),
    "speed": (_speeds, "speeds"),
    "agents": (_agents, "agents"),
    "seeds": (numbers, "seeds"),
    "model": (_text, "model"),
    "steps": (_whole, "steps"),
    "guidance": (_number, "guidance"),
    "futures": (_whole, "num_futures"),
    "score": (_flag, "score"),
    "keep": (_keep, "keep"),
    "sample": (_whole, "sample"),
    "sample_seed": (_whole, "sample_seed"),
}


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain values, no aliases (a few lines of them can stand for gigabytes), and each key once."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"an alias {self.peek_event().anchor!r}, which sweeps do not have")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for i, key in enumerate(keys):
            if not isinstance(key, str):
                raise yaml.YAMLError(f"a key {brief(key)}, where keys are words")
            if key in keys[:i]:
                raise yaml.YAMLError(f"the key {key[:40]!r} twice")
        return super().construct_mapping(node, deep)


for _kind, _pattern, _first in (
    ("bool", "true|false", "tf"),
    ("null", "null|~|", ["n", "~", ""]),
    ("int", "-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), list(_first))
