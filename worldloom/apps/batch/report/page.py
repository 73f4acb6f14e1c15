"""The report as one HTML file: pictures are in it, and nothing is fetched from anywhere."""

import base64
import html
from collections.abc import Callable
from typing import Any

from worldloom.apps.batch.progress import duration
from worldloom.apps.batch.report.figures import SHOWN, Figures
from worldloom.apps.batch.results import NUMBERS, Result

_UNITS = {"least time to collision": " s", "mIoU": " %", "mIoU of copy-warp": " %"}
_MEANINGS = {
    "collision risk": "told by the model: that the ego has collided by the end",
    "off-road risk": "told by the model: that the ego has left the road by the end",
    "PDMS-occ": "driving score on the made voxels: contact, road, time to collision, progress, comfort; 1 is best",
    "least time to collision": "of the footprint carried on at its speed; only where there is one within 3 s",
    "physics": "1 is without a violation, 0 is like true frames in no order; what is worse stands at 0",
    "realism": "how usual the movement of road users is; 1 is the middle of truth",
    "mIoU": "against what was truly seen at the end, where the ego drives as it did",
}
_STYLE = """
:root { --ink: #1a1f26; --soft: #5b6672; --line: #e2e6ea; --bar: #2f6db5; --bad: #b3372f; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 28px 24px 60px; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 38px 0 10px; }
p.facts { color: var(--soft); margin: 0; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 22px 0 0; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.tile b { display: block; font-size: 24px; line-height: 1.25; font-weight: 600; }
.tile span { color: var(--soft); font-size: 13px; }
.tile.bad b { color: var(--bad); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); }
td { font-variant-numeric: tabular-nums; }
th { font-weight: 600; color: var(--soft); } th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 18px; }
figure { margin: 0; } figcaption { font-size: 13px; color: var(--soft); }
.charts figcaption b { color: var(--ink); }
svg { display: block; width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: #5b6672; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(352px, 1fr)); gap: 18px; }
.pictures img { width: 100%; image-rendering: pixelated; border-radius: 4px; display: block; }
.pictures figcaption b { color: var(--ink); font-weight: 600; }
details { margin: 6px 0; } pre { background: #f6f7f8; padding: 10px; overflow-x: auto; font-size: 12px; }
"""


def page(
    title: str,
    facts: dict[str, Any],
    figures: Figures,
    speed: dict[str, Any],
    failures: list[dict[str, Any]],
    picture: Callable[[Result], bytes | None],
) -> str:
    """The whole page.

    Args:
        facts: of the batch, as the JSON report has them.
        failures: what is in quarantine.
        picture: the preview of a result as PNG.
    """
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="facts">{facts["scenarios"]} scenarios · code {_text(facts["code"])} · manifest '
        f"{_text(facts['manifest_sha256'][:16])} · weights "
        f"{_text(', '.join(f'{name} {sha[:12]}' for name, sha in facts['weights'].items()))}</p>",
        _tiles(facts, figures, speed),
        "<h2>Distributions</h2>",
        f'<div class="charts">{"".join(_chart(figures, name) for name in SHOWN if figures.values[name])}</div>',
        "<h2>Numbers</h2>",
        _numbers(figures),
        "<h2>By what was varied</h2>",
        *[_groups(axis, groups) for axis, groups in figures.groups.items() if len(groups) > 1 or axis == "way"],
    ]
    for name, results in figures.examples().items():
        if results:
            shown = "".join(_figure(result, picture(result)) for result in results)
            parts += [f"<h2>{_text(name)}</h2>", f'<div class="pictures">{shown}</div>']
    parts += [*_speed(speed), *_failures(failures)]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_text(title)}</title>'
    body = "".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>{body}</body></html>\n'


def _tiles(facts: dict[str, Any], figures: Figures, speed: dict[str, Any]) -> str:
    tiles = [(str(facts["finished"]), f"of {facts['scenarios']} finished", False)]
    if facts["missing"]:
        tiles.append((str(facts["missing"]), "not made yet", True))
    if facts["quarantined"]:
        tiles.append((str(facts["quarantined"]), "in quarantine", True))
    if figures.looked:
        tiles.append((f"{100 * figures.collided / figures.looked:.1f} %", "collide in the made frames", False))
    # Physics has no least value: a few broken futures would decide its mean.
    for name, kind in (("PDMS-occ", "mean"), ("physics", "median"), ("realism", "mean")):
        summary = figures.summary(name)
        if summary["known"]:
            tiles.append((f"{summary[kind]:.3f}", f"{kind} {name}, {summary['known']} known", False))
    if speed.get("scenarios_per_hour"):
        tiles.append((f"{speed['scenarios_per_hour']:.0f}", "scenarios in an hour", False))
    shown = (
        f'<div class="tile{" bad" if bad else ""}"><b>{_text(value)}</b><span>{_text(words)}</span></div>'
        for value, words, bad in tiles
    )
    return f'<div class="tiles">{"".join(shown)}</div>'


