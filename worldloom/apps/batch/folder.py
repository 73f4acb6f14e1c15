"""A batch as it lies in its store.

batch.json       what the batch is: its manifest, and the code and weights that make it
manifest.jsonl   the scenarios
shards/          one folder for each; see `shard`
quarantine/      scenarios that failed again and again, each with its tracebacks
journal.jsonl    when and how fast shards were made; nothing depends on it
.staging/ …      what workers are building, locks, towns' drives
"""

import json
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from worldloom import __version__
from worldloom.apps.batch.identity import Makers, makers_of
from worldloom.apps.batch.ledger import Ledger
from worldloom.apps.batch.manifest import ManifestFacts, check_manifest, read_manifest, save_manifest
from worldloom.apps.batch.shard import Task
from worldloom.apps.batch.spec import ScenarioSpec
from worldloom.apps.batch.store import LocalStore, Store
from worldloom.errors import InputError

HEADER, MANIFEST = "batch.json", "manifest.jsonl"
CACHE = ".sources"
FORMAT = 1


@dataclass(frozen=True)
class Batch:
    """An opened batch."""

    store: Store
    makers: Makers  # that the batch was begun with
    count: int
    manifest_sha256: str

    @property
    def ledger(self) -> Ledger:
        """Its books."""
        return Ledger(self.store)

    def specs(self) -> Iterator[ScenarioSpec]:
        """All scenarios, in the manifest's order."""
        with self.store.fetched(MANIFEST) as path:
            yield from read_manifest(path)

    def tasks(self) -> Iterator[Task]:
        """All scenarios as tasks."""
        for spec in self.specs():
            weights = self.makers.weights[spec.drawing.model]
            facts = {"key": spec.key, "code": self.makers.code, "weights": weights}
            yield Task(self.makers.shard(spec), spec.to_json(), spec.title, facts)

    def check_makers(self) -> None:
        """Refuse to go on with other code or weights: the shards would be another batch's.

        Raises:
            InputError: what differs.
        """
        now = makers_of(self.makers.weights)
        if now.code != self.makers.code:
            raise InputError(
                f"{self.store.address} was begun with code {self.makers.code}, got {now.code}; go back to that one, or "
                "begin a new batch with this one"
            )
        for model, weights in self.makers.weights.items():
            if now.weights[model] != weights:
                raise InputError(f"{self.store.address} was begun with other weights called {model!r} than those here")

    def cache(self) -> str:
        """Folder of this machine for what scenarios share."""
        if isinstance(self.store, LocalStore):
            return str(self.store.root / CACHE)
        return str(Path(tempfile.gettempdir()) / "worldloom-batch-sources")


class Beginning(NamedTuple):
    """What a batch will be."""

    facts: ManifestFacts
    makers: Makers


def check_beginning(store: Store, manifest: Path) -> Beginning:
    """Whether a batch can begin there; nothing is written.

    Raises:
        InputError: something is there already, a bad manifest, or a model without weights.
    """
    facts = check_manifest(manifest)
    beginning = Beginning(facts, makers_of(facts.models))
    _check_empty(store)
    return beginning


def begin_batch(store: Store, manifest: Path, beginning: Beginning) -> Batch:
    """Begin a batch: the manifest is copied, and what makes the shards written down.

    Raises:
        InputError: something has come there since it was checked.
    """
    _check_empty(store)
    facts, makers = beginning
    with tempfile.TemporaryDirectory() as folder:
        canonical = Path(folder) / MANIFEST
        save_manifest(canonical, read_manifest(manifest))
        store.put(canonical, MANIFEST)
    header = {
        "made_by": "worldloom",
        "version": __version__,
        "format": FORMAT,
        "scenarios": facts.count,
        "manifest_sha256": facts.sha256,
        "code": makers.code,
        "weights": makers.weights,
    }
    store.write(HEADER, (json.dumps(header, indent=1, sort_keys=True) + "\n").encode())
    return Batch(store, makers, facts.count, facts.sha256)


def resuming(store: Store) -> str:
    """The command that goes on with a batch, to be pasted into a shell."""
    return f"worldloom batch resume {shlex.quote(store.address)}"


def _check_empty(store: Store) -> None:
    if store.read(HEADER) is not None:
        raise InputError(f"{store.address} holds a batch; go on with: {resuming(store)}")
    there = {name for name in (*store.sizes(""), *store.folders("")) if not name.startswith(".")}
    if strangers := there - {MANIFEST}:  # that may be of a run that was killed before it wrote the header
        raise InputError(f"{store.address}: expected a new or empty folder, got one that holds {min(strangers)}")


def open_batch(store: Store) -> Batch:
    """The batch in a store.

    Raises:
        InputError: there is none, or its header or manifest is not as it was written.
    """
    text = store.read(HEADER)
    if text is None:
        raise InputError(f"{store.address}: expected a batch (a folder with {HEADER}), got none")
    try:
        header = json.loads(text)
    except ValueError as error:
        raise InputError(f"{store.address}/{HEADER}: expected JSON, got {error}") from error
    fits = isinstance(header, dict) and header.get("made_by") == "worldloom" and header.get("format") == FORMAT
    if not fits or not isinstance(header.get("code"), str) or not isinstance(header.get("weights"), dict):
        raise InputError(f"{store.address}/{HEADER}: expected a batch of format {FORMAT}, got another")
    with store.fetched(MANIFEST) as path:
        facts: ManifestFacts = check_manifest(path)
    if facts.sha256 != header.get("manifest_sha256"):
        raise InputError(f"{store.address}/{MANIFEST}: expected the manifest that the batch was begun with")
    if missing := sorted(facts.models - set(header["weights"])):
        raise InputError(f"{store.address}/{HEADER}: expected weights of {missing[0]!r}, got none")
    return Batch(store, Makers(header["code"], dict(header["weights"])), facts.count, facts.sha256)
