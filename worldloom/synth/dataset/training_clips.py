"""Drives through many towns as clips for training, with nothing made that a world model does not learn from."""

import itertools
import json
import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from worldloom.errors import InputError, require
from worldloom.geometry.io.atomic import atomic_path
from worldloom.synth.collection import open_collection
from worldloom.synth.dataset.clips import DrivingClip, load_driving_clip, save_driving_clip
from worldloom.synth.dataset.scenes import KEYFRAME_SECONDS, SCENE_SECONDS, TOWN_SIZE
from worldloom.synth.dataset.town_drive import clip_of, drive_seed
from worldloom.synth.dataset.traffic_log import LOG
from worldloom.synth.dataset.traffic_logs import log_traffic
from worldloom.synth.generate import Job, generate
from worldloom.synth.towns.town import make_town
from worldloom.synth.traffic.counterfactuals import MANOEUVRES, branches
from worldloom.synth.traffic.drive import drive_town
from worldloom.synth.traffic.simulator import Simulator
from worldloom.synth.traffic.sumo import STEP
from worldloom.synth.voxels.voxelize import Voxelizer

RISKY = ("cut_in", "near_miss", "hit_parked", "hit_moving", "leave_road")
_SAFE = tuple(name for name in MANOEUVRES if name not in RISKY)


@dataclass(frozen=True)
class TownClips:
    """All that decides the clips of a town: the same gives the same bytes."""

    town_seed: int
    num_scenes: int = 8  # logged drives, each in traffic of its own
    num_alternatives: int = 0  # of each scene: the same world under other actions of the ego
    seconds: float = SCENE_SECONDS  # of a logged drive; alternatives take ten
    town_size: float = TOWN_SIZE
    log_seconds: float = 0.0  # of everybody's traffic without voxels, in LOG; 0 for none

    def __post_init__(self) -> None:
        if self.town_seed < 0 or self.num_scenes < 0 or not 0 <= self.num_alternatives <= len(MANOEUVRES):
            raise InputError(
                f"expected a seed >= 0, scenes >= 0 and 0 to {len(MANOEUVRES)} alternatives, got {self.town_seed}, "
                f"{self.num_scenes} and {self.num_alternatives}"
            )
        if not 0 <= self.log_seconds < math.inf or not (self.num_scenes or self.log_seconds):
            raise InputError(
                f"expected scenes, seconds of a log, or both, got {self.num_scenes} and {self.log_seconds:g}"
            )
        if not KEYFRAME_SECONDS <= self.seconds < math.inf:
            raise InputError(f"expected scenes of {KEYFRAME_SECONDS} s or more, got {self.seconds}")

    @property
    def name(self) -> str:
        return f"town-{self.town_seed:04d}"

    @property
    def done(self) -> str:
        """The file that is written last."""
        return f"{self.name}/clips.json"

    def drive_seed(self, number: int) -> int:
        """Of a scene's traffic."""
        return drive_seed(self.town_seed, number)


def write_clips(
    seeds: Iterable[int],
    out: Path,
    num_scenes: int = 8,
    num_alternatives: int = 0,
    seconds: float | int = SCENE_SECONDS,
    town_size: float | int = TOWN_SIZE,
    log_seconds: float | int = 0.0,
    num_workers: int = 1,
) -> Iterator[Path]:
    """Write the clips of the towns of these seeds; yield each town's `clips.json` when it is finished.

    OUT/town-0007/scene-00.npz is a logged drive, scene-00-near_miss.npz an alternative of it; `load_driving_clip` reads
    both. OUT/town-0007/traffic.npz is a `TrafficLog` if one is wanted. clips.json lists the clips with the frames, the
    manoeuvre and whether there is a collision. What is there already is not made again; the bytes do not depend on
    the number of workers. Whoever calls this from a program with workers needs `if __name__ == "__main__"`,
    as with all processes that Python spawns.

    Raises:
        InputError: numbers that cannot be, or `out` cannot be written or holds clips of another request.
        MissingExtra: SUMO or the ray caster is not installed.
    """
    towns = [
        TownClips(seed, num_scenes, num_alternatives, float(seconds), float(town_size), float(log_seconds))
        for seed in seeds
    ]
    for module in ("embreex", "shapely", "sumo", "libsumo"):
        require(module, "traffic", "making clips")
    request = {
        "num_scenes": num_scenes,
        "num_alternatives": num_alternatives,
        "seconds": float(seconds),
        "town_size": float(town_size),
        "log_seconds": float(log_seconds),
    }
    open_collection(out, {"command": "synth clips", **request})
    jobs = [Job(town.name, write_town_clips, town.done, {"town": town}) for town in towns]
    for progress in generate(jobs, out, num_workers):
        if progress.share == 1:
            yield out / progress.job.done


