"""Futures side by side: a page of its own with a time slider, which also works where no server is."""

import html
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from worldloom.apps.drive import past_and_truth
from worldloom.apps.page.visitors import RESULT
from worldloom.geometry import FREE, Occupancy
from worldloom.geometry.io import load_clip
from worldloom.render.drive_film import view_from_above

FOLDER = "compare"
PAGE = "compare.html"  # beside the folder
_PIXELS = 320
_TEMPLATE = Path(__file__).with_name("compare_template.html")


def write_comparison(folder: Path, clip: Path, report: dict[str, Any]) -> None:
    """Draw every future of the drive in `folder`, and the truth where there is one, and write the page.

    Args:
        folder: of the piece; the drive lies in its RESULT.
        clip: what `make_drive` was given.
        report: what it said.
    """
    pictures = folder / FOLDER
    pictures.mkdir(exist_ok=True)
    past, truth = past_and_truth(clip, report["request"]["num_past"], report["future"]["frames"])
    columns = []
    for i, path in enumerate(sorted((folder / RESULT).glob("future*.npz"))):
        columns.append({"name": f"future {i + 1}", "files": _drawn(past, load_clip(path), pictures, f"future-{i}")})
    if truth is not None:
        columns.insert(0, {"name": "what came", "files": _drawn(past, truth, pictures, "truth")})
    content = {
        "columns": columns,
        "dt": past.dt,
        "risk": report.get("risk", {}),
        "uncertainty": report.get("uncertainty_by_frame", []),
        "scores": _table(report),
        "reason": report.get("metrics_reason", ""),
        "method": report.get("method", ""),
        "path": report.get("path", {}).get("command", ""),
    }
    title = f"{len(columns)} futures" if len(columns) > 1 else "future"
    (folder / PAGE).write_text(filled_page(title, content), encoding="utf-8")


def filled_page(title: str, content: dict[str, Any]) -> str:
    """The page as HTML; `content` is what `write_comparison` puts together."""
    # In a script element only "<" could end it.
    data = json.dumps(content, allow_nan=False).replace("<", "\\u003c")
    template = _TEMPLATE.read_text(encoding="utf-8")
    return template.replace("{{title}}", html.escape(title)).replace("{{data}}", data)


def _drawn(past: Occupancy, future: Occupancy, folder: Path, name: str) -> list[str]:
    """A picture from above for the present and each frame to come; their places beside the page."""
    clip = replace(
        past[-1:],
        labels=torch.cat([past.labels[-1:], future.labels]),
        observed=torch.cat([past.observed[-1:], future.observed]),
        world_from_ego=torch.cat([past.world_from_ego[-1:].double(), future.world_from_ego.double()]),
    )
    clip = replace(clip, labels=torch.where(clip.observed, clip.labels, FREE))
    files = []
    for i in range(len(clip)):
        picture = (view_from_above(clip, 1, i, _PIXELS).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{name}-{i:03d}.jpg", quality=88)
        files.append(f"{FOLDER}/{name}-{i:03d}.jpg")
    return files


def _table(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Of each method: means over the horizon in percent, and IoU and mIoU at each frame."""
    observed = (report.get("metrics") or {}).get("observed", {})
    return {
        method: {
            "means": {name: score[name]["avg"] for name in ("miou", "iou", "movers_iou")},
            "iou": score["per_frame"]["iou"],
        }
        for method, score in observed.items()
        if isinstance(score, dict)
    }
