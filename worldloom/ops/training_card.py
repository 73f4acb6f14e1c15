"""The card of trained weights: what they are, what they learned from, how well they do, and how to make them again."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path

import torch

from worldloom import __version__
from worldloom.ops.training import LOG


def training_card(
    title: str,
    what: str,
    data: str,
    command: str,
    folder: Path,
    facts: Mapping[str, object],
    limits: str,
) -> str:
    """Markdown text for card.md beside the weights.

    Args:
        folder: of the run, for its log.
        facts: sizes and settings to list.
        limits: what the weights cannot do, in plain words.
    """
    entries = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    last = entries[-1]
    checked = [entry for entry in entries if len(entry) > len(entries[0])]
    final = checked[-1] if checked else last
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    rows += [f"| {name} | {value} |" for name, value in final.items()]
    return "\n".join(
        [
            f"# {title}", "", what, "", f"Data: {data}", "", "Made again by:", "", f"    {command}", "",
            f"worldloom {__version__}, torch {torch.__version__}, {cpu_model()}, {last['hours']:.2f} hours for "
            f"{last['step']} steps.", "", "| | |", "|---|---|", *rows, "", f"Limits: {limits}", "",
        ]
    )  # fmt: skip


def cpu_model() -> str:
    """Name of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
