"""Who visits the page, and the folder that holds what each of them made."""

import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from worldloom.apps.run_folder import REPORT

COOKIE = "worldloom_visitor"
RESULT = "result"  # in the folder of a piece of work: what the job left
DOWNLOAD = ".download-"  # archives under way
_TITLE, _UPLOAD = "title.json", ".upload"
_KEY = ".key"
_FOLDER = re.compile(r"visitor-[0-9a-f]{32}")
_NAME = re.compile(r"(scene|reconstruction|drive|export)-[A-Za-z0-9_-]{22}")
SHOWN = "shown"  # the name of the result that the page was started with
_LONGEST_TITLE = 80


@dataclass(frozen=True)
class Piece:
    """A folder that holds, or will hold, a scene or a drive; its name cannot be guessed."""

    name: str
    folder: Path
    title: str
    created: float  # seconds since 1970

    @property
    def kind(self) -> str:
        """scene, reconstruction, drive or export."""
        if self.name != SHOWN:
            return kind_of(self.name)
        return "scene" if (self.result / "scene.ply").is_file() else "drive"

    @property
    def result(self) -> Path:
        """What the job leaves; there when it is finished."""
        return self.folder if self.name == SHOWN else self.folder / RESULT

    @property
    def finished(self) -> bool:
        return (self.result / REPORT).is_file()


class Visitors:
    """The folder `runs`, in which everybody has a folder of their own.

    A visitor is known by a cookie that this server has signed. Names of folders follow from it by a hash, so that who
    sees a name cannot make the cookie.
    """

    def __init__(self, runs: Path, shown: Path | None = None) -> None:
        self.runs = runs
        self._shown = None if shown is None else Piece(SHOWN, shown.resolve(), shown.name, 0.0)
        self._key = _own_key(runs / _KEY)

    def new_cookie(self) -> str:
        """For a visitor who has none."""
        token = secrets.token_urlsafe(24)
        return f"{token}.{self._signature(token)}"

    def knows(self, cookie: str | None) -> bool:
        """Whether this server signed the cookie."""
        token, _, signature = (cookie or "").partition(".")
        return bool(token) and hmac.compare_digest(signature.encode(), self._signature(token).encode())

    def new_piece(self, cookie: str, kind: str, title: str) -> Piece:
        """An empty folder for a job."""
        name = f"{kind}-{secrets.token_urlsafe(16)}"
        folder = self._folder(cookie) / name
        folder.mkdir(parents=True, mode=0o700)
        shown = " ".join(title.split())[:_LONGEST_TITLE] or kind
        (folder / _TITLE).write_text(json.dumps({"title": shown, "created": time.time()}))
        return self._open(folder)

    @contextmanager
    def making(self, cookie: str, kind: str, title: str) -> Iterator[Piece]:
        """An empty folder for a job, which goes again if the job cannot be put into the queue."""
        piece = self.new_piece(cookie, kind, title)
        try:
            yield piece
        except BaseException:
            self.remove(piece)
            raise

    def keep_upload(self, piece: Piece, source: Path) -> Path:
        """A copy of an uploaded file, for the piece's job."""
        (piece.folder / _UPLOAD).mkdir(exist_ok=True)
        kept = piece.folder / _UPLOAD / source.name
        shutil.copyfile(source, kept)
        return kept

    def forget_upload(self, piece: Piece) -> None:
        """Remove that copy."""
        shutil.rmtree(piece.folder / _UPLOAD, ignore_errors=True)

    def pieces(self, cookie: str) -> list[Piece]:
        """Finished scenes and drives of a visitor, the newest first."""
        folder = self._folder(cookie)
        found = [self._open(path) for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []
        worlds = [piece for piece in found if piece.finished and piece.kind != "export"]
        return sorted(worlds, key=lambda piece: -piece.created)

    def find(self, name: str) -> Piece | None:
        """The piece of a name, whoever made it: its name is the permission to see it. Finding it keeps it."""
        if name == SHOWN:
            return self._shown
        if not _NAME.fullmatch(name):
            return None
        for folder in self.runs.glob(f"visitor-*/{name}"):
            with suppress(OSError):
                os.utime(folder)
                return self._open(folder)
        return None

    def remove(self, piece: Piece) -> None:
        """Delete all of it."""
        if piece.name != SHOWN:
            shutil.rmtree(piece.folder, ignore_errors=True)
            with suppress(OSError):
                piece.folder.parent.rmdir()  # if that was the visitor's last

    def sweep(self, keep: float, busy: set[str]) -> None:
        """Remove what nobody has looked at for `keep` seconds, and no job of the names `busy` is at work on."""
        for archive in self.runs.glob(f"{DOWNLOAD}*"):  # of a server that was stopped while it handed one over
            with suppress(OSError):
                if time.time() - archive.stat().st_mtime > keep:
                    archive.unlink()
        for folder in self.runs.iterdir():
            if not _FOLDER.fullmatch(folder.name):
                continue
            for path in folder.iterdir():
                with suppress(OSError):
                    if path.name not in busy and time.time() - path.stat().st_mtime > keep:
                        shutil.rmtree(path)
            with suppress(OSError):
                folder.rmdir()

    def _open(self, folder: Path) -> Piece:
        try:
            told = json.loads((folder / _TITLE).read_text())
            title, created = str(told["title"]), float(told["created"])
        except (OSError, ValueError, KeyError, TypeError):
            title, created = kind_of(folder.name), 0.0
        return Piece(folder.name, folder, title, created)

    def _folder(self, cookie: str) -> Path:
        return self.runs / f"visitor-{hashlib.sha256(cookie.encode()).hexdigest()[:32]}"

    def _signature(self, token: str) -> str:
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()


def kind_of(name: str) -> str:
    """Of the piece of that name."""
    return name.split("-")[0]


def _own_key(path: Path) -> bytes:
    """The key of this folder's cookies; it stays the same when the server is started again."""
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()
