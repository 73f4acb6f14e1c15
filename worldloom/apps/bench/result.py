"""What a benchmark says: rows of one metric each, and the facts of the machine that measured them."""

import math
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One measured number. `met` follows from goal and value and is never set by hand."""

    metric: str
    value: float | int
    unit: str
    goal: str = ""  # "<= 15" or ">= 20"; empty: reported without a goal
    baseline: dict[str, float | int] = field(default_factory=dict)  # other methods, same unit, same run
    note: str = ""  # protocol in a few words

    @property
    def met(self) -> bool | None:
        if not self.goal:
            return None
        relation, bound = self.goal.split()
        if relation not in ("<=", ">="):
            raise ValueError(f"goal must read '<= number' or '>= number', got {self.goal!r}")
        if not math.isfinite(self.value):
            return False
        return self.value <= float(bound) if relation == "<=" else self.value >= float(bound)

    def to_json(self) -> dict:
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated calls, as wall clock and as CPU time of this process."""

    wall: list[float]
    cpu: list[float]

    @property
    def wall_median(self) -> float:
        return statistics.median(self.wall)

    @property
    def cpu_median(self) -> float:
        return statistics.median(self.cpu)


def cpu_seconds() -> float:
    """CPU time of all threads of this process so far, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(calls: dict[str, Callable[[], object]], repeats: int, warmup: int = 2) -> dict[str, Timing]:
    """Time several methods in turn (A B A B …), so that a change of the machine's speed meets all of them alike."""
    for call in calls.values():
        for _ in range(warmup):
            call()
    timings = {name: Timing([], []) for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), cpu_seconds()
            call()
            timings[name].wall.append(time.perf_counter() - wall)
            timings[name].cpu.append(cpu_seconds() - cpu)
    return timings


def machine_facts() -> dict:
    """CPU, instruction set, threads, load, versions and commit: what a reader needs to repeat the run."""
    import torch

    versions = {}
    for package in ("worldloom", "torch", "numpy", "gsplat", "spconv", "gradio", "viser"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    root = Path(__file__).resolve().parents[3]
    commit = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    flags = cpu_flags()
    return {
        "cpu": cpu_model(),
        "isa": [flag for flag in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "commit": commit.stdout.strip() or None,
    }


def cpu_model() -> str:
    """The CPU's own name for itself."""
    return _cpuinfo("model name") or platform.processor() or "unknown"


def cpu_flags() -> set[str]:
    """Instruction-set flags as Linux names them; empty elsewhere."""
    return set(_cpuinfo("flags").split())


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")
