"""Which synthetic towns are for training, for choosing, and for the numbers that are reported. They share no road."""

from typing import Literal

Split = Literal["train", "val", "test"]

TOWN_SPLITS: dict[str, range] = {"train": range(1000, 2000), "val": range(2000, 2100), "test": range(3000, 3100)}


def split_of_town(seed: int) -> str | None:
    """The split of the town of a seed; None where it belongs to none."""
    return next((name for name, seeds in TOWN_SPLITS.items() if seed in seeds), None)
