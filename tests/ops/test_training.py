"""The training loop: it learns, it stops when asked, and goes on as if it had not stopped."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from worldloom.errors import InputError
from worldloom.ops.training import CHECKPOINT, LOG, Schedule, pace, shortened, train


def loss_for(model: nn.Module, stop_at: int = -1):
    def loss_of(step: int, dice: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        if step == stop_at:
            signal.raise_signal(signal.SIGINT)
        x = torch.randn(16, 3, generator=dice)
        error = (model(x) - x.sum(1, keepdim=True)).square().mean()
        return error, {"error": float(error.detach())}

    return loss_of


def line() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 1)


SCHEDULE = Schedule(40, learning_rate=0.05, warm_up=4, log_every=10, ema=0.9)


def test_a_stopped_run_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    model = line()
    whole = train(model, SCHEDULE, tmp_path / "whole", loss_for(model))
    model = line()
    with pytest.raises(KeyboardInterrupt):
        train(model, SCHEDULE, tmp_path / "parts", loss_for(model, stop_at=17))
    model = line()
    parts = train(model, SCHEDULE, tmp_path / "parts", loss_for(model))
    for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    entries = [json.loads(entry) for entry in (tmp_path / "parts" / LOG).read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [10, 20, 30, 40]
    assert entries[-1]["error"] < 0.2 * entries[0]["error"]


def test_a_run_of_another_kind_is_refused(tmp_path: Path) -> None:
    model = line()
    train(model, SCHEDULE, tmp_path, loss_for(model))
    with pytest.raises(InputError, match="another schedule"):
        train(model, Schedule(41), tmp_path, loss_for(model))
    other = nn.Linear(4, 1)
    with pytest.raises(InputError, match="another model"):
        train(other, SCHEDULE, tmp_path, loss_for(other))


def test_a_loss_that_breaks_does_not_break_the_weights(tmp_path: Path) -> None:
    model = line()

    def loss_of(step: int, dice: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        loss, parts = loss_for(model)(step, dice)
        return loss * (float("nan") if step == 5 else 1.0), parts

    average = train(model, SCHEDULE, tmp_path, loss_of)
    assert all(bool(value.isfinite().all()) for value in average.state_dict().values())


def test_the_pace_rises_and_falls() -> None:
    paces = [pace(step, SCHEDULE) for step in range(40)]
    assert paces[3] == 1.0
    assert paces == sorted(paces[:4]) + sorted(paces[4:], reverse=True)
    assert 0.009 < paces[-1] < 0.03


def test_checks_are_logged(tmp_path: Path) -> None:
    model = line()
    schedule = Schedule(20, warm_up=1, log_every=10, check_every=10)
    train(model, schedule, tmp_path, loss_for(model), lambda average, step: {"checked": float(step)})
    entries = [json.loads(entry) for entry in (tmp_path / LOG).read_text().splitlines()]
    assert [entry["checked"] for entry in entries] == [10, 20]
    assert (tmp_path / CHECKPOINT).is_file()


def test_a_constant_rate_lets_a_run_grow_until_it_falls(tmp_path: Path) -> None:
    flat = replace(SCHEDULE, cool_down=0.25)
    paces = [pace(step, flat) for step in range(40)]
    assert flat.first_slower == 31
    assert paces[4:32] == [1.0] * 28
    assert paces[32] < 1.0
    model = line()
    with pytest.raises(KeyboardInterrupt):
        train(model, flat, tmp_path, loss_for(model, stop_at=17))
    with pytest.raises(InputError, match="another schedule"):
        train(line(), shortened(flat, 20), tmp_path, loss_for(model))  # its rate would have fallen already
    model = line()
    train(model, shortened(flat, 60), tmp_path, loss_for(model))
    entries = [json.loads(entry) for entry in (tmp_path / LOG).read_text().splitlines()]
    assert entries[-1]["step"] == 60
    with pytest.raises(InputError, match="another schedule"):
        train(line(), shortened(flat, 90), tmp_path, loss_for(model))  # it has fallen
