"""The app in a process of its own, as a person starts it."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Served:
    """A running app."""

    address: str
    runs: Path
    log: Path

    def pieces(self) -> list[Path]:
        """Folders of all visitors' work."""
        return sorted(self.runs.glob("visitor-*/*"))


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Served]:
    """The app in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "worldloom.apps.cli", "app", "--port", str(port), "--runs", str(folder / "runs")]
    app = Served(f"http://127.0.0.1:{port}", folder / "runs", folder / "log")
    with app.log.open("wb") as log:
        server = subprocess.Popen([*command, *options], stdout=log, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + 120
            while b"worldloom: http://" not in app.log.read_bytes():  # said when it answers
                if server.poll() is not None or time.monotonic() > until:
                    pytest.fail(f"the app did not start: {app.log.read_text()}")
                time.sleep(0.1)
            yield app
        finally:
            server.terminate()
            server.wait(20)