def write_town_clips(folder: Path, tell: Callable[[float, str], None], town: TownClips) -> None:
    """Write all clips of a town below `folder`; the list comes last."""
    target = folder / town.name
    target.mkdir(exist_ok=True)
    names = [f"scene-{i:02d}" for i in range(town.num_scenes)]
    left = [i for i, name in enumerate(names) if not (target / f"{name}.npz").exists()]
    log = target / LOG
    logs = town.log_seconds > 0 and not log.exists()
    made = make_town(town.town_seed, size=town.town_size) if left or logs else None
    if logs:
        assert made is not None
        tell(0.0, "traffic")
        log_traffic(made, 0, town.log_seconds).save(log)
    voxelizer = None if made is None else Voxelizer(made)
    for i in left:
        assert voxelizer is not None
        tell(i / len(names), names[i])
        logged, *alternatives = scene_clips(voxelizer, town, i)
        for clip in alternatives:
            save_driving_clip(target / f"{names[i]}-{clip.manoeuvre}.npz", clip)
        save_driving_clip(target / f"{names[i]}.npz", logged)  # last: where it is, the alternatives are
    clips = {path.name: _facts(load_driving_clip(path)) for path in sorted(target.glob("scene-*.npz"))}
    with atomic_path(folder / town.done) as temporary:
        temporary.write_text(json.dumps({"town": asdict(town), "clips": clips}, indent=1) + "\n")


def scene_clips(voxelizer: Voxelizer, town: TownClips, number: int) -> Iterator[DrivingClip]:
    """One logged drive and its alternatives, half of them risky where they can be."""
    seed = town.drive_seed(number)
    if town.num_alternatives == 0:
        yield clip_of(voxelizer, drive_town(voxelizer.town, town.seconds, seed, STEP))
        return
    with Simulator(voxelizer.town, seed) as simulator:
        simulator.reset(town.seconds)
        yield clip_of(voxelizer, simulator.drive(STEP))
        wanted = _shuffled(random.Random(seed))
        done = branches(simulator, manoeuvres=wanted, dt=STEP)
        for one in itertools.islice(done, town.num_alternatives):
            frame = one.branch_frame // round(KEYFRAME_SECONDS / STEP)
            yield clip_of(voxelizer, one.drive, one.manoeuvre, frame)


def _shuffled(dice: random.Random) -> list[str]:
    """All manoeuvres, risky and other ones by turns."""
    risky, safe = dice.sample(RISKY, len(RISKY)), dice.sample(_SAFE, len(_SAFE))
    return [name for pair in itertools.zip_longest(risky, safe) for name in pair if name is not None]


def _facts(clip: DrivingClip) -> dict[str, object]:
    risk = clip.risk
    return {
        "frames": len(clip.occupancy),
        "manoeuvre": clip.manoeuvre,
        "branch_frame": clip.branch_frame,
        "collision": bool(risk.collision.any()),
        "off_road": bool(risk.off_road.any()),
        "gap": round(float(risk.gap.min()), 3),
    }
