"""The part of a tab in which a result is walked through."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from worldloom.apps.page import shown
from worldloom.apps.page.services import Services
from worldloom.apps.walk.viewer import FUTURE


class WalkPane:
    """One viewer of each window: what was open in it before is closed."""

    def __init__(self, services: Services, on_server: Any, name: str, words: str = "") -> None:
        """
        Args:
            on_server: the page's switch for browsers without a GPU.
            name: id of the element.
            words: that stand there at first.
        """
        self._walks = services.walks
        self._walk = gr.State(None, delete_callback=services.walks.close)
        self._view = gr.HTML(shown.empty(words) if words else "", elem_id=name)
        self.inputs, self.outputs = [self._walk, on_server], [self._view, self._walk]
        on_server.change(self._switch, self.inputs, None, queue=False, api_visibility="private")

    def opened(
        self, result: Path, walk: str | None, on_server: bool, futures: Sequence[str] = (FUTURE,)
    ) -> tuple[str, str]:
        """Values of `outputs`, from those of `inputs`.

        Args:
            futures: files of a drive's result to walk in, side by side.
        Raises:
            InputError: nothing to walk in is there.
        """
        self._walks.close(walk)
        name = self._walks.open(result, on_server, futures)
        return shown.walk_frame(name), name

    def closed(self, walk: str | None) -> tuple[str, None]:
        """Values of `outputs` of an empty pane."""
        self._walks.close(walk)
        return "", None

    def _switch(self, walk: str | None, on_server: bool) -> None:
        viewer = self._walks.find(walk)
        if viewer is not None:
            viewer.server_render = on_server
