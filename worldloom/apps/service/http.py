"""Sessions over HTTP, with JSON in and out.

    GET    /health                      no token; says that the server lives
    GET    /v1/version, /v1/starts
    POST   /v1/sessions                 {start, seed, observation, timestamp_us} -> session and first frame
    POST   /v1/sessions/NAME/step       {actions} or {trajectory} -> frames
    POST   /v1/sessions/NAME/branch     {actions} or {trajectories} -> frames of each; the session stays where it is
    POST   /v1/sessions/NAME/fork       {seed} -> a second session
    GET    /v1/sessions/NAME/metrics, /v1/sessions/NAME/log
    DELETE /v1/sessions/NAME

A refusal is {"error": one line}: 400 no JSON, 401 token, 404 no such session, 413 too large, 415 no JSON by its header,
422 values that cannot be, 429 too fast, 503 no room. `/v1/openapi.json` tells all this from the messages' types; no
page draws it, since FastAPI's fetches its scripts from elsewhere and could not send the token.
"""

import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from worldloom import __version__
from worldloom.apps.service.guard import App, Gate, Guard
from worldloom.apps.service.messages import BranchChunks, ForkSession, StartSession, StepChunk
from worldloom.apps.service.sessions import Busy, Frame, SessionService, Started, UnknownSession
from worldloom.apps.service.wire import array_to_json
from worldloom.errors import InputError

T = TypeVar("T")
MAX_WAITING = 64  # requests that wait for the world


def make_app(service: SessionService, gate: Gate) -> App:
    """The ASGI application."""
    app = FastAPI(title="worldloom", version=__version__, openapi_url="/v1/openapi.json", docs_url=None, redoc_url=None)
    waiting = threading.BoundedSemaphore(MAX_WAITING)

    def ask(call: Callable[[], T]) -> T:
        """Call the service, unless too many wait for it already."""
        if not waiting.acquire(blocking=False):
            raise Busy(f"{MAX_WAITING} requests are waiting already")
        try:
            return call()
        finally:
            waiting.release()

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "sessions": len(service), **service.version()}

    @app.get("/v1/version")
    def version() -> dict[str, Any]:
        return dict(service.version())

    @app.get("/v1/starts")
    def starts() -> dict[str, Any]:
        return {"starts": list(service.starts())}

    @app.post("/v1/sessions", status_code=201)
    def start_session(message: StartSession) -> JSONResponse:
        done = ask(
            lambda: service.start_session(message.start, message.seed, message.observation, message.timestamp_us)
        )
        return JSONResponse(_started(done), 201)

    @app.post("/v1/sessions/{session}/step")
    def step_chunk(session: str, message: StepChunk) -> JSONResponse:
        frames = ask(lambda: service.step_chunk(session, message.actions, message.trajectory))
        return JSONResponse({"frames": [_frame(frame) for frame in frames]})

    @app.post("/v1/sessions/{session}/branch")
    def branch(session: str, message: BranchChunks) -> JSONResponse:
        chunks = ask(lambda: service.branch(session, message.actions, message.trajectories))
        return JSONResponse({"branches": [[_frame(frame) for frame in frames] for frames in chunks]})

    @app.post("/v1/sessions/{session}/fork", status_code=201)
    def fork(session: str, message: ForkSession) -> JSONResponse:
        return JSONResponse(_started(ask(lambda: service.fork(session, message.seed))), 201)

    @app.get("/v1/sessions/{session}/metrics")
    def metrics(session: str) -> JSONResponse:
        numbers = ask(lambda: service.metrics(session))
        # JSON has no infinity: nobody near is null.
        return JSONResponse({name: value if math.isfinite(value) else None for name, value in numbers.items()})

    @app.get("/v1/sessions/{session}/log")
    def log(session: str) -> JSONResponse:
        return JSONResponse(ask(lambda: service.log(session)))

    @app.delete("/v1/sessions/{session}")
    def close_session(session: str) -> JSONResponse:
        ask(lambda: service.close_session(session))
        return JSONResponse({"closed": session})

    def refuse(status: int) -> Callable[[Request, Exception], JSONResponse]:
        return lambda request, error: _error(status, str(error))

    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return _error(400, f"expected JSON, got something else: {first.get('ctx', {}).get('error', '')}")
        place = ".".join(str(part) for part in first["loc"] if part != "body") or "the message"
        return _error(422, f"{place}: {first['msg']}")

    def unknown(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return _error(error.status_code, f"{request.method} {request.url.path[:80]}: {error.detail}")

    app.add_exception_handler(UnknownSession, refuse(404))
    app.add_exception_handler(InputError, refuse(422))
    app.add_exception_handler(Busy, refuse(503))
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unknown)
    return Guard(app, gate)  # pyright: ignore[reportArgumentType]  # starlette's types are narrower than ASGI's


def _error(status: int, words: str) -> JSONResponse:
    headers = {"retry-after": "1"} if status == 503 else None
    return JSONResponse({"error": " ".join(words.split())[:500]}, status, headers)


def _started(started: Started) -> dict[str, Any]:
    return {
        "session": started.session,
        "start": started.start,
        "seed": started.seed,
        "frame": _frame(started.frame),
    }


def _frame(frame: Frame) -> dict[str, Any]:
    x, y, yaw, speed = frame.ego
    return {
        "timestamp_us": frame.timestamp_us,
        "ego": {"x": x, "y": y, "yaw": yaw, "speed": speed},
        "contact": frame.contact,
        "astray": frame.astray,
        "progress": frame.progress,
        "observations": {name: array_to_json(array) for name, array in frame.observations.items()},
    }
