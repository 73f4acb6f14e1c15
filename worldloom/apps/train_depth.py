"""`worldloom train depth` and its data: panorama distance from many quickly lit worlds."""

import hashlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console

from worldloom.errors import InputError
from worldloom.ops import load_config, load_weights, save_weights
from worldloom.ops.training import Schedule, shortened
from worldloom.ops.training_card import training_card
from worldloom.recon.panorama_depth import depth_weights
from worldloom.recon.panorama_network import PanoramaDepthConfig, PanoramaNetwork
from worldloom.recon.training.train_depth import DepthTraining, train_depth
from worldloom.synth.panoramas.panorama_files import panoramas_of

_LIMITS = (
    "Layout, not survey. Trained on procedural worlds alone. It takes the camera to be level, its height to be what it "
    "is told, and the ground under it to be flat. Thin things, mirrors, glass and far things are often wrong."
)


@dataclass(frozen=True)
class DepthPreset:
    """Sizes and schedule."""

    config: PanoramaDepthConfig
    training: DepthTraining


PRESETS = {
    "tiny": DepthPreset(
        PanoramaDepthConfig(64, (8, 16, 32), 8, (1, 1, 1), 64, 1),
        DepthTraining(Schedule(40, learning_rate=3e-3, warm_up=5, log_every=10, check_every=20), batch=2),
    ),
    # The rate is constant until the last fifth: a run may be made longer as long as it has not come there.
    "small": DepthPreset(
        PanoramaDepthConfig(),
        DepthTraining(
            Schedule(50_000, warm_up=500, cool_down=0.2, log_every=100, check_every=1000, ema=0.998), batch=8
        ),
    ),
    "base": DepthPreset(
        PanoramaDepthConfig(512, (64, 128, 256), 32, (2, 3, 4), 512, 12),
        DepthTraining(Schedule(300_000, 3e-4, 5000, 0.5, log_every=500, check_every=5000, ema=0.9999), batch=32),
    ),
}


def train_panorama_depth(
    data: Path,
    out: Path,
    validation: Path | None = None,
    preset: str = "small",
    steps: int | None = None,
    rows: int | None = None,
    start: str | None = None,
) -> Path:
    """Train panorama distance on a folder of panoramas; the folder of its weights, OUT/depth.

    OUT/runs/depth holds the run: the same call goes on where an interrupted one stopped.

    Args:
        data: a folder of `worldloom synth panoramas`.
        validation: another one; every tenth world of `data` if not given.
        steps: instead of those of the preset.
        rows: of the panoramas as the network sees them, instead of the preset's.
        start: weights to begin with, of the same network at any number of rows.
    Raises:
        InputError: no panoramas, an unknown preset, a folder of another run, weights of another network.
    """
    if preset not in PRESETS:
        raise InputError(f"expected a preset {', '.join(PRESETS)}, got {preset!r}")
    if steps is not None and steps < 1:
        raise InputError(f"expected at least 1 step, got {steps}")
    config, training = PRESETS[preset].config, PRESETS[preset].training
    try:
        config = replace(config, height=rows or config.height)
    except ValueError as error:
        raise InputError(f"--rows: {error}") from error
    training = replace(training, schedule=shortened(training.schedule, steps))
    learned, checked = split_panoramas(data, validation)
    first = _start(start, config)
    console = Console(stderr=True)

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    run = out / "runs" / "depth"
    model = train_depth(learned, checked, run, config, training, tell, first)
    argv = ["worldloom", "train", "depth", "--data", str(data), "--preset", preset, "--out", str(out)]
    for name, value in (("validation", validation), ("steps", steps), ("rows", rows), ("start", start)):
        argv += [f"--{name}", str(value)] if value else []
    facts = {
        **asdict(config), "parameters": sum(p.numel() for p in model.parameters()), "batch": training.batch,
        "seed": training.schedule.seed,
    }  # fmt: skip
    card = training_card(
        f"worldloom depth, {preset}", "From a panorama to distance in camera heights, floor, sky and kind of place.",
        panorama_data(learned), shlex.join(argv), run, facts, _LIMITS,
    )  # fmt: skip
    save_weights(out / "depth", model.bfloat16(), config, card)  # half the size; loaders widen them
    return out / "depth"


def _start(name: str | None, config: PanoramaDepthConfig) -> PanoramaNetwork | None:
    """A network with the weights called so; its number of rows may differ."""
    if name is None:
        return None
    folder = depth_weights(name)
    theirs = load_config(folder, PanoramaDepthConfig)
    if replace(theirs, height=config.height) != config:
        raise InputError(f"{folder} holds weights of {theirs}, expected those of {config}")
    network = PanoramaNetwork(config)
    load_weights(folder, network)
    return network


def panorama_data(files: Sequence[tuple[Path, int]]) -> str:
    """What a network learned from, for its card."""
    digest = hashlib.sha256()
    for file, _ in files:
        digest.update(file.name.encode())
    worlds = len({file for file, _ in files})
    return f"{len(files)} panoramas of {worlds} procedural worlds, sha256 of their names {digest.hexdigest()[:16]}"


def split_panoramas(
    data: Path, validation: Path | None
) -> tuple[Sequence[tuple[Path, int]], Sequence[tuple[Path, int]]]:
    """Panoramas to learn from, and those to check with: another folder's, or every tenth world's.

    Raises:
        InputError: there are none, or of one world only.
    """
    found = panoramas_of(data)
    if validation is not None:
        return found, panoramas_of(validation)
    worlds = sorted({file for file, _ in found})
    if len(worlds) < 2:
        raise InputError(f"{data}: expected panoramas of at least 2 worlds (one to check with), got {len(worlds)}")
    held = set(worlds[9::10] or worlds[-1:])
    return [one for one in found if one[0] not in held], [one for one in found if one[0] in held]


def make_panoramas(
    out: Path, *, split: str, num_worlds: int, each: int, beside: int, height: int, num_workers: int | None
) -> None:
    """Panoramas of the first worlds of a split below OUT; what is there already is not made again.

    Raises:
        InputError: an unknown split, or numbers that cannot be; see also `write_panoramas`.
    """
    from worldloom.apps.synth import check_workers, collecting
    from worldloom.synth.panoramas.panorama_files import write_panoramas
    from worldloom.synth.panoramas.world_splits import WORLD_SPLITS

    if split not in WORLD_SPLITS:
        raise InputError(f"expected --split {', '.join(WORLD_SPLITS)}, got {split!r}")
    seeds = WORLD_SPLITS[split]
    if not 1 <= num_worlds <= len(seeds):
        raise InputError(f"expected 1 to {len(seeds)} worlds of the split {split}, got {num_worlds}")
    made = write_panoramas(seeds[:num_worlds], out, each, height, check_workers(num_workers), beside)
    with collecting():
        for number, path in enumerate(made):
            print(f"{path.name} is made, {number + 1}", file=sys.stderr)
