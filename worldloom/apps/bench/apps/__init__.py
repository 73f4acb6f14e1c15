"""What is built on top of the rooms: rows of each application, one module for each."""

from worldloom.apps.bench.apps.batch import batch_rows
from worldloom.apps.bench.apps.page import page_rows
from worldloom.apps.bench.apps.simulation import simulation_rows
from worldloom.apps.bench.result import Row
from worldloom.errors import MissingExtra


def run(quick: bool) -> list[Row]:
    """Rows of all applications."""
    return [*_page_rows(quick), *batch_rows(quick), *simulation_rows(quick)]


def _page_rows(quick: bool) -> list[Row]:
    """None where the page's extras are missing."""
    try:
        return page_rows(quick)
    except MissingExtra as error:
        print(f"left out: {error}")
        return []
