"""What strangers send: each is refused in one line, the server lives on, and nothing of it leaks."""

import base64
import json
import resource
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.apps.page.running_app import served
from worldloom.apps.page import serve
from worldloom.apps.page.shown import cards, in_one_line, links
from worldloom.apps.page.visitors import COOKIE, Piece, Visitors
from worldloom.apps.page.work import photos_work, scene_work
from worldloom.errors import InputError

httpx = pytest.importorskip("httpx")
AUTH = ("ann", "secret: words")
SECRET = "of the visitor alone"


@dataclass(frozen=True)
class Target:
    address: str
    runs: Path
    piece: Piece

    def ask(self, method: str = "GET", path: str = "/", auth: Any = AUTH, **options: Any) -> Any:
        """Paths go as they are: httpx would tidy them."""
        with httpx.Client(timeout=60) as client:
            url = httpx.URL(self.address).copy_with(raw_path=path.encode())
            return client.request(method, url, auth=auth, **options)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with served(tmp_path_factory.mktemp("app"), "--auth", ":".join(AUTH)) as app:
        visitors = Visitors(app.runs)  # it signs with the server's key
        piece = visitors.new_piece(visitors.new_cookie(), "scene", "room")
        piece.result.mkdir()
        (piece.result / "report.json").write_text(json.dumps({"words": "fine"}))
        (piece.folder / ".upload").mkdir()
        (piece.folder / ".upload" / "mine.png").write_text(SECRET)
        (piece.folder.parent / "beside.txt").write_text(SECRET)
        (piece.result / "link.txt").symlink_to(piece.folder.parent / "beside.txt")
        yield Target(app.address, app.runs, piece)


REFUSED = [
    # method, path, auth, headers, status
    ("GET", "/", None, {}, 401),
    ("GET", "/", ("ann", "wrong"), {}, 401),
    ("GET", "/", ("bob", AUTH[1]), {}, 401),
    ("GET", "/", None, {"Authorization": "Basic %%%"}, 401),
    ("GET", "/", None, {"Authorization": "Bearer ann:secret"}, 401),
    ("GET", "/files/PIECE/result/report.json", None, {}, 401),
    ("GET", "/gradio_api/info", None, {"Cookie": f"{COOKIE}=a.b"}, 401),
    ("GET", "/files/PIECE/../../.key", AUTH, {}, 404),
    ("GET", "/files/PIECE/%2e%2e/%2e%2e/.key", AUTH, {}, 404),
    ("GET", "/files/PIECE/..%2f..%2f.key", AUTH, {}, 404),
    ("GET", "/files/PIECE/..%5c..%5c.key", AUTH, {}, 404),
    ("GET", "/files/PIECE/%252e%252e/beside.txt", AUTH, {}, 404),
    ("GET", "/files/PIECE//etc/passwd", AUTH, {}, 404),
    ("GET", "/files/PIECE/result/nul%00.png", AUTH, {}, 404),
    ("GET", "/files/PIECE/.upload/mine.png", AUTH, {}, 404),
    ("GET", "/files/PIECE/result/link.txt", AUTH, {}, 404),
    ("GET", "/files/PIECE/result", AUTH, {}, 404),
    ("GET", "/files/PIECE/" + "a" * 5000, AUTH, {}, 404),
    ("GET", "/files/scene-*/title.json", AUTH, {}, 404),
    ("GET", "/files/../visitor/title.json", AUTH, {}, 404),
    ("GET", "/zip/scene-0000000000000000000000", AUTH, {}, 404),
    ("GET", "/job/none/preview", AUTH, {}, 404),
    ("GET", "/walk/none/", AUTH, {}, 404),
    ("GET", "/walk/none", AUTH, {}, 404),
    ("GET", "/gradio_api/file=/etc/passwd", AUTH, {}, 403),
    ("GET", "/gradio_api/file=RUNS/.key", AUTH, {}, 403),
    ("GET", "/gradio_api/file=FOLDER/.upload/mine.png", AUTH, {}, 403),
    ("POST", "/gradio_api/queue/join", AUTH, {"Content-Type": "text/plain"}, 422),
    ("POST", "/gradio_api/upload", AUTH, {"Content-Type": "multipart/form-data"}, 400),
    ("DELETE", "/files/PIECE/result/report.json", AUTH, {}, 404),
]


