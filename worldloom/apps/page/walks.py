"""Viewers that are open, and the way to them: each stands behind a name that cannot be guessed, on the page's port."""

import asyncio
import secrets
import threading
import urllib.request
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from worldloom.apps.walk import Viewer
from worldloom.apps.walk.viewer import FUTURE

MOST_OPEN = 8  # viewers; each holds a scene in memory
PREFIX = "/walk"


class Walks:
    """Viewers listen on this machine alone; browsers reach them through the page."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Viewer] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, result: Path, server_render: bool, futures: Sequence[str] = (FUTURE,)) -> str:
        """A viewer of a result; returns its name. Beyond MOST_OPEN, the oldest is closed.

        Raises:
            InputError: the result cannot be shown.
        """
        viewer = Viewer(server_render=server_render)
        try:
            viewer.show_result(result, futures)
        except BaseException:
            viewer.stop()
            raise
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._open[name] = viewer
            closing = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - MOST_OPEN)]
        for old in closing:
            old.stop()
        return name

    def find(self, name: str | None) -> Viewer | None:
        """The open viewer of that name."""
        with self._lock:
            return self._open.get(name or "")

    def close(self, name: str | None) -> None:
        """Close a viewer, if it is open."""
        with self._lock:
            viewer = self._open.pop(name or "", None)
        if viewer is not None:
            viewer.stop()

    def close_all(self) -> None:
        for name in list(self._open):
            self.close(name)


def add_routes(app: Any, walks: Walks) -> None:
    """Let `app`, a FastAPI one, pass browsers on to the viewers."""
    import websockets
    from fastapi import Response, WebSocket
    from fastapi.responses import RedirectResponse

    @app.get(PREFIX + "/{name}")
    def slash(name: str) -> Response:
        return RedirectResponse(f"{PREFIX}/{name}/") if walks.find(name) else _gone()

    @app.get(PREFIX + "/{name}/")
    def client(name: str) -> Response:
        """viser's page, which is one file."""
        viewer = walks.find(name)
        if viewer is None:
            return _gone()
        asked = urllib.request.Request(f"http://127.0.0.1:{viewer.port}/", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(asked, timeout=20) as answer:
            headers = {"Content-Encoding": answer.headers["Content-Encoding"], "Cache-Control": "no-store"}
            return Response(answer.read(), media_type="text/html", headers=headers)

    # viser's page connects to its own address without the slash.
    @app.websocket(PREFIX + "/{name}")
    async def connect(browser: WebSocket, name: str) -> None:
        viewer = walks.find(name)
        spoken = browser.headers.get("sec-websocket-protocol", "")
        protocols = [websockets.Subprotocol(one.strip()) for one in spoken.split(",") if one.strip()]
        if viewer is None:
            await browser.close(4404)
            return
        try:
            address = f"ws://127.0.0.1:{viewer.port}"
            async with websockets.connect(
                address, subprotocols=protocols or None, compression=None, max_size=None, proxy=None
            ) as server:
                await browser.accept(server.subprotocol)
                await _pass_on(browser, server)
        except (OSError, websockets.WebSocketException):  # the viewer was closed
            with suppress(RuntimeError):
                await browser.close(1001)


async def _pass_on(browser: Any, server: Any) -> None:
    """Both ways, until one side ends."""
    import websockets
    from starlette.websockets import WebSocketDisconnect

    async def up() -> None:
        while True:
            message = await browser.receive()
            if message["type"] == "websocket.disconnect":
                return
            await server.send(message["bytes"] if message.get("bytes") is not None else message["text"])

    async def down() -> None:
        async for message in server:
            await (browser.send_bytes(message) if isinstance(message, bytes) else browser.send_text(message))

    tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            expected = (
                asyncio.CancelledError,
                websockets.WebSocketException,
                WebSocketDisconnect,
                RuntimeError,
                OSError,
            )
            if isinstance(outcome, BaseException) and not isinstance(outcome, expected):
                raise outcome


def _gone() -> Any:
    from fastapi.responses import PlainTextResponse

    return PlainTextResponse("expected a view that is open; open its scene again\n", 404)
