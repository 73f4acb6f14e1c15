"""Where a batch lies: a folder, or anything that fsspec knows, such as s3://bucket/batch.

Names are relative and use slashes. A file is there whole or not at all; a published folder appears with all its files
in a folder of this machine, and file by file in an object store, which has no folders to rename: the file that says
that a shard is whole is therefore written after all others, and nothing counts without it.
"""

import fcntl
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from worldloom.errors import InputError

STAGING = ".staging"


@runtime_checkable
class Store(Protocol):
    """What a batch needs of the place where it lies."""

    address: str

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Put a file there, in place of an older one."""
        ...

    def put(self, path: Path, name: str) -> None:
        """Put a copy of a file there, in place of an older one."""
        ...

    def remove(self, name: str) -> None:
        """Take a file or a folder away; it is no fault if there is none."""
        ...

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of the files right in a folder; empty where there is no such folder."""
        ...

    def folders(self, folder: str) -> list[str]:
        """Names of the folders right in a folder, sorted."""
        ...

    def scratch(self) -> Path:
        """A new folder of this machine to build in, from which `publish` is quick."""
        ...

    def publish(self, built: Path, name: str) -> None:
        """Let a folder of `scratch` become the folder `name`, in place of what is there."""
        ...

    def fetched(self, name: str) -> AbstractContextManager[Path]:
        """The file, or the folder with its files, on this machine, as long as the block lasts.

        Raises:
            InputError: there is no such file.
        """
        ...

    def clear_scratch(self) -> None:
        """Remove what killed processes were building; nobody else may be building."""
        ...


def open_store(address: str, scratch: str | None = None) -> Store:
    """The store at an address.

    Args:
        scratch: where an object store builds on this machine; the system's temporary folder if not given.
    Raises:
        InputError: no such protocol, its library is not installed, or a file is there.
    """
    if "://" not in address:
        root = Path(os.path.abspath(address))
        if root.exists() and not root.is_dir():
            raise InputError(f"expected a folder, got the file {address}")
        return LocalStore(root)
    return ObjectStore(address, scratch)


