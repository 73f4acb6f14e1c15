"""Environments, branches, and sessions over HTTP."""

import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from worldloom.apps.bench.apps.agreement import agreement_rows
from worldloom.apps.bench.result import Row, cpu_seconds
from worldloom.errors import MissingExtra, require
from worldloom.occupancy.simulation import ModelWorld, ModelWorldConfig, Simulation, Trajectory, starts_of
from worldloom.occupancy.simulation.policies import follow
from worldloom.occupancy.simulation.sensors import Look, sensors_of
from worldloom.occupancy.world_model import WorldModel
from worldloom.synth.traffic.ego import Action

_CANDIDATES = 16
_CLIENTS = 8
_SECONDS = 8.0  # of a drive


def simulation_rows(quick: bool) -> list[Row]:
    """All rows; those whose extras are missing are left out."""
    model = WorldModel.from_pretrained("small")
    found = [*_speed_rows(model, quick), _branch_row(model, quick)]
    for part in (_serve_rows, agreement_rows):
        try:
            found += part(model, quick)
        except MissingExtra as error:
            print(f"left out: {error}")
    return found


def _speed_rows(model: WorldModel, quick: bool) -> list[Row]:
    """Steps a second of CPU of whole drives, resets among them, from starts that were visited before, as in training.

    Of CPU, because whoever else works on the machine changes the wall clock; it stands beside them.
    """
    starts = starts_of(None)[:2] if quick else starts_of(None)[::3]
    usual = Simulation(ModelWorld(model))
    near = Simulation(ModelWorld(model, ModelWorldConfig(reach=15.0)))
    anew = Simulation(ModelWorld(model, ModelWorldConfig(patience=1)))
    _, first = _steps_per_second(usual, starts, "occupancy")
    by_wall, full = _steps_per_second(usual, starts, "occupancy")
    for other in (near, anew):
        for start in starts:
            other.start(start)
    baselines = {
        "by the wall clock": by_wall,
        "first drives from a start": first,
        "others drawn anew every step": _steps_per_second(anew, starts, "occupancy")[1],
        "numbers only": _steps_per_second(near, starts, "numbers")[1],
    }
    note = f"200x200x16 labels each step; {len(starts)} drives of {_SECONDS:g} s of the bundled clip, lane follower"
    camera_wall, camera = _steps_per_second(usual, starts, "cameras")
    seen = {"by the wall clock": camera_wall}
    return [
        Row("env_steps_per_s", full, "1/s of CPU", ">= 20", baselines, note),
        Row("env_steps_per_s_camera", camera, "1/s of CPU", ">= 4", seen, "one camera of 128x72"),
    ]


def _steps_per_second(sim: Simulation[Any, Any], starts: Sequence[Any], observation: str) -> tuple[float, float]:
    """By the wall clock, and of CPU."""
    sensors = sensors_of(observation)
    steps, wall, cpu = 0, time.perf_counter(), cpu_seconds()
    for number, start in enumerate(starts):
        state, driver = sim.start(start, number), follow(8.0)
        for _ in range(round(_SECONDS / 0.5)):
            look = Look(sim, state)
            for sensor in sensors.values():
                sensor(look)
            state = sim.step(state, driver(look.view))
            steps += 1
    return steps / (time.perf_counter() - wall), steps / (cpu_seconds() - cpu)


def _branch_row(model: WorldModel, quick: bool) -> Row:
    """All the states of a drive, and from each of them K candidates: in one call, and one by one, in CPU time."""
    sim = Simulation(ModelWorld(model))
    pedals = [Action(a, k) for a in (-4.0, -1.5, 0.0, 1.5) for k in (-0.03, -0.01, 0.01, 0.03)][:_CANDIDATES]
    state, driver = sim.start(starts_of(None)[3]), follow(8.0)
    states = []
    for _ in range(2 if quick else 8):
        states.append(state)
        state = sim.step(state, driver(sim.view(state)))
    told = [sim.ready(state) for state in states]
    paths = [_path(state.ego.speed, pedal) for state in states[:1] for pedal in pedals[:4]]

    def together(states: Sequence[Any], frames: bool) -> None:
        for state in states:
            for after in sim.branch(state, pedals):
                if frames:
                    sim.occupancy(after)

    def apart(states: Sequence[Any], frames: bool) -> None:
        for state in states:
            for pedal in pedals:
                after = sim.step(state, pedal)
                if frames:
                    sim.occupancy(after)

    def ratio(slow: Callable[[], object], fast: Callable[[], object]) -> float:
        return _cpu(slow) / _cpu(fast)

    return Row(
        "branch_speedup",
        ratio(lambda: apart(states, False), lambda: together(states, False)),
        "x",
        ">= 4",
        {
            "a frame of voxels drawn for each": ratio(lambda: apart(states, True), lambda: together(states, True)),
            "from states made ready before": ratio(lambda: apart(told, False), lambda: together(told, False)),
            "trajectories, each drawn for itself": ratio(
                lambda: [sim.step(states[0], path) for path in paths], lambda: sim.branch(states[0], paths)
            ),
        },
        f"{_CANDIDATES} candidates from each of {len(states)} states that follow one another; what the others do is "
        "drawn once for all candidates of a state, and once for each of them when asked one by one",
    )


def _path(speed: float, pedal: Action) -> Trajectory:
    seconds = 0.5 * torch.arange(1, 9)
    way = (speed * seconds + pedal.acceleration * seconds**2 / 2).cummax(0).values
    return Trajectory(torch.stack([way, pedal.curvature * way**2 / 2, pedal.curvature * way], 1))


def _cpu(call: Callable[[], object]) -> float:
    """Seconds of CPU that it takes."""
    then = cpu_seconds()
    call()
    return cpu_seconds() - then


def _serve_rows(model: WorldModel, quick: bool) -> list[Row]:
    """Eight clients of one server on this machine, each with a session of its own."""
    uvicorn = require("uvicorn", "serve", "the benchmark of sessions")
    require("fastapi", "serve", "the benchmark of sessions")
    from worldloom.apps.service.guard import Gate
    from worldloom.apps.service.http import make_app
    from worldloom.apps.service.load import load_test
    from worldloom.apps.service.sessions import SessionService

    starts = {start.name: start for start in starts_of(None)[: 2 if quick else 4]}
    sim = Simulation(ModelWorld(model))
    for start in starts.values():
        sim.start(start)  # the first visit of a start takes seconds, once
    token = secrets.token_urlsafe(24)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = make_app(SessionService(sim, starts), Gate(token, rate=10_000))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        url = f"http://127.0.0.1:{port}"
        result = load_test(url, token, _CLIENTS, 4 if quick else 16)
        voxels = load_test(url, token, _CLIENTS, 2 if quick else 8, ("occupancy",))
    finally:
        server.should_exit = True
        thread.join(10)
    note = f"{_CLIENTS} clients at once, {len(result.seconds)} steps of half a second, observation numbers; one process"
    return [
        Row("serve_p95_ms", result.p95_ms, "ms", "", {"with voxels": voxels.p95_ms}, note),
        Row("serve_rps", result.rate, "1/s", "", {"with voxels": voxels.rate}, note),
        Row("serve_errors", result.errors + voxels.errors, "", "<= 0", {}, note),
    ]
