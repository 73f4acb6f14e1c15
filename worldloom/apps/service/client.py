"""Whoever drives from elsewhere: the calls of `SessionService`, over HTTP."""

import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from worldloom.apps.service.sessions import Frame, Started
from worldloom.apps.service.wire import array_from_json
from worldloom.errors import InputError, require

MAX_ANSWER = 512 << 20  # bytes that are read of an answer


class ServerError(RuntimeError):
    """The server refused, for a reason that the caller cannot mend or that passes."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"{status}: {words}")
        self.status = status


class Client:
    """A connection to `worldloom serve`. Close it, or use `with`; one thread at a time.

    Raises:
        InputError: from any call, where the server says that what was asked cannot be.
        ServerError: it has no room, wants another token, or answers something else than it should.
        MissingExtra: httpx is not installed.
    """

    def __init__(self, url: str, token: str, timeout: float = 120.0) -> None:
        httpx = require("httpx", "serve", "the client")
        self._errors = httpx.HTTPError
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=timeout)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; sessions stay open."""
        self._http.close()

    def health(self) -> dict[str, Any]:
        """What the server says of itself."""
        return self._ask("GET", "/health")

    def starts(self) -> tuple[str, ...]:
        """The names of what may be started."""
        return tuple(self._ask("GET", "/v1/starts")["starts"])

    def start_session(
        self, start: str, seed: int = 0, observation: Sequence[str] = ("numbers",), timestamp_us: int = 0
    ) -> Started:
        """See `SessionService`."""
        message = {"start": start, "seed": seed, "observation": list(observation), "timestamp_us": timestamp_us}
        return _started(self._ask("POST", "/v1/sessions", message))

    def step_chunk(
        self,
        session: str,
        actions: Sequence[Sequence[float]] | None = None,
        trajectory: Sequence[Sequence[float]] | None = None,
    ) -> list[Frame]:
        """See `SessionService`."""
        answer = self._ask("POST", f"/v1/sessions/{session}/step", {"actions": actions, "trajectory": trajectory})
        return [_frame(frame) for frame in answer["frames"]]

    def branch(
        self,
        session: str,
        actions: Sequence[Sequence[Sequence[float]]] | None = None,
        trajectories: Sequence[Sequence[Sequence[float]]] | None = None,
    ) -> list[list[Frame]]:
        """See `SessionService`."""
        message = {"actions": actions, "trajectories": trajectories}
        answer = self._ask("POST", f"/v1/sessions/{session}/branch", message)
        return [[_frame(frame) for frame in frames] for frames in answer["branches"]]

    def fork(self, session: str, seed: int | None = None) -> Started:
        """See `SessionService`."""
        return _started(self._ask("POST", f"/v1/sessions/{session}/fork", {"seed": seed}))

    def metrics(self, session: str) -> dict[str, float | None]:
        """See `SessionService`; what is infinite is None."""
        return self._ask("GET", f"/v1/sessions/{session}/metrics")

    def log(self, session: str) -> dict[str, Any]:
        """See `SessionService`."""
        return self._ask("GET", f"/v1/sessions/{session}/log")

    def close_session(self, session: str) -> None:
        """See `SessionService`."""
        self._ask("DELETE", f"/v1/sessions/{session}")

    def _ask(self, method: str, path: str, message: dict[str, Any] | None = None) -> dict[str, Any]:
        raw = bytearray()
        try:
            with self._http.stream(method, path, json=message) as answer:
                for part in answer.iter_bytes():
                    raw += part
                    if len(raw) > MAX_ANSWER:
                        raise ServerError(answer.status_code, f"an answer of more than {MAX_ANSWER} bytes")
        except self._errors as error:
            raise ServerError(0, f"no answer from {self._http.base_url} ({error})") from error
        try:
            content = json.loads(raw)
        except ValueError as error:
            raise ServerError(answer.status_code, f"expected JSON, got {bytes(raw[:80])!r}") from error
        if answer.is_success and isinstance(content, dict):
            return content
        words = content.get("error", content) if isinstance(content, dict) else str(content)[:200]
        if answer.status_code in (404, 422):
            raise InputError(str(words))
        raise ServerError(answer.status_code, str(words))


def _started(answer: dict[str, Any]) -> Started:
    return Started(answer["session"], answer["start"], answer["seed"], _frame(answer["frame"]))


def _frame(value: dict[str, Any]) -> Frame:
    ego = value["ego"]
    return Frame(
        value["timestamp_us"],
        (ego["x"], ego["y"], ego["yaw"], ego["speed"]),
        value["contact"],
        value["astray"],
        value["progress"],
        {name: array_from_json(array) for name, array in value["observations"].items()},
    )
