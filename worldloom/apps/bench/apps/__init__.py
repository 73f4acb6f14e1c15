"""What is built on top of the rooms: rows of each application, one module for each."""

from worldloom.apps.bench.apps.batch import batch_rows
from worldloom.apps.bench.apps.simulation import simulation_rows
from worldloom.apps.bench.result import Row


def run(quick: bool) -> list[Row]:
    """Rows of all applications."""
    return [*batch_rows(quick), *simulation_rows(quick)]
