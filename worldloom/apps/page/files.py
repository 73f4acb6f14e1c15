"""Files of results, for who knows the name of the piece of work they belong to."""

import mimetypes
import os
import tempfile
from pathlib import Path
from typing import Any

from worldloom.apps.page.archives import pack
from worldloom.apps.page.jobs import Jobs
from worldloom.apps.page.visitors import COOKIE, DOWNLOAD, RESULT, Visitors
from worldloom.apps.run_folder import RunProgress
from worldloom.errors import InputError
from worldloom.geometry.io import safe_join

PREFIX = "/files"
# Shown in the page; everything else is only handed over.
_SHOWN_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4", ".html": "text/html"}
PREVIEWS = ("preview.png", "coverage.png", "distance.png", "panorama.png")  # the latest stage first


def add_routes(app: Any, visitors: Visitors, jobs: Jobs) -> None:
    """Downloads: `/files/PIECE/PATH`, all of a piece as `/zip/PIECE`, and what a job has drawn so far."""
    from fastapi import Request, Response
    from fastapi.responses import FileResponse, PlainTextResponse
    from starlette.background import BackgroundTask

    def missing() -> Response:
        return PlainTextResponse("expected a file of a result that is still kept, got none\n", 404)

    @app.get(PREFIX + "/{name}/{path:path}")
    def file(name: str, path: str) -> Response:
        piece = visitors.find(name)
        if piece is None:
            return missing()
        try:
            path_in_it = safe_join(piece.folder, path)
            hidden = any(part.startswith(".") for part in Path(path).parts)
            found = path_in_it if path_in_it.is_file() and not hidden else None
        except (InputError, OSError, ValueError):  # a name that leads out, or is too long
            found = None
        if found is None:
            return missing()
        kind = _SHOWN_TYPES.get(found.suffix.lower())
        if kind is not None:
            return FileResponse(found, media_type=kind)
        guessed = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        return FileResponse(found, media_type=guessed, filename=found.name)

    @app.get("/zip/{name}")
    def whole(name: str) -> Response:
        piece = visitors.find(name)
        if piece is None or not piece.finished:
            return missing()
        handle, temporary = tempfile.mkstemp(".zip", DOWNLOAD, visitors.runs)
        os.close(handle)
        archive = Path(temporary)
        pack(piece.folder, archive, f"worldloom-{piece.kind}")
        removal = BackgroundTask(lambda: archive.unlink(missing_ok=True))
        return FileResponse(
            archive, media_type="application/zip", filename=f"worldloom-{piece.kind}.zip", background=removal
        )

    @app.get("/job/{name}/preview")
    def preview(name: str, request: Request) -> Response:
        job = jobs.find(request.cookies.get(COOKIE) or "", name)
        picture = None if job is None else latest_preview(job.folder)
        return missing() if picture is None else FileResponse(picture, headers={"Cache-Control": "no-store"})


def latest_preview(folder: Path) -> Path | None:
    """What the run in a piece's folder has drawn last, also while it is under way."""
    out = folder / RESULT
    for place in (out, RunProgress.of(out).folder):
        for name in PREVIEWS:
            if (place / name).is_file():
                return place / name
    return None