def _chart(figures: Figures, name: str) -> str:
    """A histogram as SVG, with a line at the median."""
    histogram, summary = figures.histogram(name), figures.summary(name)
    counts, low, high = histogram["counts"], histogram["low"], histogram["high"]
    width, height, base = 280, 110, 92
    bar = width / len(counts)
    most = max(counts)
    bars = "".join(
        f'<rect x="{i * bar + 0.5:.1f}" y="{base - 80 * count / most:.1f}" width="{bar - 1:.1f}" '
        f'height="{80 * count / most:.1f}" fill="var(--bar)"><title>{count}</title></rect>'
        for i, count in enumerate(counts)
        if count
    )
    share = min(1.0, max(0.0, (summary["median"] - low) / (high - low))) if high > low else 0.5
    line = (
        f'<line x1="{share * width:.1f}" x2="{share * width:.1f}" y1="6" y2="{base}" stroke="#1a1f26" '
        'stroke-dasharray="3 3"/>'
    )
    axis = (
        f'<line x1="0" x2="{width}" y1="{base}" y2="{base}" stroke="#9aa5b1"/>'
        f'<text x="0" y="{height - 4}">{low:g}</text>'
        f'<text x="{width}" y="{height - 4}" text-anchor="end">{high:g}{_UNITS.get(name, "")}</text>'
    )
    unknown = figures.results - summary["known"]
    words = f"median {summary['median']:.3g}{_UNITS.get(name, '')}" + (f", {unknown} not known" if unknown else "")
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{_text(name)}">{bars}{line}{axis}</svg>'
        f"<figcaption><b>{_text(name)}</b>: {_text(words)}<br>{_text(_MEANINGS[name])}</figcaption></figure>"
    )


def _numbers(figures: Figures) -> str:
    head = ["", "known", "mean", "5 %", "median", "95 %", "least", "most"]
    keys = ("mean", "p05", "median", "p95", "least", "most")
    rows = []
    for name in NUMBERS:
        summary = figures.summary(name)
        if summary["known"]:
            cells = [
                name + _UNITS.get(name, "").replace(" ", ", "),
                summary["known"],
                *(f"{summary[k]:.3f}" for k in keys),
            ]
            rows.append(cells)
    return _table(head, rows)


def _groups(axis: str, groups: dict[str, Any]) -> str:
    head = [axis, "scenarios", "collided", "risk", "PDMS-occ", "physics", "realism"]
    rows = []
    for value, group in sorted(groups.items()):
        facts = group.to_json()
        share = facts["collided_share"]
        means = [facts.get(f"mean_{name}") for name in ("risk", "PDMS-occ", "physics", "realism")]
        rows.append(
            [value, facts["scenarios"], "–" if share is None else f"{100 * share:.1f} %"]
            + ["–" if mean is None else f"{mean:.3f}" for mean in means]
        )
    return _table(head, rows)


def _figure(result: Result, png: bytes | None) -> str:
    image = f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">' if png else ""
    words = []
    if result.risk is not None:
        words.append(f"risk {result.risk:.2f}")
    for name in ("PDMS-occ", "physics", "realism"):
        value = result.number(name)
        words.append(f"{name} {'not known' if value is None else f'{value:.2f}'}")
    if result.collided:
        words.append("collides")
    return (
        f"<figure>{image}<figcaption><b>{_text(result.spec.title)}</b><br>{_text(', '.join(words))}"
        f"<br>{_text(result.shard)}</figcaption></figure>"
    )


def _speed(speed: dict[str, Any]) -> list[str]:
    if not speed.get("made"):
        return []
    parts = speed["mean_seconds"]
    rows = [[name, f"{seconds:.3f}"] for name, seconds in parts.items()]
    words = f"{speed['made']} scenarios by {speed['worker_processes']} worker processes"
    if speed["scenarios_per_hour"]:
        million = duration(3600 * 1e6 / speed["scenarios_per_hour"])
        words += f"; a million at this rate would take {million} (extrapolated)"
    return ["<h2>Speed</h2>", f"<p>{_text(words)}.</p>", _table(["part", "mean seconds"], rows)]


def _failures(failures: list[dict[str, Any]]) -> list[str]:
    if not failures:
        return []
    shown = []
    for failure in failures[:50]:
        last = (failure.get("failures") or [{}])[-1]
        summary = f"{failure.get('title', '')}: {last.get('message', '')}"
        trace = f"<pre>{_text(last['traceback'])}</pre>" if last.get("traceback") else ""
        shown.append(f"<details><summary>{_text(summary)}</summary>{trace}</details>")
    more = f"<p>and {len(failures) - 50} more</p>" if len(failures) > 50 else ""
    return [f"<h2>In quarantine: {len(failures)}</h2>", *shown, more]


def _table(head: list[str], rows: list[list[Any]]) -> str:
    top = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(value: Any) -> str:
    return html.escape(str(value))
