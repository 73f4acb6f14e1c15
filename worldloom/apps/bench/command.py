"""Run one benchmark, show its rows, write its JSON."""

import functools
import importlib
import inspect
import json
import os
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from worldloom.apps.bench.result import Row, machine_facts
from worldloom.errors import InputError


def run_benchmark(name: str, *, quick: bool, json_path: Path | None, data: Path | None = None) -> list[Row]:
    """Measure `name` (a module of this package), print a table, and write the JSON if asked.

    Args:
        data: real input for benchmarks that can take some; which may not be published then.
    Raises:
        InputError: the JSON file cannot be written; found out before anything is measured.
    """
    if json_path is not None:
        folder = json_path.absolute().parent
        if json_path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise InputError(f"--json must be a file in a writable folder, got {json_path}")
    measure = importlib.import_module(f"worldloom.apps.bench.{name}").run
    if data is not None:
        if "data" not in inspect.signature(measure).parameters:
            raise InputError(f"--data is not for {name}: it makes its own input")
        measure = functools.partial(measure, data=data)
    facts = machine_facts()
    rows = measure(quick)
    _print_table(name, rows, quick)
    if json_path is not None:
        result = {"benchmark": name, "quick": quick, "machine": facts, "rows": [row.to_json() for row in rows]}
        partial = json_path.with_name(f".{json_path.name}.partial")
        partial.write_text(json.dumps(result, indent=2) + "\n")
        os.replace(partial, json_path)
    return rows


def _print_table(name: str, rows: list[Row], quick: bool) -> None:
    """A line for each metric, its baselines below it; notes are in the JSON and in BENCHMARKS.md."""
    table = Table(title=f"{name}{' (quick: not for publication)' if quick else ''}")
    for column in ("metric", "value", "unit", "goal", "met"):
        table.add_column(column, justify="right" if column == "value" else "left", no_wrap=True)
    for row in rows:
        table.add_row(row.metric, f"{row.value:.4g}", row.unit, row.goal, {True: "yes", False: "NO", None: ""}[row.met])
        for other, value in row.baseline.items():
            table.add_row(escape(f"  {other}"), f"{value:.4g}", style="dim")
    Console().print(table)
