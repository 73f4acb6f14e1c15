"""The tab with all that a visitor has made."""

from typing import Any

import gradio as gr

from worldloom.apps.page import shown
from worldloom.apps.page.job_controls import QUIET
from worldloom.apps.page.services import Services
from worldloom.errors import InputError


class WorldsTab:
    """See the module."""

    def __init__(self, services: Services, tab: Any) -> None:
        self._services = services
        self.cards = gr.HTML(shown.cards([]), elem_id="worlds")
        with gr.Row():
            self.choice = gr.Dropdown([], label="Delete one of them", scale=3, elem_id="delete-choice")
            delete = gr.Button("Delete", scale=1, elem_id="delete")
        outputs = [self.cards, self.choice]
        tab.select(self._list, None, outputs, **QUIET)
        delete.click(self._delete, self.choice, outputs, **QUIET)

    def _list(self, request: gr.Request) -> tuple:
        try:
            pieces = self._services.visitors.pieces(self._services.visitor(request))
        except InputError as error:
            return shown.error(error), gr.update(choices=[], value=None)
        choices = [(f"{piece.title} ({piece.kind})", piece.name) for piece in pieces]
        return shown.cards(pieces), gr.update(choices=choices, value=None)

    def _delete(self, name: str | None, request: gr.Request) -> tuple:
        mine = self._services.visitors.pieces(self._services.visitor(request))
        for piece in mine:
            if piece.name == name:
                self._services.visitors.remove(piece)
        return self._list(request)
