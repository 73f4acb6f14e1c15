"""What made a scenario: the code and the weights, as hashes. They are part of every shard's name."""

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import worldloom
from worldloom.apps.batch.spec import COPY_WARP, ScenarioSpec, digest
from worldloom.ops.weights import CONFIG, MODEL, weights_path

# What a scenario's bytes may depend on: all rooms that take part in making one. Pages, viewers and commands do not.
ROOMS = ("geometry", "ops", "render", "synth", "occupancy", "apps/batch/driving")
_CHUNK = 1 << 20


@functools.cache
def code_version() -> str:
    """The package's version and 16 hex digits of its sources that take part.

    Native modules are not looked at: they are built anew on each machine from the same sources.
    """
    # Not importlib.resources: it names every folder of an editable install at once, and none of them can be searched.
    root = Path(worldloom.__file__).parent
    files = sorted(file for room in ROOMS for file in (root / room).rglob("*.py"))
    if not files:
        raise RuntimeError(f"expected the sources of worldloom in {root}, found none")
    return f"{worldloom.__version__}+{_hash_of((file.relative_to(root).as_posix(), file) for file in files)[:16]}"


@functools.cache
def weights_version(model: str) -> str:
    """SHA-256 of a model's weights.

    Raises:
        InputError: there are none of that name.
    """
    if model == COPY_WARP:
        return "none"
    folders = {part: weights_path("worldloom.occupancy", model, part) for part in ("static", "traffic")}
    return _hash_of((f"{part}/{name}", folder / name) for part, folder in folders.items() for name in (CONFIG, MODEL))


@dataclass(frozen=True)
class Makers:
    """What makes all shards of a batch."""

    code: str
    weights: dict[str, str]  # by model

    def shard(self, spec: ScenarioSpec) -> str:
        """The shard's name: 32 hex digits of the spec, the code and the weights."""
        return digest({"spec": spec.key, "code": self.code, "weights": self.weights[spec.drawing.model]})


def makers_of(models: Iterable[str]) -> Makers:
    """This code, and the weights of these models.

    Raises:
        InputError: a model without weights.
    """
    return Makers(code_version(), {model: weights_version(model) for model in sorted(set(models))})


def _hash_of(files: Iterable[tuple[str, Path]]) -> str:
    whole = hashlib.sha256()
    for name, path in files:
        own = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                own.update(chunk)
        whole.update(f"{name}\n{own.hexdigest()}\n".encode())
    return whole.hexdigest()
