"""The report: one file that needs no network, whose numbers are those of the scenarios."""

import base64
import html.parser
import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from worldloom.apps.batch.folder import Batch
from worldloom.apps.batch.ledger import Ledger
from worldloom.apps.batch.report import report_batch
from worldloom.apps.batch.report.figures import gather, speed_of
from worldloom.apps.batch.report.page import page
from worldloom.apps.batch.results import Result, results_of
from worldloom.apps.batch.spec import ClipSource, ScenarioSpec
from worldloom.apps.bench.apps.batch import steady_rate

SPEC = ScenarioSpec(ClipSource("sample:street", "0" * 64), now=3)


class Tags(html.parser.HTMLParser):
    """What is opened is closed, and nothing comes from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "img", "br", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag


def result(number: int, **scores: Any) -> Result:
    return Result(f"{number:032x}", SPEC, scores)


def test_the_page_is_whole_and_offline(made: Batch, tmp_path: Path) -> None:
    assert report_batch(made.store.address, tmp_path / "r.html", pictures=6) == 0
    text = (tmp_path / "r.html").read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.links
    for link in tags.links:
        assert link.startswith("data:image/png;base64,")
        assert base64.b64decode(link.split(",", 1)[1]).startswith(b"\x89PNG")
    assert not re.search(r"https?://|@import|<script", text)
    content = json.loads((tmp_path / "r.json").read_text())
    assert (content["scenarios"], content["finished"], content["missing"], content["quarantined"]) == (8, 8, 0, 0)
    physics = [value for one in results_of(made) if (value := one.number("physics")) is not None]
    assert content["numbers"]["physics"]["known"] == len(physics) == 8
    assert content["numbers"]["physics"]["mean"] == pytest.approx(statistics.fmean(physics))
    assert sum(content["histograms"]["physics"]["counts"]) == 8
    assert content["numbers"]["collision risk"] == {"known": 0}
    assert content["groups"]["way"]["left"]["scenarios"] == 4
    share = statistics.fmean(float(one.collided or 0) for one in results_of(made) if one.spec.path == "left")
    assert content["groups"]["way"]["left"]["collided_share"] == pytest.approx(share)
    assert content["speed"]["made"] == 8
    assert content["speed"]["mean_seconds"]["model"] > 0
    shown = [shard for shards in content["examples"].values() for shard in shards]
    assert len(shown) == len(set(shown))
    assert shown


def test_examples_are_the_riskiest_the_poorest_and_some_of_all() -> None:
    some = [
        result(i, risk={"collision": i / 100, "off_road": 0.0}, grid={"pdms_occ": (i * 37 % 100) / 100})
        for i in range(100)
    ]
    figures = gather(some, 9, 100)
    rows = list(figures.examples().values())
    assert [int(one.shard, 16) for one in rows[0]] == [99, 98, 97]
    poorest = sorted(some, key=lambda one: one.number("PDMS-occ") or 0.0)[:3]
    assert [one.shard for one in rows[1]] == [one.shard for one in poorest]
    assert [int(one.shard, 16) for one in rows[2]] == [33, 66]  # 0 is among the poorest
    assert gather(some, 0, 100).examples() == {name: [] for name in figures.examples()}


def test_numbers_by_hand() -> None:
    some = [result(i, risk={"collision": value, "off_road": 0.3}) for i, value in enumerate([0.0, 0.1, 0.2, 0.7, 1.0])]
    some.append(result(9, risk=None, grid={"pdms_occ": None, "collided": True}))
    figures = gather(some, 3, 6)
    assert figures.summary("collision risk") == {
        "known": 5,
        "mean": pytest.approx(0.4),
        "p05": pytest.approx(0.02),
        "median": 0.2,
        "p95": pytest.approx(0.94),
        "least": 0.0,
        "most": 1.0,
    }
    counts = figures.histogram("collision risk")["counts"]
    assert [i for i, count in enumerate(counts) if count] == [0, 2, 4, 14, 19]
    assert some[0].risk == 0.3
    assert some[4].risk == 1.0
    assert some[5].risk is None
    assert (figures.looked, figures.collided) == (1, 1)


def test_speed_leaves_pauses_out() -> None:
    entries = [{"at": 100.0 + 2 * i, "seconds": {"model": 1.5}, "worker": f"w{i % 2}"} for i in range(5)]
    entries += [{"at": 9000.0 + 2 * i, "seconds": {"model": 1.5}, "worker": "w0"} for i in range(5)]
    entries += [{"at": 9010.0, "cause": "death", "worker": "w0"}, {"at": 9011.0, "seconds": {}, "worker": "w0"}]
    speed = speed_of(entries)
    assert speed["scenarios_per_hour"] == pytest.approx(1800)
    assert speed["made"] == 10
    assert speed["worker_processes"] == 2
    assert speed["failed_attempts"] == {"death": 1}
    assert speed_of([]) == {"made": 0, "failed_attempts": {}}


def test_the_steady_rate_and_what_the_engine_took() -> None:
    """Two workers, a scenario every 2 s each, of which 1.9 s are its own: 3600 an hour and 0.1 s beyond."""
    entries = []
    for i in range(4):
        for worker in ("a", "b"):
            entries.append(
                {"at": 10.0 + 2 * i, "worker": worker, "seconds": {"model": 1.5, "files": 0.4, "check": 0.05}}
            )
    per_hour, beyond = steady_rate(entries)
    assert per_hour == pytest.approx(3600)
    assert beyond == pytest.approx(0.1 * len(entries))


def test_what_others_wrote_is_text_to_the_page(made: Batch, tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>"
    facts = {"scenarios": 1, "finished": 1, "missing": 0, "quarantined": 1, "code": nasty, "weights": {nasty: nasty}}
    failure = {"title": nasty, "failures": [{"message": nasty, "traceback": nasty}]}
    spec = ScenarioSpec(ClipSource(f"/{nasty}.npz".replace("</", "<"), "0" * 64), now=3)
    figures = gather([Result(nasty, spec, {"grid": {"pdms_occ": 0.5}})], 3, 1)
    text = page(nasty, {**facts, "manifest_sha256": nasty}, figures, speed_of([]), [failure], lambda one: None)
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_batch_without_a_finished_scenario_has_no_report(tmp_path: Path, manifest: Path) -> None:
    from worldloom.apps.batch.folder import begin_batch, check_beginning
    from worldloom.apps.batch.store import LocalStore

    store = LocalStore(tmp_path / "b")
    begin_batch(store, manifest, check_beginning(store, manifest))
    assert report_batch(store.address, tmp_path / "r.html") == 3
    assert not (tmp_path / "r.html").exists()
    assert list(Ledger(store).entries()) == []
