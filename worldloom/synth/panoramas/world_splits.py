"""Which procedural worlds are for training, for choosing, and for the numbers that are reported. They share no seed."""

import random
from typing import Literal

Split = Literal["train", "val", "test"]

# Far above the seeds that people and examples use.
WORLD_SPLITS: dict[str, range] = {
    "train": range(100_000, 200_000),
    "val": range(200_000, 201_000),
    "test": range(300_000, 301_000),
}
_KINDS = {"room": 9, "street": 4, "courtyard": 4, "field": 3}  # rooms differ most from one another


def split_of_world(seed: int) -> str | None:
    """The split of the worlds of a seed; None where it belongs to none."""
    return next((name for name, seeds in WORLD_SPLITS.items() if seed in seeds), None)


def kind_of_world(seed: int) -> str:
    """The kind of world that stands for a seed in these splits."""
    return random.Random(f"kind of world {seed}").choices(list(_KINDS), list(_KINDS.values()))[0]
