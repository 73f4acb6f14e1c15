"""The doctor finds a healthy installation healthy and a wrong number wrong."""

import tomllib
from pathlib import Path

import pytest

from worldloom.apps import doctor


def test_this_installation_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.examine()
    said = capsys.readouterr().out
    assert "rasterizer" in said
    assert "sparse convolution" in said
    assert "WRONG" not in said


def test_a_missing_extra_comes_with_its_whole_install_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "EXTRAS", {"apps": ("no_such_module",)})
    monkeypatch.setenv("COLUMNS", "200")
    doctor.examine()
    assert "pip install 'worldloom[apps]'" in capsys.readouterr().out


def test_a_wrong_number_is_reported_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = doctor.Check("scene: red at the centre", "native", 0.61, 0.6, 1e-4)
    monkeypatch.setattr(doctor, "scene_checks", lambda: [wrong])
    assert not doctor.examine()
    assert "WRONG" in capsys.readouterr().out


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_never_passes(value: float) -> None:
    assert not doctor.Check("x", "native", value, value, 1.0).passed


def test_every_extra_a_user_can_install_is_looked_for() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(doctor.EXTRAS) == set(project["optional-dependencies"]) - {"all", "dev", "test"}
