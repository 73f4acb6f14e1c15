"""Pieces of the page in HTML. Everything that comes from outside is escaped."""

import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from worldloom.apps.page import files, walks
from worldloom.apps.page.jobs import Job
from worldloom.apps.page.visitors import RESULT, Piece
from worldloom.apps.run_folder import RunProgress

PREVIEW = "preview.png"
_FOLDERS = re.compile(r"(?<![\w.])/(?:[^\s/:'\"]+/)+(?=[^\s/:'\"]+)")

CSS = """
.wl-frame { width: 100%; height: 66vh; min-height: 340px; border: 0; border-radius: 12px; background: #dbe3ec; }
.wl-empty { height: 40vh; min-height: 220px; display: grid; place-items: center; text-align: center; padding: 0 24px;
  border-radius: 12px; background: #dbe3ec; color: #2f3a4a; }
.wl-error { padding: 10px 14px; border-radius: 10px; background: #fde8e8; color: #7d1313; overflow-wrap: anywhere; }
.wl-stages { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 16px; }
.wl-stages li { margin: 0; } .wl-now { font-weight: 600; }
.wl-preview { max-width: 100%; max-height: 34vh; border-radius: 10px; margin-top: 8px; display: block; }
.wl-links { display: flex; flex-wrap: wrap; gap: 6px 18px; }
.wl-cards { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(min(240px, 100%), 1fr)); }
.wl-card { border: 1px solid #cfd6df; border-radius: 12px; overflow: hidden; background: #fff; color: #1c2430; }
.wl-card img { width: 100%; height: 130px; object-fit: cover; display: block; }
.wl-card div { padding: 8px 12px; overflow-wrap: anywhere; }
@media (max-width: 640px) { .wl-frame { height: 62vh; } .gradio-container { padding: 8px !important; } }
"""


def in_one_line(message: object) -> str:
    """An error for visitors: one line, with names of files but without this server's folders."""
    return _FOLDERS.sub("", " ".join(str(message).split()))[:400]


def error(message: object) -> str:
    """What went wrong."""
    return f'<div class="wl-error" role="alert">{html.escape(in_one_line(message))}</div>'


def empty(words: str) -> str:
    """The place where a view will be."""
    return f'<div class="wl-empty"><p>{html.escape(words)}</p></div>'


def frame(address: str, title: str) -> str:
    """Another page of ours within the page."""
    where, name = html.escape(address, quote=True), html.escape(title, quote=True)
    return f'<iframe class="wl-frame" src="{where}" title="{name}" allow="fullscreen"></iframe>'


def walk_frame(name: str) -> str:
    """An open viewer."""
    return frame(f"{walks.PREFIX}/{name}/?hideViserLogo", "3D view")


def progress(job: Job, before: int, stages: Sequence[str]) -> str:
    """How far a job is, in words, with what it has drawn so far."""
    if job.state == "waiting":
        return f'<div role="status">Waiting: {before} {"job" if before == 1 else "jobs"} first.</div>'
    run = RunProgress.of(job.folder / RESULT)
    entries = []
    for stage in [*stages, *(name for name in run.seconds if name not in stages)]:
        if stage in run.seconds:
            entries.append(f"<li>✓ {html.escape(stage)} {run.seconds[stage]:.1f} s</li>")
        elif stage == run.running:
            entries.append(f'<li class="wl-now">▸ {html.escape(stage)} …</li>')
        else:
            entries.append(f"<li>{html.escape(stage)}</li>")
    if not run.seconds and run.running is None:
        return '<div role="status">Starting …</div>'
    picture = ""
    drawn = files.latest_preview(job.folder)
    if drawn is not None:
        address = f"/job/{job.name}/preview?{html.escape(drawn.stem)}-{len(run.seconds)}"
        picture = f'<img class="wl-preview" src="{address}" alt="{html.escape(drawn.stem)}, so far">'
    return (
        f'<div role="status" aria-live="polite"><ul class="wl-stages">{"".join(entries)}</ul>'
        f"<small>{job.seconds:.0f} s</small>{picture}</div>"
    )


def links(piece: Piece) -> str:
    """Everything of a piece, to be taken away."""
    names = [path.name for path in sorted(piece.result.iterdir()) if path.is_file() and path.name[0] != "."]
    every = [f'<a href="/zip/{piece.name}" download>all as .zip</a>']
    every += [f'<a href="{_address(piece, name)}" download>{html.escape(name)}</a>' for name in names]
    return (
        f'<p><a href="/?open={piece.name}">Link to this {piece.kind}</a> (whoever has it can open it)</p>'
        f'<div class="wl-links">{"".join(every)}</div>'
    )


def film(piece: Piece, name: str) -> str:
    """A film of a result."""
    if not (piece.result / name).is_file():
        return ""
    return (
        f'<video class="wl-preview" src="{_address(piece, name)}" controls muted loop playsinline preload="metadata" '
        f'aria-label="{html.escape(Path(name).stem)}"></video>'
    )


def picture(piece: Piece, name: str) -> str:
    """A picture of a result."""
    if not (piece.result / name).is_file():
        return ""
    return f'<img class="wl-preview" src="{_address(piece, name)}" alt="{html.escape(Path(name).stem)}">'


def _address(piece: Piece, name: str) -> str:
    inside = "" if piece.result == piece.folder else f"{RESULT}/"
    return f"{files.PREFIX}/{piece.name}/{inside}{html.escape(name, quote=True)}"


def cards(pieces: Iterable[Piece]) -> str:
    """The gallery."""
    found = []
    for piece in pieces:
        title = html.escape(piece.title)
        found.append(
            f'<article class="wl-card"><a href="/?open={piece.name}">'
            f'<img src="{_address(piece, PREVIEW)}" alt="" loading="lazy">'
            f"<div>{title} <small>({piece.kind})</small></div></a></article>"
        )
    if not found:
        return empty("Nothing is finished yet. Scenes and drives that you make stand here.")
    return f'<div class="wl-cards">{"".join(found)}</div>'
