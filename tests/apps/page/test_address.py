"""Where the page cannot be served, the answer is one line and nothing is made."""

import socket
from pathlib import Path

import pytest

from worldloom.apps.page import serve
from worldloom.errors import InputError


@pytest.mark.parametrize("port", [0, -1, 65536, 99999])
def test_a_port_that_no_machine_has(port: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^--port must be 1 to 65535, got {port}$"):
        serve(host="127.0.0.1", port=port, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(
            InputError, match=rf"^no page can be served at 127\.0\.0\.1:{port}: .*; try another --port$"
        ):
            serve(host="127.0.0.1", port=port, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_host_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^no page can be served at nowhere\.invalid:7860: .*; try another --host$"):
        serve(host="nowhere.invalid", port=7860, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
