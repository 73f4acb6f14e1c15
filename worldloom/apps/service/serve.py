"""`worldloom serve`: drives in the learned world over HTTP."""

import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from worldloom.apps.free_port import check_free
from worldloom.errors import InputError, require

TOKEN_VARIABLE = "WORLDLOOM_TOKEN"
_LEAST_TOKEN = 16  # characters


def serve(
    clips: Sequence[Path],
    model: str,
    host: str,
    port: int,
    sessions: int,
    rate: float,
    memory_gb: float,
) -> None:
    """Serve until interrupted.

    The token is that of the environment variable WORLDLOOM_TOKEN; if there is none, a new one is made and printed.

    Raises:
        InputError: an address, clips, a model, a token or limits that cannot be.
        MissingExtra: FastAPI or uvicorn is not installed.
    """
    uvicorn = require("uvicorn", "serve", "worldloom serve")
    require("fastapi", "serve", "worldloom serve")
    from worldloom.apps.service.guard import Gate
    from worldloom.apps.service.http import make_app
    from worldloom.apps.service.sessions import Limits, SessionService
    from worldloom.occupancy.simulation.clip_starts import starts_of
    from worldloom.occupancy.simulation.model_world import ModelWorld
    from worldloom.occupancy.simulation.simulation import Simulation
    from worldloom.occupancy.world_model import WorldModel

    check_free(host, port, "session")
    if not 0 < rate <= 1e6 or not 0.5 <= memory_gb <= 1e6:
        raise InputError(f"expected a rate above 0 and a memory of 0.5 GB or more, got {rate} and {memory_gb}")
    token = os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)
    if len(token) < _LEAST_TOKEN or not token.isascii():
        raise InputError(f"expected {TOKEN_VARIABLE} to have at least {_LEAST_TOKEN} ASCII characters")
    limits = Limits(sessions=sessions, memory_bytes=int(memory_gb * 2**30))
    starts = {start.name: start for start in starts_of(list(clips) or None)}
    world = ModelWorld(WorldModel.from_pretrained(model))
    app = make_app(SessionService(Simulation(world), starts, limits), Gate(token, rate=rate))
    print(f"worldloom: {len(starts)} starts at http://{host}:{port}, described in /v1/openapi.json", file=sys.stderr)
    if not os.environ.get(TOKEN_VARIABLE):
        print(f"worldloom: token {token}", file=sys.stderr)
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_keep_alive=10, limit_concurrency=256)
