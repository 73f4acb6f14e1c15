"""A kind of job on the page: the buttons that start and cancel it, its progress, and what it leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import gradio as gr

from worldloom.apps.page import shown
from worldloom.apps.page.jobs import Job
from worldloom.apps.page.services import Services
from worldloom.apps.page.visitors import Piece
from worldloom.errors import InputError

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}  # for all events of the page


class JobControls:
    """See the module. Making one lays the buttons and the status out; `connect` says what they do."""

    def __init__(self, services: Services, name: str, label: str, stages: Callable[[Job], Sequence[str]]) -> None:
        """
        Args:
            name: of the kind of piece that is made; elements are start-NAME, cancel-NAME and NAME-status.
            label: of the button that starts.
            stages: of a job, as its progress tells them.
        """
        self._services, self._kind, self._stages = services, name, stages
        self.job = gr.State(None)
        with gr.Row():
            self._start = gr.Button(label, variant="primary", elem_id=f"start-{name}")
            self._cancel = gr.Button("Cancel", interactive=False, elem_id=f"cancel-{name}")
        self.status = gr.HTML("", elem_id=f"{name}-status")
        self._cancel.click(self._stop, self.job, None, queue=False, **QUIET)

    def connect(
        self,
        submit: Callable[..., Job],
        inputs: Sequence[Any],
        show: Callable[..., tuple],
        show_inputs: Sequence[Any],
        outputs: Sequence[Any],
    ) -> None:
        """Say what happens.

        Args:
            submit: called with the visitor's cookie and the values of `inputs`; may raise InputError or OSError.
            show: called in a thread with the finished piece and the values of `show_inputs`; returns what the status
                says and the values of `outputs`. May raise InputError.
        """
        self._submit, self._show = submit, show
        self._show_inputs, self._outputs = list(show_inputs), list(outputs)
        self._buttons = [self.status, self._start, self._cancel]
        asked = self._start.click(self._ask, list(inputs), [self.job, *self._buttons], **QUIET)
        self.watch_after(asked)

    def watch_after(self, event: Any) -> None:
        """Show the job's progress, and then its result, after an event that has set `job`."""
        inputs, outputs = [self.job, *self._show_inputs], [*self._buttons, *self._outputs]
        event.then(self._watch, inputs, outputs, concurrency_limit=None, **QUIET)

    def show_after(self, event: Any, piece: Any) -> None:
        """Show a finished piece, whose name is in the state `piece`, after an event."""
        event.then(self._show_named, [piece, *self._show_inputs], [*self._buttons, *self._outputs], **QUIET)

    def _ask(self, request: gr.Request, *values: Any) -> tuple:
        try:
            job = self._submit(self._services.visitor(request), *values)
        except (InputError, OSError) as error:
            return None, shown.error(error), gr.update(), gr.update()
        return job.name, "", *_buttons(running=True)

    async def _watch(self, request: gr.Request, name: str | None, *values: Any) -> AsyncIterator[tuple]:
        keep = (gr.update(),) * len(self._outputs)
        job = None if name is None else self._services.jobs.find(self._services.visitor(request), name)
        if job is None:
            yield (gr.update(),) * len(self._buttons) + keep
            return
        said = ""
        async for said in self._services.watched(job, tuple(self._stages(job))):
            yield said, *_buttons(running=True), *keep
        piece = self._services.visitors.find(job.folder.name)
        if job.state != "done" or piece is None:
            yield said, *_buttons(running=False), *keep
            return
        try:
            said, *parts = await asyncio.to_thread(self._show, piece, *values)
        except InputError as error:
            said, parts = shown.error(error), keep
        yield said, *_buttons(running=False), *parts

    def _show_named(self, name: str | None, *values: Any) -> tuple:
        keep = gr.update()
        piece: Piece | None = None if name is None else self._services.visitors.find(name)
        if piece is None or piece.kind != self._kind:
            return (keep,) * (len(self._buttons) + len(self._outputs))
        try:
            said, *parts = self._show(piece, *values)
        except InputError as error:
            said, parts = shown.error(error), (keep,) * len(self._outputs)
        return said, keep, keep, *parts

    def _stop(self, name: str | None, request: gr.Request) -> None:
        job = None if name is None else self._services.jobs.find(self._services.visitor(request), name)
        if job is not None:
            self._services.jobs.cancel(job)


def _buttons(running: bool) -> tuple[Any, Any]:
    """Of Start and Cancel."""
    return gr.update(interactive=not running), gr.update(interactive=running)