@pytest.mark.parametrize(("method", "path", "auth", "headers", "status"), REFUSED)
def test_refused_in_a_line(
    method: str, path: str, auth: Any, headers: dict[str, str], status: int, target: Target
) -> None:
    for word, value in (("PIECE", target.piece.name), ("FOLDER", target.piece.folder), ("RUNS", target.runs)):
        path = path.replace(word, str(value))
    answer = target.ask(method, path, auth, headers=headers)
    assert answer.status_code == status
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    assert str(target.runs) not in answer.text.replace(path.removeprefix("/gradio_api/file="), "")
    assert len(answer.text.strip().splitlines()) <= 1
    assert target.ask(path="/walk/none/").status_code == 404, "the server lives"


def test_who_has_the_password_and_the_name_gets_the_file(target: Target) -> None:
    answer = target.ask(path=f"/files/{target.piece.name}/result/report.json")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment"), "nothing of a visitor's runs in the page"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    packed = target.ask(path=f"/zip/{target.piece.name}")
    assert packed.content[:2] == b"PK"
    assert SECRET.encode() not in packed.content
    until = time.monotonic() + 20
    while list(target.runs.glob(".download-*")):
        assert time.monotonic() < until, "the archive was for that one answer"
        time.sleep(0.05)


def test_a_cookie_is_given_once_and_a_forged_one_is_replaced(target: Target) -> None:
    given = target.ask().headers["set-cookie"]
    assert "HttpOnly" in given
    assert "SameSite=Lax" in given
    kept = given.split(";")[0]
    assert "set-cookie" not in target.ask(headers={"Cookie": kept}).headers
    assert "set-cookie" in target.ask(headers={"Cookie": f"{COOKIE}=mine.forged"}).headers


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/upload"])
@pytest.mark.parametrize("length", ["99999999999", "-1", "1e3", "9" * 400])
def test_a_length_that_cannot_be_is_refused_before_the_body(path: str, length: str, target: Target) -> None:
    password = base64.b64encode(":".join(AUTH).encode()).decode()
    port = int(target.address.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {password}\r\n"
        link.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
        status = link.makefile("rb").readline()
    assert status.split()[1] in (b"400", b"413")
    assert target.ask().status_code == 200


def test_a_body_without_a_length_ends_where_the_limit_is(target: Target) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield bytes(1 << 16)

    try:
        answer = target.ask("POST", "/gradio_api/queue/join", content=endless())
        assert answer.status_code >= 400
    except httpx.TransportError:  # the server has hung up
        pass
    assert target.ask().status_code == 200


def giant(path: Path) -> Path:
    """A picture of 3.6 gigapixels in half a megabyte."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    side, rows = 60_000, zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(side // 8 + 1)) for _ in range(side)) + rows.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


def test_a_giant_picture_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    picture = giant(tmp_path / "giant.png")
    assert picture.stat().st_size < 1 << 20
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png"):
        (photos / name).symlink_to(picture)
    scene = {
        "picture": str(picture), "fov": None, "text": None,
        "quality": "Draft", "camera_height": None, "depth_model": "floor",
    }  # fmt: skip
    for work, asked in ((scene_work, scene), (photos_work, {"photos": str(photos), "minutes": 0.0, "size": 320})):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(InputError, match="pixels, got 60000x60000") as refusal:
            work(tmp_path / "piece", asked)
        assert "\n" not in str(refusal.value)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"
        assert not (tmp_path / "piece" / "result").exists()


def test_names_and_titles_are_text(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / '"><script>alert(1)<script>.txt').write_text("")
    piece = Piece("scene-0000000000000000000000", tmp_path, "<script>alert(1)<script>", 0.0)
    for shown in (cards([piece]), links(piece)):
        assert "<script" not in shown
        assert "&lt;script&gt;" in shown


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("/srv/runs/visitor-1/.upload/words.png: expected\na picture", "words.png: expected a picture"),
        ("cannot read '/a/b c/in.zip'", "cannot read 'b c/in.zip'"),
        ("expected 1/2 of a thing, got 3/4/5", "expected 1/2 of a thing, got 3/4/5"),
        ("x" * 999, "x" * 400),
    ],
)
def test_an_error_is_one_line_without_this_servers_folders(message: str, said: str) -> None:
    assert in_one_line(message) == said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"auth": "nobody"}, "--auth as USER:PASSWORD"),
        ({"auth": ":secret"}, "--auth as USER:PASSWORD"),
        ({"keep_hours": -1.0}, "--keep-hours must be 0 or more"),
        ({"keep_hours": float("nan")}, "--keep-hours must be 0 or more"),
        ({"clips": [Path("/no/such.npz")]}, "expected a clip file, a scene folder or a data set"),
        ({"show": Path("/no/such")}, "expected a result of worldloom scene, recon or drive"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as refusal:
        serve(host="127.0.0.1", port=7860, runs=tmp_path / "runs", **options)
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert not (tmp_path / "runs").exists()
