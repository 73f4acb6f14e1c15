"""What stands before the routes: a token, a limit of rate, and a limit of what is read."""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
OPEN = ("/health",)  # paths that need no token


@dataclass(frozen=True)
class Gate:
    """What is let through."""

    token: str
    body_bytes: int = 1 << 20  # of a request
    body_seconds: float = 10.0  # in which a request must have come
    rate: float = 200.0  # requests a second, with bursts of a second's worth


class Guard:
    """ASGI middleware. A refusal is JSON with one line in `error`."""

    def __init__(self, app: App, gate: Gate) -> None:
        self._app, self._gate = app, gate
        self._left, self._then = gate.rate, time.monotonic()
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        try:
            async with asyncio.timeout(self._gate.body_seconds):
                body = await self._body(receive)
        except TimeoutError:
            await _refuse(send, 408, f"expected the whole body within {self._gate.body_seconds:g} s")
            return
        if body is None:
            await _refuse(send, 413, f"expected a body of at most {self._gate.body_bytes} bytes, got more")
            return
        given = False

        async def once() -> MutableMapping[str, Any]:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, once, send)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """Status and words, before anything of the body is read."""
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not secrets.compare_digest(token.strip(), self._gate.token.encode()):
            return 401, "expected the header Authorization: Bearer TOKEN with this server's token"
        if not self._taken():
            return 429, f"expected at most {self._gate.rate:g} requests a second"
        if scope["method"] in ("POST", "PUT", "PATCH"):
            kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
            if kind != b"application/json":
                return 415, f"expected the content type application/json, got {kind.decode('latin-1')[:60]!r}"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._gate.body_bytes:
            return 413, f"expected a body of at most {self._gate.body_bytes} bytes, got {length.decode('latin-1')[:20]}"
        return None

    def _taken(self) -> bool:
        """Take one from the bucket that fills at the rate."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._gate.rate, self._left + (now - self._then) * self._gate.rate)
            self._then = now
            if self._left < 1:
                return False
            self._left -= 1
            return True

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; None if it is longer than what is read."""
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._gate.body_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)


async def _refuse(send: Send, status: int, words: str) -> None:
    content = json.dumps({"error": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
