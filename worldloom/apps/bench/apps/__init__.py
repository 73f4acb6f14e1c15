"""What is built on the toolkit, measured as its users meet it."""

from importlib import import_module

from worldloom.apps.bench.result import Row

PARTS = ("simulation",)  # modules of this package, each with `rows(quick)`


def run(quick: bool) -> list[Row]:
    """The rows of all parts."""
    return [row for part in PARTS for row in import_module(f"{__name__}.{part}").rows(quick)]
