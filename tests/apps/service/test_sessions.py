"""Sessions in one process: chunks in, frames out, limits kept."""

import math
import socket
from pathlib import Path

import numpy as np
import pytest

from tests.occupancy.tiny_world import street_start, tiny_simulation
from worldloom.apps.service.serve import serve
from worldloom.apps.service.sessions import Busy, Limits, SessionService, UnknownSession
from worldloom.apps.service.wire import array_from_json, array_to_json
from worldloom.errors import InputError

SIM, START = tiny_simulation(), street_start()


def service(**limits) -> SessionService:
    return SessionService(SIM, {"street": START}, Limits(**limits))


def same(a, b) -> bool:
    arrays = all(np.array_equal(a.observations[name], b.observations[name]) for name in a.observations)
    return a.timestamp_us == b.timestamp_us and a.ego == b.ego and arrays and a.progress == b.progress


def test_a_session_goes_on_by_chunks() -> None:
    own = service()
    started = own.start_session("street", seed=3, observation=("numbers", "lidar"), timestamp_us=1_700_000_000_000_000)
    assert started.frame.timestamp_us == 1_700_000_000_000_000
    assert set(started.frame.observations) == {"numbers", "lidar"}
    x, y, yaw, speed = started.frame.ego
    assert (x, y, yaw, speed) == (pytest.approx(12.0), pytest.approx(0.0), pytest.approx(0.0), pytest.approx(6.0))
    frames = own.step_chunk(started.session, actions=[(1.0, 0.0), (0.0, 0.02)])
    assert [frame.timestamp_us - 1_700_000_000_000_000 for frame in frames] == [500_000, 1_000_000]
    assert frames[0].ego[3] == pytest.approx(6.5)
    more = own.step_chunk(started.session, actions=[(0.0, 0.0)])
    assert more[0].timestamp_us - frames[-1].timestamp_us == 500_000
    assert own.metrics(started.session)["seconds"] == 1.5
    assert own.log(started.session)["actions"] == [[1.0, 0.0], [0.0, 0.02], [0.0, 0.0]]
    own.close_session(started.session)
    assert len(own) == 0


def test_the_same_seed_and_actions_give_the_same_frames_however_they_are_cut() -> None:
    own = service()
    actions = [(0.5, 0.01), (-1.0, 0.0), (0.0, -0.02)]
    one, other = (own.start_session("street", seed=9).session for _ in range(2))
    whole = own.step_chunk(one, actions=actions)
    parts = [own.step_chunk(other, actions=[action])[0] for action in actions]
    assert all(same(a, b) for a, b in zip(whole, parts, strict=True))
    log = own.log(one)
    again = own.start_session(log["start"], log["seed"]).session
    assert same(own.step_chunk(again, actions=[tuple(row) for row in log["actions"]])[-1], whole[-1])


def test_a_trajectory_is_in_the_frame_before_the_chunk() -> None:
    own = service()
    session = own.start_session("street").session
    own.step_chunk(session, actions=[(0.0, 0.1)])  # the ego now looks to the left
    at = own._sessions[session].state.ego
    path = [(3.0, 0.1, 0.05), (6.0, 0.4, 0.15), (9.0, 0.9, 0.2)]
    frames = own.step_chunk(session, trajectory=path)
    for frame, (ahead, left, _) in zip(frames, path, strict=True):
        x, y = frame.ego[:2]
        c, s = math.cos(at.yaw), math.sin(at.yaw)
        assert c * (x - at.x) + s * (y - at.y) == pytest.approx(ahead, abs=0.05)
        assert c * (y - at.y) - s * (x - at.x) == pytest.approx(left, abs=0.05)


