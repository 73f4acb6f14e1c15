"""Every example runs, with small numbers and nets that have learned nothing."""

import importlib.util
import math
import socket
import threading
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.occupancy.tiny_world import street_start, tiny_model, tiny_simulation
from worldloom.occupancy.planning.planner import PlannerConfig
from worldloom.occupancy.simulation import ModelWorldConfig

EXAMPLES = Path(__file__).parents[2] / "examples"
LITTLE = ModelWorldConfig(reach=10.0, steps=1)


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_list_of_examples_is_complete() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    assert [file.name for file in EXAMPLES.glob("*.py") if f"]({file.name})" not in listed] == []


def test_a_planner_drives_along_the_route(capsys) -> None:
    config = PlannerConfig(samples=16, iterations=1, elites=4, branches=2)
    metrics = example("plan_with_cem").drive(tiny_model(), 1.0, config)
    assert metrics["seconds"] == 1.0
    assert metrics["progress"] > 2.0
    assert all(math.isfinite(value) for value in metrics.values())
    assert capsys.readouterr().out.count(" m/s ") == 2


def test_ppo_trains_on_the_environment() -> None:
    pytest.importorskip("stable_baselines3", reason="this example needs the extra `rl`")
    module = example("learn_with_ppo")
    env = module.make(2.0, clips=[street_start()], model=tiny_model(), world=LITTLE)
    model = module.learn(env, 64)
    assert model.num_timesteps == 64
    assert math.isfinite(module.mean_return(env, lambda seen: model.predict(seen, deterministic=True)[0], 2))


@pytest.mark.slow
def test_ppo_learns_to_make_way() -> None:
    """An empty street: what is to be learned is to go, and not to leave the road."""
    pytest.importorskip("stable_baselines3", reason="this example needs the extra `rl`")
    module = example("learn_with_ppo")
    env = module.make(4.0, clips=[street_start(speed=1.0, alone=True)], model=tiny_model(), world=LITTLE)
    before, after = module.compare(env, 2048, 5)
    assert after > before + 1.0


@pytest.mark.slow
def test_policies_are_compared_in_both_worlds() -> None:
    pytest.importorskip("shapely", reason="towns need the extra `synth`")
    pytest.importorskip("libsumo", reason="traffic needs the extra `traffic`")
    result = example("evaluate_policies").compare(3005, 1, 1.0, ["stands", "usual"], size=240.0)
    assert result.policies == ("stands", "usual")
    assert result.scores["pdms"].shape == (2, 2, 1)
    assert all(((rows >= 0) & (rows <= 1)).all() for rows in result.scores.values())


def test_a_reward_of_ones_own_is_earned_again_in_a_replay(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium", reason="environments need the extra `sim`")
    module = example("reward_of_your_own")
    options = {"clips": [street_start()], "model": tiny_model(), "world": LITTLE, "seconds": 1.5}
    total = module.record(module.make(**options), tmp_path / "drive.json")
    log = module.load_replay(tmp_path / "drive.json")
    assert sum(step.reward for step in log.steps) == pytest.approx(total)
    assert total < 3.0  # a metre behind the car ahead for every second would be worth 2
    assert module.replay(module.make(**options), log) is None


def test_a_client_drives_over_http(capsys) -> None:
    uvicorn = pytest.importorskip("uvicorn", reason="serving needs the extra `serve`")
    pytest.importorskip("fastapi", reason="serving needs the extra `serve`")
    pytest.importorskip("httpx", reason="serving needs the extra `serve`")
    from worldloom.apps.service.guard import Gate
    from worldloom.apps.service.http import make_app
    from worldloom.apps.service.sessions import SessionService

    token = "a token of this test"
    service = SessionService(tiny_simulation(), {"street": street_start()})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(make_app(service, Gate(token)), port=port, log_level="error", ws="none", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        speeds = example("drive_over_http").drive(f"http://127.0.0.1:{port}", token)
    finally:
        server.should_exit = True
        thread.join(10)
    assert np.allclose(speeds, [6.0, 6.0, 5.5], atol=0.05)
    assert len(service) == 0
    assert "brake:" in capsys.readouterr().out
