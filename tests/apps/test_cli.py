"""The command's doors: which verbs there are, and how it answers a wrong call."""

import re
import subprocess
import sys

import pytest

from worldloom import __version__
from worldloom.apps import cli


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["worldloom", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


def test_help_lists_what_is_built_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--help") == 0
    commands = capsys.readouterr().out.split("Commands:")[1]
    assert re.findall(r"^  (\w+)", commands, re.MULTILINE) == [
        "scene",
        "recon",
        "export",
        "drive",
        "train",
        "evaluate",
        "app",
        "serve",
        "bench",
        "doctor",
        "demo",
        "synth",
        "batch",
    ]


def test_the_version_is_the_package_s(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"worldloom {__version__}\n"


@pytest.mark.parametrize("words", [("scen",), ("scene",), ("scene", "a.png"), ("bench", "speed"), ("doctor", "--fix")])
def test_a_wrong_call_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert call(monkeypatch, *words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_fault_of_the_system_is_one_line_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full_disk() -> None:
        raise OSError(28, "No space left on device", "scene.ply")

    monkeypatch.setattr(cli, "app", full_disk)
    assert call(monkeypatch, "doctor") == 1
    assert capsys.readouterr().err == "worldloom: error: No space left on device: scene.ply\n"


HELP = """
import sys
sys.argv = ["worldloom", "--help"]
from worldloom.apps import cli
try:
    cli.main()
finally:
    assert "torch" not in sys.modules
"""


def test_help_does_not_load_torch() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
