"""Everybody has a folder of their own, and what nobody opens goes away."""

import os
import time
from pathlib import Path

import pytest

from worldloom.apps.page.visitors import SHOWN, Piece, Visitors


@pytest.fixture
def visitors(tmp_path: Path) -> Visitors:
    return Visitors(tmp_path)


def finished(piece: Piece) -> Piece:
    piece.result.mkdir()
    (piece.result / "report.json").write_text("{}")
    return piece


def test_a_visitor_sees_what_is_finished_and_theirs(visitors: Visitors) -> None:
    me, you = visitors.new_cookie(), visitors.new_cookie()
    mine = finished(visitors.new_piece(me, "scene", "a\nroom  " + "x" * 200))
    visitors.new_piece(me, "scene", "not finished")
    finished(visitors.new_piece(me, "export", "an export is no world"))
    yours = finished(visitors.new_piece(you, "drive", "a street"))
    assert [piece.name for piece in visitors.pieces(me)] == [mine.name]
    assert [piece.name for piece in visitors.pieces(you)] == [yours.name]
    assert visitors.pieces(visitors.new_cookie()) == []
    assert mine.title.startswith("a room xx")
    assert len(mine.title) == 80
    assert (mine.kind, yours.kind) == ("scene", "drive")
    assert mine.folder.stat().st_mode & 0o077 == 0, "nobody else on this machine reads it"


def test_a_link_finds_it_and_a_guess_does_not(visitors: Visitors) -> None:
    piece = visitors.new_piece(visitors.new_cookie(), "scene", "room")
    found = visitors.find(piece.name)
    assert found is not None
    assert found.folder == piece.folder
    for guess in (
        "",
        ".",
        "..",
        "*",
        "scene-*",
        piece.name[:-1] + "*",
        f"../{piece.folder.parent.name}",
        SHOWN,
        "a\0b",
    ):
        assert visitors.find(guess) is None, guess


def test_a_cookie_is_signed_also_after_a_restart(visitors: Visitors, tmp_path: Path) -> None:
    cookie = visitors.new_cookie()
    token, signature = cookie.split(".")
    assert Visitors(tmp_path).knows(cookie)
    wrong = [None, "", ".", token, f"{token}.", f".{signature}", f"{token}x.{signature}", cookie + "0", "é.é"]
    assert not any(visitors.knows(other) for other in wrong)
    assert (tmp_path / ".key").stat().st_mode & 0o077 == 0


def test_what_nobody_opens_is_removed_unless_it_is_worked_on(visitors: Visitors, tmp_path: Path) -> None:
    cookie = visitors.new_cookie()
    old, opened, busy = (visitors.new_piece(cookie, "scene", name) for name in ("old", "opened", "busy"))
    (tmp_path / "notes.txt").write_text("not of a visitor")
    (tmp_path / "visitor-of-mine").mkdir()
    for piece in (old, opened, busy):
        os.utime(piece.folder, (time.time() - 100, time.time() - 100))
    visitors.find(opened.name)
    visitors.sweep(50.0, {busy.name})
    assert not old.folder.exists()
    assert opened.folder.exists()
    assert busy.folder.exists()
    assert (tmp_path / "notes.txt").exists()
    assert (tmp_path / "visitor-of-mine").exists()
    visitors.remove(opened)
    visitors.remove(busy)
    assert list(tmp_path.glob("visitor-*")) == [tmp_path / "visitor-of-mine"], "an empty folder goes, too"


def test_the_result_that_is_shown_is_never_removed(tmp_path: Path) -> None:
    result = tmp_path / "my_scene"
    result.mkdir()
    (result / "scene.ply").write_text("")
    (tmp_path / "runs").mkdir()
    visitors = Visitors(tmp_path / "runs", result)
    piece = visitors.find(SHOWN)
    assert piece is not None
    assert (piece.result, piece.kind, piece.title) == (result, "scene", "my_scene")
    visitors.remove(piece)
    assert result.exists()
