"""Sessions over HTTP: the client gets what the service gives, and a hostile caller gets a clear answer, no more."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="serving needs the extra `serve`")
pytest.importorskip("uvicorn", reason="serving needs the extra `serve`")
pytest.importorskip("httpx", reason="serving needs the extra `serve`")

import uvicorn

from tests.occupancy.tiny_world import street_start, tiny_simulation
from worldloom.apps.service.client import Client, ServerError
from worldloom.apps.service.guard import Gate
from worldloom.apps.service.http import make_app
from worldloom.apps.service.load import load_test
from worldloom.apps.service.sessions import Limits, SessionService
from worldloom.errors import InputError

TOKEN = "a token of this test"
SERVICE = SessionService(tiny_simulation(), {"street": street_start()}, Limits(sessions=12, frames=8))
GATE = Gate(TOKEN, body_bytes=20_000, body_seconds=1.0, rate=500.0)


def served(gate: Gate) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(make_app(SERVICE, gate), port=port, log_level="error", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    yield from served(GATE)


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(f"http://{address}", TOKEN) as one:
        yield one


def test_the_client_gets_what_the_service_gives(client: Client) -> None:
    assert client.starts() == ("street",)
    started = client.start_session("street", seed=4, observation=("numbers", "birdseye"), timestamp_us=10)
    here = SERVICE.start_session("street", seed=4, observation=("numbers", "birdseye"), timestamp_us=10)
    actions = [(0.5, 0.01), (0.0, 0.0)]
    for theirs, ours in zip(
        [started.frame, *client.step_chunk(started.session, actions)],
        [here.frame, *SERVICE.step_chunk(here.session, actions)],
        strict=True,
    ):
        assert (theirs.timestamp_us, theirs.ego, theirs.contact, theirs.progress) == (
            ours.timestamp_us, ours.ego, ours.contact, ours.progress,
        )  # fmt: skip
        for name, array in ours.observations.items():
            assert np.array_equal(theirs.observations[name], array)
            assert theirs.observations[name].dtype == array.dtype
    tried = client.branch(started.session, trajectories=[[(3.0, 0.0, 0.0)], [(2.0, 0.2, 0.1)]])
    assert [len(frames) for frames in tried] == [1, 1]
    fork = client.fork(started.session, seed=8)
    assert fork.seed == 8
    assert client.metrics(fork.session)["seconds"] == 1.0
    assert client.log(started.session)["actions"] == [[0.5, 0.01], [0.0, 0.0]]
    for session in (started.session, fork.session):
        client.close_session(session)
    SERVICE.close_session(here.session)
    with pytest.raises(InputError, match="open session"):
        client.metrics(started.session)


def ask(
    address: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict]:
    """Whatever is asked, as it stands; the answer must be JSON."""
    connection = http.client.HTTPConnection(address, timeout=20)
    usual = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    connection.request(method, path, body, {**usual, **(headers or {})})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


def start(**more) -> bytes:
    return json.dumps({"start": "street", **more}).encode()


SESSIONS = "/v1/sessions"
HOSTILE = {
    "no token": ("GET", "/v1/starts", None, {"Authorization": ""}, 401, "Authorization: Bearer"),
    "another token": ("GET", "/v1/starts", None, {"Authorization": "Bearer guess"}, 401, "Authorization: Bearer"),
    "another scheme": ("GET", "/v1/starts", None, {"Authorization": f"Basic {TOKEN}"}, 401, "Bearer"),
    "a token and more": ("GET", "/v1/starts", None, {"Authorization": f"Bearer {TOKEN}x"}, 401, "Bearer"),
    "the schema without a token": ("GET", "/v1/openapi.json", None, {"Authorization": ""}, 401, "Bearer"),
    "a page that fetches scripts": ("GET", "/docs", None, {}, 404, "Not Found"),
    "no such path": ("GET", "/v1/secrets", None, {}, 404, "Not Found"),
    "a path out of it": ("GET", "/v1/../../etc/passwd", None, {}, 404, "Not Found"),
    "another method": ("PUT", SESSIONS, start(), {}, 405, "Method Not Allowed"),
    "another type": ("POST", SESSIONS, start(), {"Content-Type": "text/plain"}, 415, "application/json, got 'text/p"),
    "no type": ("POST", SESSIONS, start(), {"Content-Type": ""}, 415, "application/json"),
    "broken JSON": ("POST", SESSIONS, b'{"start": "street"', {}, 400, "expected JSON"),
    "no JSON": ("POST", SESSIONS, b"\x00\xff\xfe", {}, 400, ""),
    "empty": ("POST", SESSIONS, b"", {}, 422, "required"),
    "a list": ("POST", SESSIONS, b"[1]", {}, 422, ""),
    "deep": ("POST", SESSIONS, b'{"start":' + b"[" * 9000 + b"]" * 9000 + b"}", {}, None, ""),
    "too large": ("POST", SESSIONS, start(more="x" * 30_000), {}, 413, "at most 20000 bytes"),
    "too large, it says": ("POST", SESSIONS, start(), {"Content-Length": "999999999999"}, 413, "at most 20000"),
    "no length": ("POST", SESSIONS, start(), {"Content-Length": "many"}, None, ""),
    "no start": ("POST", SESSIONS, b"{}", {}, 422, "start: Field required"),
    "a start elsewhere": ("POST", SESSIONS, start(start="../../../etc/passwd"), {}, 422, "a start of street"),
    "a start of bytes": ("POST", SESSIONS, b'{"start": "\\u0000/etc"}', {}, 422, "a start of street"),
    "a long start": ("POST", SESSIONS, start(start="x" * 600), {}, 422, "start: String should have at most 500"),
    "an unknown option": ("POST", SESSIONS, start(weather="rain"), {}, 422, "weather: Extra inputs"),
    "a seed of words": ("POST", SESSIONS, start(seed="one"), {}, 422, "seed: "),
    "a seed of nothing": ("POST", SESSIONS, start(seed=None), {}, 422, "seed: "),
    "a negative seed": ("POST", SESSIONS, start(seed=-1), {}, 422, "seed: "),
    "a huge seed": ("POST", SESSIONS, start(seed=10**30), {}, 422, "seed: "),
    "an unknown sense": ("POST", SESSIONS, start(observation=["radar"]), {}, 422, "observations of numbers"),
    "many senses": ("POST", SESSIONS, start(observation=["numbers"] * 9), {}, 422, "observation: "),
    "no such session": ("POST", f"{SESSIONS}/none/step", b'{"actions": [[0, 0]]}', {}, 404, "open session"),
    "a session elsewhere": ("GET", f"{SESSIONS}/..%2f..%2fetc/log", None, {}, 404, ""),
    "a long name": ("GET", f"{SESSIONS}/{'a' * 5000}/log", None, {}, 404, "open session"),
}


def test_the_schema_tells_of_every_route(address: str) -> None:
    status, content = ask(address, "GET", "/v1/openapi.json")
    assert status == 200
    assert f"{SESSIONS}/{{session}}/branch" in content["paths"]
    assert {"StartSession", "StepChunk"} <= set(content["components"]["schemas"])


def alive(address: str) -> None:
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", "/health")
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())["status"] == "ok"
    connection.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_get_a_clear_answer_and_the_server_lives(name: str, address: str) -> None:
    method, path, body, headers, status, words = HOSTILE[name]
    before = len(SERVICE)
    try:
        got, content = ask(address, method, path, body, headers)
    except (http.client.HTTPException, ConnectionError, json.JSONDecodeError):
        assert status is None  # what is no HTTP is answered by the server's own parser
    else:
        assert got == status or (status is None and 400 <= got < 500)
        assert words in content["error"]
        assert "\n" not in content["error"]
        assert "Traceback" not in content["error"]
    assert len(SERVICE) == before
    alive(address)


STEPS = {
    "nan": (b'{"actions": [[NaN, 0]]}', 422, "actions.0.0"),
    "infinity": (b'{"actions": [[0, Infinity]]}', 422, "actions.0.1"),
    "a huge number": (b'{"actions": [[1e999, 0]]}', 422, "actions.0.0"),
    "far": (b'{"trajectory": [[1e9, 0, 0]]}', 422, "finite numbers in a chunk"),
    "words": (b'{"actions": [["left", 0]]}', 422, "actions.0.0"),
    "three numbers": (b'{"actions": [[0, 0, 0]]}', 422, "actions.0"),
    "nothing": (b"{}", 422, "either actions or a trajectory"),
    "empty": (b'{"actions": []}', 422, "1 to 8 frames"),
    "both": (b'{"actions": [[0, 0]], "trajectory": [[1, 0, 0]]}', 422, "either actions or a trajectory"),
    "too long": (json.dumps({"actions": [[0, 0]] * 9}).encode(), 422, "1 to 8 frames, got 9"),
    "more": (b'{"actions": [[0, 0]], "teleport": true}', 422, "teleport: Extra inputs"),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_bad_step_moves_nothing(name: str, address: str, client: Client) -> None:
    body, status, words = STEPS[name]
    session = client.start_session("street").session
    got, content = ask(address, "POST", f"{SESSIONS}/{session}/step", body)
    assert (got, words in content["error"]) == (status, True), content
    assert client.metrics(session)["seconds"] == 0.0
    client.close_session(session)
    alive(address)


def test_a_body_that_grows_or_never_comes_is_cut_off(address: str) -> None:
    host, port = address.split(":")
    head = f"POST {SESSIONS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
        for _ in range(6):
            line.sendall(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        assert b" 413 " in line.recv(4096).split(b"\r\n")[0]
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall((head + "Content-Length: 100\r\n\r\n{").encode())
        assert b" 408 " in line.recv(4096).split(b"\r\n")[0]
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        line.recv(4096)
    alive(address)


def test_there_is_room_for_so_many_and_no_more(client: Client) -> None:
    opened = [client.start_session("street").session for _ in range(12)]
    with pytest.raises(ServerError, match="503: all 12 sessions") as refused:
        client.start_session("street")
    assert refused.value.status == 503
    for session in opened:
        client.close_session(session)
    client.close_session(client.start_session("street").session)


def test_whoever_is_too_fast_is_told_to_wait() -> None:
    for address in served(Gate(TOKEN, rate=5.0)):
        answers = [ask(address, "GET", "/v1/version")[0] for _ in range(8)]
        assert answers.count(200) >= 5
        assert 429 in answers
        alive(address)


def test_many_at_once_are_served_without_an_error(address: str) -> None:
    result = load_test(f"http://{address}", TOKEN, clients=4, steps=3)
    assert result.errors == 0
    assert len(result.seconds) == 12
    assert len(SERVICE) == 0


def test_a_client_says_what_went_wrong(address: str) -> None:
    with Client(f"http://{address}", "another") as stranger, pytest.raises(ServerError, match="401: expected the head"):
        stranger.starts()
    with Client("http://127.0.0.1:9", TOKEN) as lost, pytest.raises(ServerError, match="no answer from"):
        lost.health()
    with Client(f"http://{address}", TOKEN) as one, pytest.raises(InputError, match="a start of street"):
        one.start_session("moon")
