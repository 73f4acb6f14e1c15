"""Archives from strangers are refused before they do harm; ours hold what they should."""

import stat
import zipfile
from pathlib import Path

import pytest

from worldloom.apps.page import archives
from worldloom.apps.page.archives import pack, unpack
from worldloom.errors import InputError


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("members", "inside"),
    [
        ({"town/gts/a/t/labels.npz": b"x", "town/annotations.json": b"{}"}, "town"),
        ({"scene/t/labels.npz": b"x"}, "scene"),
        ({"t0/labels.npz": b"x", "t1/labels.npz": b"x"}, ""),
        ({"labels.npz": b"x"}, "labels.npz"),
        ({"clip.npz": b"x", "readme.txt": b""}, "clip.npz"),
    ],
)
def test_what_a_zip_may_hold(members: dict[str, bytes], inside: str, tmp_path: Path) -> None:
    assert unpack(archive(tmp_path / "up.zip", members), tmp_path / "in") == tmp_path / "in" / inside


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../../escape/labels.npz", "relative path"),
        ("/etc/escape.npz", "relative path"),
        ("a/../../../escape.npz", "relative path"),
        ("..\\..\\escape.npz", "relative path"),
        ("C:\\escape.npz", "relative path"),
    ],
)
def test_names_that_lead_out_are_refused(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    with pytest.raises(InputError, match=words) as refusal:
        unpack(archive(tmp_path / "up.zip", {name: b"x"}), tmp_path / "deep" / "er" / "in")
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.rglob("escape*"))


def test_a_bomb_is_seen_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1 << 20)
    bomb = archive(tmp_path / "up.zip", {"clip.npz": bytes(2 << 20)})
    assert bomb.stat().st_size < 1 << 14
    with pytest.raises(InputError, match=r"up\.zip: expected at most 1048576 bytes when unpacked, got 2097152"):
        unpack(bomb, tmp_path / "in")
    assert not (tmp_path / "in").exists()
    with pytest.raises(InputError, match="expected at most 1048576 bytes"):
        unpack(archive(tmp_path / "clip.npz", {"labels.npy": bytes(2 << 20)}), tmp_path / "in")


def test_a_bomb_that_lies_about_its_size(tmp_path: Path) -> None:
    path = archive(tmp_path / "up.zip", {"clip.npz": bytes(3 << 20)})
    data = bytearray(path.read_bytes())
    small = (100).to_bytes(4, "little")
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(signature) + offset
        data[at : at + 4] = small
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"^up\.zip: expected"):
        unpack(path, tmp_path / "in")
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.npz")) <= 1 << 20


def test_too_many_files_links_and_passwords(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected 1 to 2000 files, got 2001"):
        unpack(archive(tmp_path / "many.zip", {f"{i}.npz": b"" for i in range(2001)}), tmp_path / "in")
    with pytest.raises(InputError, match="expected 1 to 2000 files, got 0"):
        unpack(archive(tmp_path / "none.zip", {}), tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as packed:
        link = zipfile.ZipInfo("labels.npz")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="a link or a device"):
        unpack(tmp_path / "link.zip", tmp_path / "in")
    locked = archive(tmp_path / "locked.zip", {"clip.npz": b"x"})
    data = bytearray(locked.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    locked.write_bytes(data)
    with pytest.raises(InputError, match="no password"):
        unpack(locked, tmp_path / "in")


@pytest.mark.parametrize("content", [b"", b"words", b"PK\x03\x04 and no more"])
@pytest.mark.parametrize("name", ["up.zip", "clip.npz"])
def test_what_is_no_archive(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"^{name}: expected"):
        unpack(tmp_path / name, tmp_path / "in")


def test_one_archive_twice_in_itself_and_without_data(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as packed:
        packed.writestr("clip.npz", b"x")
        with pytest.warns(UserWarning, match="Duplicate"):
            packed.writestr("clip.npz", b"y")
    with pytest.raises(InputError, match=r"^twice\.zip: expected a whole \.zip"):
        unpack(tmp_path / "twice.zip", tmp_path / "in")
    with pytest.raises(InputError, match=r"one \.npz, got 2 \.npz files"):
        unpack(archive(tmp_path / "two.zip", {"a.npz": b"x", "b.npz": b"y"}), tmp_path / "in2")


def test_a_packed_folder_has_no_secrets_and_no_links(tmp_path: Path) -> None:
    folder = tmp_path / "piece"
    (folder / "result").mkdir(parents=True)
    (folder / "result" / "a.txt").write_text("a")
    (folder / ".upload.png").write_text("secret")
    (folder / "link").symlink_to("/etc/passwd")
    pack(folder, tmp_path / "out.zip", "worldloom-scene")
    assert zipfile.ZipFile(tmp_path / "out.zip").namelist() == ["worldloom-scene/result/a.txt"]
