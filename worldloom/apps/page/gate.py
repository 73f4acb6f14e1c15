"""What stands before the page: a password if there is one, a cookie for each visitor, and limits."""

import asyncio
import base64
import binascii
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from worldloom.apps.page.visitors import COOKIE, Visitors

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

UPLOAD_BYTES = 200_000_000  # of one file
_BODY_BYTES = 2_000_000  # of any other request
_UPLOAD = "/gradio_api/upload"
_WRONG_SECONDS = 0.5  # before a wrong password is answered
# Nothing is fetched from, or sent to, anybody else; nobody else frames the page.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'; base-uri 'self'; "
    "form-action 'self'; object-src 'none'"
)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"content-security-policy", _POLICY.encode()),
]


class Gate:
    """ASGI middleware. A refusal is one line of text."""

    def __init__(self, app: App, visitors: Visitors, auth: tuple[str, str] | None) -> None:
        self._app, self._visitors, self._auth = app, visitors, auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        known = self._visitors.knows(cookie_of(headers))
        if scope["type"] == "websocket":
            # Browsers send no password with it. Who has a cookie has told the password before.
            if known or self._let_in(headers):
                await self._app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 4401})
            return
        if not self._let_in(headers):
            if headers.get(b"authorization"):
                await asyncio.sleep(_WRONG_SECONDS)
            words = "expected the user name and the password of this page"
            await _refuse(send, 401, words, [(b"www-authenticate", b'Basic realm="worldloom", charset="UTF-8"')])
            return
        limit = UPLOAD_BYTES + _BODY_BYTES if scope["path"].startswith(_UPLOAD) else _BODY_BYTES
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > limit:
            await _refuse(send, 413, f"expected at most {limit} bytes, got {length.decode('latin-1')[:20]}")
            return
        added = list(_HEADERS)
        if not known and scope["method"] == "GET" and scope["path"] == "/":
            kept = f"{COOKIE}={self._visitors.new_cookie()}; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000"
            added.append((b"set-cookie", kept.encode()))
        await self._app(scope, _limited(receive, limit), _with_headers(send, added))

    def _let_in(self, headers: MutableMapping[bytes, bytes]) -> bool:
        if self._auth is None:
            return True
        scheme, _, told = headers.get(b"authorization", b"").partition(b" ")
        try:
            given = base64.b64decode(told.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        wanted = f"{self._auth[0]}:{self._auth[1]}".encode()
        return scheme.lower() == b"basic" and secrets.compare_digest(given, wanted)


def cookie_of(headers: MutableMapping[bytes, bytes]) -> str | None:
    """The visitor's cookie among the headers of a request, names in small letters; nobody has checked it."""
    try:
        jar = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return None
    return jar[COOKIE].value if COOKIE in jar else None


def _limited(receive: Receive, limit: int) -> Receive:
    """As `receive`, for a body without a length; one that is too long ends as if the browser had gone."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return {"type": "http.disconnect"} if taken > limit else message

    return limited


def _with_headers(send: Send, added: list[tuple[bytes, bytes]]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return sending


async def _refuse(send: Send, status: int, words: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    body = f"{words}\n".encode()
    start = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*start, *_HEADERS, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