class LocalStore:
    """A folder of this machine, or of a file system that all machines share."""

    def __init__(self, root: Path) -> None:
        self.root, self.address = root, str(root)

    def read(self, name: str) -> bytes | None:
        """See `Store`."""
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, content: bytes) -> None:
        """See `Store`."""
        with self._whole(name) as temporary:
            temporary.write_bytes(content)

    def put(self, path: Path, name: str) -> None:
        """See `Store`."""
        with self._whole(name) as temporary:
            shutil.copyfile(path, temporary)

    def remove(self, name: str) -> None:
        """See `Store`; a folder first leaves its place, so that nobody meets half of it."""
        path = self.root / name
        if path.is_dir() and not path.is_symlink():
            gone = self._new_name()
            with suppress(FileNotFoundError):
                os.replace(path, gone)
            shutil.rmtree(gone, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def sizes(self, folder: str) -> dict[str, int]:
        """See `Store`."""
        try:
            with os.scandir(self.root / folder) as entries:
                return {e.name: e.stat(follow_symlinks=False).st_size for e in entries if e.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def folders(self, folder: str) -> list[str]:
        """See `Store`."""
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def scratch(self) -> Path:
        """See `Store`."""
        folder = self._new_name()
        folder.mkdir()
        return folder

    def publish(self, built: Path, name: str) -> None:
        """See `Store`."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(3):
            try:
                os.replace(built, target)
            except OSError:
                if not target.is_dir():
                    raise
                self.remove(name)  # what a killed worker left without the last file
            else:
                return
        raise OSError(f"{target} is being written by somebody else")

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """See `Store`: where it lies."""
        path = self.root / name
        if not path.exists():
            raise InputError(f"{path}: expected a file of a batch, got none")
        yield path

    def clear_scratch(self) -> None:
        """See `Store`."""
        shutil.rmtree(self.root / STAGING, ignore_errors=True)

    @contextmanager
    def _whole(self, name: str) -> Iterator[Path]:
        path, temporary = self.root / name, self._new_name()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def _new_name(self) -> Path:
        staging = self.root / STAGING
        staging.mkdir(parents=True, exist_ok=True)
        return staging / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class ObjectStore:
    """A place that fsspec knows. There is no rename there, and no lock: run one driver for a batch at a time."""

    def __init__(self, address: str, scratch: str | None = None) -> None:
        import fsspec

        self.address = address.rstrip("/")
        try:
            self.files, root = fsspec.core.url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise InputError(f"{address}: expected an address that fsspec knows, got {error}") from error
        self._files: Any = self.files
        self.root = str(root).rstrip("/")
        self._scratch = scratch

    def read(self, name: str) -> bytes | None:
        """See `Store`."""
        try:
            return self._files.cat_file(f"{self.root}/{name}")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def write(self, name: str, content: bytes) -> None:
        """See `Store`; an object appears when all of it has arrived."""
        path = f"{self.root}/{name}"
        self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        self._files.pipe_file(path, content)

    def put(self, path: Path, name: str) -> None:
        """See `Store`."""
        target = f"{self.root}/{name}"
        self._files.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        self._files.put_file(str(path), target)

    def remove(self, name: str) -> None:
        """See `Store`."""
        with suppress(FileNotFoundError):
            self._files.rm(f"{self.root}/{name}", recursive=True)

    def sizes(self, folder: str) -> dict[str, int]:
        """See `Store`."""
        return {_last(e["name"]): int(e["size"]) for e in self._listed(folder) if e["type"] == "file"}

    def folders(self, folder: str) -> list[str]:
        """See `Store`."""
        return sorted(_last(e["name"]) for e in self._listed(folder) if e["type"] == "directory")

    def scratch(self) -> Path:
        """See `Store`."""
        if self._scratch is not None:
            Path(self._scratch).mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="worldloom-batch-", dir=self._scratch))

    def publish(self, built: Path, name: str) -> None:
        """See `Store`."""
        self.remove(name)
        for path in sorted(built.iterdir()):
            self.put(path, f"{name}/{path.name}")
        shutil.rmtree(built, ignore_errors=True)

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """See `Store`: a copy."""
        folder = self.scratch()
        try:
            content = self.read(name)
            files = {_last(name): content} if content is not None else self.sizes(name)
            if not files:
                raise InputError(f"{self.address}/{name}: expected a file of a batch, got none")
            for file in files:
                (folder / file).write_bytes(content if content is not None else self.read(f"{name}/{file}") or b"")
            yield folder / _last(name) if content is not None else folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def clear_scratch(self) -> None:
        """See `Store`: temporary folders are the system's to remove."""

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        self._files.invalidate_cache()
        try:
            return self._files.ls(f"{self.root}/{folder}", detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []


@contextmanager
def driving_alone(store: Store) -> Iterator[None]:
    """Hold a batch's lock, and wait until workers of a killed driver are gone; an object store has none.

    Raises:
        InputError: somebody else is running this batch.
    """
    if not isinstance(store, LocalStore):
        yield
        return
    try:
        store.root.mkdir(parents=True, exist_ok=True)
        driver = os.open(store.root / ".driver.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{store.address}: expected a folder to write to, got {error.strerror}") from error
    try:
        try:
            fcntl.flock(driver, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{store.address} is being run by another command; wait for it") from error
        workers = os.open(store.root / ".workers.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(workers, fcntl.LOCK_EX)
        finally:
            os.close(workers)
        yield
    finally:
        os.close(driver)


def hold_as_worker(store: Store) -> int | None:
    """Keep new drivers away as long as this process lives; returns what to keep open."""
    if not isinstance(store, LocalStore):
        return None
    lock = os.open(store.root / ".workers.lock", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def _last(name: str) -> str:
    return str(name).rstrip("/").rsplit("/", 1)[-1]
