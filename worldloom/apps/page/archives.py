"""Archives: what visitors upload is looked at before anything is unpacked, and results are packed to be taken away."""

import stat
import zipfile
import zlib
from pathlib import Path
from typing import IO

from worldloom.errors import InputError
from worldloom.geometry.io import safe_join

MAX_FILES = 2000
MAX_BYTES = 512 << 20  # unpacked: some 700 Occ3D frames
_CHUNK = 1 << 20
_COMPRESSED = (".mp4", ".png", ".jpg", ".npz", ".spz", ".glb", ".usd")


def unpack(path: Path, folder: Path) -> Path:
    """The data set, the scene folder or the file that an upload holds; a .zip is unpacked into `folder`.

    A zip may hold a folder gts/ with its annotations.json, one scene of it, or one .npz.

    Raises:
        InputError: not a zip (nor an .npz, which is one), names that leave the folder, links, passwords, too many
            files or too much when unpacked.
    """
    if path.suffix.lower() != ".zip":
        _check_size(path)
        return path
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check(entries)
            folder.mkdir(parents=True)
            for entry in entries:
                target = safe_join(folder, entry.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as packed, target.open("xb") as file:
                    _copy(packed, file, entry.file_size)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path.name}: expected a whole .zip, got {' '.join(str(error).split())[:120]}") from error
    return _data_in(path.name, folder)


def _check_size(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(
            f"{path.name}: expected an .npz or a .zip, got {' '.join(str(error).split())[:120]}"
        ) from error
    if size > MAX_BYTES:
        raise InputError(f"{path.name}: expected at most {MAX_BYTES} bytes when unpacked, got {size}")


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if not 1 <= len(entries) <= MAX_FILES:
        raise InputError(f"expected 1 to {MAX_FILES} files, got {len(entries)}")
    if (size := sum(entry.file_size for entry in entries)) > MAX_BYTES:
        raise InputError(f"expected at most {MAX_BYTES} bytes when unpacked, got {size}")
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise InputError(f"expected plain files, got a link or a device: {entry.filename[:60]!r}")
        if entry.flag_bits & 1:
            raise InputError(f"expected no password, got one on {entry.filename[:60]!r}")


def _copy(packed: IO[bytes] | zipfile.ZipExtFile, file: IO[bytes], size: int) -> None:
    """A member, and no more of it than its entry announces."""
    while data := packed.read(min(_CHUNK, size + 1)):
        size -= len(data)
        if size < 0:
            raise InputError("expected files as large as the archive announces, got a larger one")
        file.write(data)


def _data_in(name: str, folder: Path) -> Path:
    """The outermost folder that holds gts/, or a scene of it, or one file."""
    data_sets = sorted(folder.rglob("gts"), key=lambda path: len(path.parts))
    if data_sets:
        return data_sets[0].parent
    labels = sorted(folder.rglob("labels.npz"))
    if labels:
        return labels[0].parent.parent if labels[0].parent != folder else labels[0]
    files = sorted(folder.rglob("*.npz"))
    if len(files) == 1:
        return files[0]
    raise InputError(f"{name}: expected a folder gts/, a scene of it or one .npz, got {len(files)} .npz files")


def pack(folder: Path, archive: Path, root: str) -> None:
    """All files of a folder, under a folder `root`, without what is hidden."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if not path.is_file() or path.is_symlink() or any(part.startswith(".") for part in inside.parts):
                continue
            method = zipfile.ZIP_STORED if path.suffix in _COMPRESSED else zipfile.ZIP_DEFLATED
            packed.write(path, f"{root}/{inside.as_posix()}", method)
