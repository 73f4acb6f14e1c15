"""Whole files or none, and names that stay where they belong."""

from pathlib import Path

import pytest

from worldloom.errors import InputError
from worldloom.geometry.io import atomic_path, safe_join


def test_replaces_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".txt"
        assert temporary.parent == tmp_path
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_failure_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyError), atomic_path(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_needs_a_folder_and_a_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"), atomic_path(tmp_path / "no" / "a.txt"):
        pass
    with pytest.raises(InputError, match="got a folder"), atomic_path(tmp_path):
        pass


@pytest.mark.parametrize("name", ["a.png", "images/a.png", "./images/a b.png", "..a/b..png", "ü/é.png"])
def test_names_inside(tmp_path: Path, name: str) -> None:
    assert safe_join(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../a",
        "a/../../b",
        "a/..",
        "..",
        "\\\\host\\a",
        "\\a",
        "C:\\a",
        "C:a",
        "..\\a",
        "a\\..\\b",
        "a\0b",
    ],
)
def test_names_that_leave(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="relative path inside") as error:
        safe_join(tmp_path, name)
    assert "\n" not in str(error.value)


def test_links_that_leave(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="leads to"):
        safe_join(tmp_path / "in", "link/a.png")
