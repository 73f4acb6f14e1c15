"""A training loop that shows what it does, can be stopped at any step, and goes on as if it had not been."""

import copy
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from worldloom.errors import InputError

M = TypeVar("M", bound=nn.Module)

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn."""

    steps: int
    learning_rate: float = 1e-3
    warm_up: int = 200
    cool_down: float = 1.0  # share of the steps after warm-up over which the rate falls; until then it is constant
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema: float = 0.999  # of the weights that are kept
    seed: int = 0
    log_every: int = 50
    check_every: int = 1000  # steps between validations
    save_every_s: float = 300.0

    @property
    def first_slower(self) -> int:
        """The step at which the learning rate begins to fall. Until then a run may still become longer or shorter."""
        return self.warm_up + round((1 - self.cool_down) * max(0, self.steps - self.warm_up))


def train(
    model: M,
    schedule: Schedule,
    folder: Path,
    loss_of: Callable[[int, torch.Generator], tuple[Tensor, Mapping[str, float]]],
    check: Callable[[M, int], Mapping[str, float]] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> M:
    """Train `model` and return the moving average of its weights.

    Every step draws its randomness from a generator seeded by the schedule's seed and the step alone, so that a run
    that is stopped and taken up again takes the same steps. SIGINT and SIGTERM save before they end the run.

    Args:
        folder: gets CHECKPOINT and LOG (one JSON object a line); a run that is there already is taken up.
        loss_of: the loss of a step, and figures to log; backward is called here.
        check: figures of the averaged model on validation data.
        tell: gets one line for each logged step.
    Raises:
        InputError: the folder holds a run of another schedule or model. Steps may still change before the rate falls.
        KeyboardInterrupt: after saving, where the run was stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(
        model.parameters(), schedule.learning_rate, (0.9, 0.98), weight_decay=schedule.weight_decay, fused=True
    )
    average = copy.deepcopy(model).requires_grad_(False)
    state = _load(folder, schedule, model, average, optimizer)
    done, hours = state["step"], state["hours"]
    started = saved = time.monotonic()
    figures: dict[str, list[float]] = {}
    with stoppable() as stop:
        for step in range(done, schedule.steps):
            for group in optimizer.param_groups:
                group["lr"] = schedule.learning_rate * pace(step, schedule)
            dice = torch.Generator().manual_seed(schedule.seed * 1_000_003 + step)
            loss, parts = loss_of(step, dice)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), schedule.clip_norm)
            if bool(norm.isfinite()):
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            decay = min(schedule.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                for mean, now in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
                    if mean.is_floating_point():
                        mean.lerp_(now, 1 - decay)
                    else:
                        mean.copy_(now)
            for name, value in {**parts, "loss": float(loss.detach()), "norm": float(norm)}.items():
                figures.setdefault(name, []).append(value)
            last = step + 1 == schedule.steps
            spent = hours + (time.monotonic() - started) / 3600
            if (step + 1) % schedule.log_every == 0 or last:
                entry: dict[str, Any] = {"step": step + 1, "hours": round(spent, 4)}
                entry |= {name: round(sum(values) / len(values), 5) for name, values in figures.items()}
                figures = {}
                if check is not None and ((step + 1) % schedule.check_every == 0 or last):
                    average.eval()
                    entry |= {name: round(value, 5) for name, value in check(average, step + 1).items()}
                with (folder / LOG).open("a", encoding="utf-8") as log:
                    log.write(json.dumps(entry) + "\n")
                tell("  ".join(f"{name} {value:.5g}" for name, value in entry.items()))
            if last or stop.is_set or time.monotonic() - saved > schedule.save_every_s:
                _save(folder, schedule, model, average, optimizer, step + 1, spent)
                saved = time.monotonic()
            if stop.is_set and not last:
                raise KeyboardInterrupt
    return average.eval()


def shortened(schedule: Schedule, steps: int | None) -> Schedule:
    """The schedule with another number of steps, if one is given, and no longer warm-up than that."""
    return (
        schedule if steps is None else replace(schedule, steps=steps, warm_up=min(schedule.warm_up, max(1, steps // 5)))
    )


def pace(step: int, schedule: Schedule) -> float:
    """Share of the learning rate: linear warm-up, 1 until `first_slower`, then a cosine down to a hundredth."""
    if step < schedule.warm_up:
        return (step + 1) / schedule.warm_up
    along = max(0, step - schedule.first_slower) / max(1, schedule.steps - schedule.first_slower)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, along)))


def _save(
    folder: Path,
    schedule: Schedule,
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    hours: float,
) -> None:
    state = {
        "schedule": asdict(schedule), "step": step, "hours": hours, "model": model.state_dict(),
        "average": average.state_dict(), "optimizer": optimizer.state_dict(),
    }  # fmt: skip
    temporary = folder / f".{CHECKPOINT}.new"
    torch.save(state, temporary)
    os.replace(temporary, folder / CHECKPOINT)


def _load(
    folder: Path, schedule: Schedule, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    path = folder / CHECKPOINT
    if not path.exists():
        return {"step": 0, "hours": 0.0}
    state = torch.load(path, weights_only=True, map_location="cpu")
    decisive = ["learning_rate", "warm_up", "weight_decay", "clip_norm", "ema", "seed"]
    before = Schedule(**state["schedule"])
    if state["step"] > min(before.first_slower, schedule.first_slower):
        decisive += ["steps", "cool_down"]
    told, wanted = ({name: s[name] for name in decisive} for s in (asdict(before), asdict(schedule)))
    if told != wanted:
        raise InputError(f"{folder} holds a run of another schedule: {told}, expected {wanted}")
    try:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
    except RuntimeError as error:
        raise InputError(f"{folder} holds a run of another model: {str(error).splitlines()[0]}") from error
    optimizer.load_state_dict(state["optimizer"])
    return state


class Stop:
    """Whether somebody asked for the end."""

    is_set = False


@contextmanager
def stoppable() -> Iterator[Stop]:
    """While inside, SIGINT and SIGTERM set a flag instead of ending the program at once.

    Signals belong to the main thread; in another one nobody asks.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        stop.is_set = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
