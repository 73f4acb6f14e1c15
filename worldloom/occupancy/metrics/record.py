"""The record of a number: what must be said beside it before it may stand in a table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from worldloom.occupancy.metrics.bootstrap import Interval

# Published names mean published extractors, weights and protocols. Ours have names of their own.
TAKEN = frozenset({"fid", "fvd", "pdms", "epdms", "worldscore", "vbench", "kid", "nfe"})


@dataclass(frozen=True)
class Number:
    """One value with its interval, size, floor and protocol."""

    name: str
    value: float
    ci95: Interval  # resampled over scenes
    n: int  # windows or scenes
    floor: float | None  # what a trivial method, or the measuring device itself, scores; None where there is none
    protocol: str
    seed: int
    support: Mapping[str, int] = field(default_factory=dict)  # truth voxels, or cells, of each class
    anchors: Mapping[str, float] = field(default_factory=dict)
    absent_policy: str | None = None
    weights_sha256: str | None = None
    abstained: Mapping[str, float] = field(default_factory=dict)  # share by reason

    def __post_init__(self) -> None:
        if self.name.lower() in TAKEN:
            raise ValueError(f"{self.name} is the name of a published number; ours needs a suffix, such as -wl or -occ")
        if self.n < 1:
            raise ValueError(f"{self.name} was evaluated on no window")

    def to_json(self) -> dict:
        """Plain JSON; NaN and infinities become null."""
        return {
            "name": self.name,
            "value": _finite(self.value),
            "ci95": [_finite(self.ci95.low), _finite(self.ci95.high)],
            "n": self.n,
            "support": dict(self.support),
            "floor": None if self.floor is None else _finite(self.floor),
            "anchors": {key: _finite(value) for key, value in self.anchors.items()},
            "protocol": self.protocol,
            "absent_policy": self.absent_policy,
            "seed": self.seed,
            "weights_sha256": self.weights_sha256,
            "abstained": {key: _finite(value) for key, value in self.abstained.items()},
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