def test_branches_and_forks_leave_a_session_where_it_is() -> None:
    own = service()
    session = own.start_session("street", seed=1).session
    own.step_chunk(session, actions=[(0.0, 0.0)])
    tried = own.branch(session, actions=[[(2.0, 0.0), (2.0, 0.0)], [(-4.0, 0.0), (-4.0, 0.0)]])
    copy = own.fork(session)
    assert same(own.step_chunk(session, actions=[(2.0, 0.0), (2.0, 0.0)])[1], tried[0][1])
    assert same(own.step_chunk(copy.session, actions=[(-4.0, 0.0), (-4.0, 0.0)])[1], tried[1][1])
    assert own.log(copy.session)["actions"] == [[0.0, 0.0], [-4.0, 0.0], [-4.0, 0.0]]
    other = own.fork(copy.session, seed=77)
    assert other.seed == 77


def test_rooms_are_given_to_others_when_nobody_uses_them() -> None:
    own = service(sessions=2, idle_seconds=1000.0)
    first, second = (own.start_session("street").session for _ in range(2))
    with pytest.raises(Busy, match="all 2 sessions"):
        own.start_session("street")
    with pytest.raises(Busy, match="all 2 sessions"):
        own.fork(first)
    own._sessions[first].used -= 2000
    own.start_session("street")
    with pytest.raises(UnknownSession):
        own.metrics(first)
    own.metrics(second)
    with pytest.raises(Busy, match="memory"):
        service(memory_bytes=1).start_session("street")


BAD_STARTS = {
    "another place": ({"start": "../../etc/passwd"}, "a start of street, got '../../etc/passwd'"),
    "seed": ({"seed": -1}, "seed"),
    "observation": ({"observation": ("radar",)}, "observations of numbers"),
    "too many": ({"observation": ("numbers",) * 9}, "at most 8"),
    "time": ({"timestamp_us": -1}, "timestamp"),
}


@pytest.mark.parametrize("name", BAD_STARTS)
def test_bad_starts(name: str) -> None:
    more, words = BAD_STARTS[name]
    own = service()
    with pytest.raises(InputError, match=words):
        own.start_session(**{"start": "street", **more})
    assert len(own) == 0


