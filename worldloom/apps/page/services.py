"""What the tabs of the page share."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldloom.apps.page import shown
from worldloom.apps.page.jobs import Job, Jobs
from worldloom.apps.page.visitors import COOKIE, Visitors
from worldloom.apps.page.walks import Walks
from worldloom.errors import InputError

_TICK = 0.4  # seconds


@dataclass(frozen=True)
class Services:
    """Of one server."""

    visitors: Visitors
    jobs: Jobs
    walks: Walks
    clips: dict[str, Path]  # that the server offers, by name

    def visitor(self, request: Any) -> str:
        """The cookie of whoever asks.

        Raises:
            InputError: the browser keeps no cookies.
        """
        cookie = dict(request.cookies).get(COOKIE)
        if not self.visitors.knows(cookie):
            raise InputError("expected a browser that keeps this page's cookie; allow it and load the page again")
        return str(cookie)

    async def watched(self, job: Job, stages: tuple[str, ...]) -> AsyncIterator[str]:
        """Progress in HTML, whenever it changes, until the job is over; at last what became of it, "" if it is done."""
        before = ""
        while not job.over:
            now = await asyncio.to_thread(shown.progress, job, self.jobs.before(job), stages)
            if now != before:
                yield now
                before = now
            await asyncio.sleep(_TICK)
        if job.state == "failed":
            yield shown.error(job.message)
        else:
            yield '<div role="status">Cancelled; nothing was kept.</div>' if job.state == "cancelled" else ""