BAD_CHUNKS = {
    "nothing": ({}, "either actions or a trajectory"),
    "both": ({"actions": [(0.0, 0.0)], "trajectory": [(1.0, 0.0, 0.0)]}, "either actions or a trajectory"),
    "empty": ({"actions": []}, "1 to 4 frames"),
    "long": ({"actions": [(0.0, 0.0)] * 5}, "1 to 4 frames, got 5"),
    "nan": ({"actions": [(0.0, 0.0), (math.nan, 0.0)]}, "finite numbers in a chunk"),
    "infinity": ({"trajectory": [(math.inf, 0.0, 0.0)]}, "finite numbers in a chunk"),
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_bad_chunk_moves_nothing(name: str) -> None:
    more, words = BAD_CHUNKS[name]
    own = service(frames=4)
    session = own.start_session("street").session
    with pytest.raises(InputError, match=words):
        own.step_chunk(session, **more)
    assert own.metrics(session)["seconds"] == 0.0


def test_answers_are_bounded() -> None:
    own = service(answer_bytes=1 << 20, branches=2)
    session = own.start_session("street", observation=("occupancy",)).session
    with pytest.raises(InputError, match="at most 1 MB"):
        own.step_chunk(session, actions=[(0.0, 0.0)] * 2)
    own.step_chunk(session, actions=[(0.0, 0.0)])
    with pytest.raises(InputError, match="1 to 2 chunks"):
        own.branch(session, actions=[[(0.0, 0.0)]] * 3)
    with pytest.raises(UnknownSession, match="open session"):
        own.step_chunk("no such", actions=[(0.0, 0.0)])
    with pytest.raises(InputError, match="limits of 1 or more"):
        Limits(sessions=0)


def test_a_session_ends_after_so_many_frames() -> None:
    own = service(session_frames=3)
    session = own.start_session("street").session
    own.step_chunk(session, actions=[(0.0, 0.0)] * 2)
    with pytest.raises(InputError, match="a session of at most 3 frames, got 4"):
        own.step_chunk(session, actions=[(0.0, 0.0)] * 2)
    own.step_chunk(session, actions=[(0.0, 0.0)])
    assert own.metrics(session)["seconds"] == 1.5


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_arrays_come_back_from_json(dtype: str) -> None:
    array = (np.arange(24).reshape(2, 3, 4) * 1.5).astype(dtype)
    back = array_from_json(array_to_json(array))
    assert np.array_equal(back, array)
    assert back.dtype == array.dtype
    assert back.flags.writeable
    assert array_from_json(array_to_json(np.zeros((0, 3), dtype))).shape == (0, 3)


def bomb() -> dict:
    import base64
    import zlib

    data = base64.b64encode(zlib.compress(bytes(1 << 20), 9)).decode()
    return {"dtype": "uint8", "shape": [10], "data": data}


GOOD = array_to_json(np.zeros(10, np.uint8))
BAD_ARRAYS = {
    "no dict": ([1, 2], "expected an array"),
    "objects": ({**GOOD, "dtype": "object"}, "dtype of uint8"),
    "more": ({**GOOD, "more": 1}, "expected an array"),
    "huge": ({**GOOD, "shape": [100_000, 100_000]}, "at most"),
    "negative": ({**GOOD, "shape": [-1]}, "whole numbers"),
    "many axes": ({**GOOD, "shape": [1] * 9}, "8 axes"),
    "a bomb": (bomb(), "got more"),
    "short": ({**GOOD, "shape": [11]}, "expected 11 bytes"),
    "no base64": ({**GOOD, "data": "!!"}, "base64"),
    "no bytes": ({**GOOD, "data": 7}, "base64"),
    "not compressed": ({**GOOD, "data": "AAAA"}, "base64"),
    "cut": ({**GOOD, "data": GOOD["data"][:8]}, "expected"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_arrays(name: str) -> None:
    value, words = BAD_ARRAYS[name]
    with pytest.raises(InputError, match=words):
        array_from_json(value)


BAD_SERVERS = {
    "port 0": ({"port": 0}, "--port must be 1 to 65535, got 0"),
    "no such host": ({"host": "no.such.host.invalid"}, "no session can be served at no.such.host.invalid:"),
    "no sessions": ({"sessions": 0}, "limits of 1 or more, got sessions 0$"),
    "no rate": ({"rate": 0.0}, "a rate above 0"),
    "memory of nan": ({"memory_gb": math.nan}, "a memory of 0.5 GB or more"),
    "no such clip": ({"clips": [Path("/nowhere.npz")]}, "/nowhere.npz"),
    "no such model": ({"model": "/nowhere"}, "no weights called '/nowhere'"),
}


@pytest.mark.parametrize("name", BAD_SERVERS)
def test_a_server_that_cannot_be_says_why_in_a_line(name: str) -> None:
    pytest.importorskip("uvicorn", reason="serving needs the extra `serve`")
    pytest.importorskip("fastapi", reason="serving needs the extra `serve`")
    more, words = BAD_SERVERS[name]
    usual = {
        "clips": [], "model": "small", "host": "127.0.0.1", "port": unused_port(), "sessions": 1, "rate": 1.0,
        "memory_gb": 1.0,
    }  # fmt: skip
    with pytest.raises(InputError, match=words) as refused:
        serve(**{**usual, **more})
    assert "\n" not in str(refused.value)


def test_a_port_that_is_taken_is_found_out_before_the_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("uvicorn", reason="serving needs the extra `serve`")
    monkeypatch.setattr("worldloom.occupancy.world_model.WorldModel.from_pretrained", lambda _: pytest.fail("loaded"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="Address already in use; try another --port"):
            serve([], "small", "127.0.0.1", taken.getsockname()[1], 1, 1.0, 1.0)


def test_a_token_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("uvicorn", reason="serving needs the extra `serve`")
    monkeypatch.setenv("WORLDLOOM_TOKEN", "short")
    with pytest.raises(InputError, match="at least 16 ASCII characters") as refused:
        serve([], "small", "127.0.0.1", unused_port(), 1, 1.0, 1.0)
    assert "short" not in str(refused.value)


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
