"""Files to learn panorama distance from: a few quickly lit panoramas of one world, with all that is asked of them."""

import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.errors import InputError, require
from worldloom.geometry import directions
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.npz import load_npz, npz_keys, save_npz
from worldloom.synth.cast import Caster
from worldloom.synth.collection import open_collection
from worldloom.synth.generate import Job, generate
from worldloom.synth.light.metering import metered_exposure
from worldloom.synth.panoramas.recolour import recoloured
from worldloom.synth.panoramas.world_splits import kind_of_world
from worldloom.synth.scene_files import make_world, world_name
from worldloom.synth.truth import Truth, render_truth
from worldloom.synth.views import PanoramaView
from worldloom.synth.world import SEMANTICS, World

ENVELOPE, FLOOR, OBJECT, SKY = range(4)  # what a pixel is part of
FLOOR_BAND = 0.04  # camera heights from the plane under the camera; what lies within, and looks up, is floor
_ENVELOPE = {
    *("driveable_surface", "other_flat", "sidewalk", "terrain", "manmade", "grass", "water", "rug", "floor"),
    *("wall", "ceiling", "door", "window", "stairs", "building", "roof", "picture", "curtain"),
}
_IS_OBJECT = torch.tensor([name not in _ENVELOPE and name != "sky" for name in SEMANTICS])

# Distances in camera heights are stored as logarithms in 16 bits: steps of 0.016 %.
NEAREST, FARTHEST = 0.05, 2000.0
_LOW, _STEP = math.log(NEAREST), math.log(FARTHEST / NEAREST) / 65535

_PATHS = 2  # of light, for each point where it is gathered
_PATHS_INDOORS = 8  # where all light is bounced, fewer leave stains on plain walls
_RECOLOURED = 0.4  # share of the worlds in other colours
_TILTED = 0.3  # share of the panoramas from a camera that is not quite level
_EYES = (1.0, 2.1)  # metres over the ground: from a low tripod to one held up
_AIR = 0.3  # metres around the eye
_ASIDE = (0.5, 2.0)  # metres to a place beside it
_TRIES = 24  # places that may be taken, until one is free


@dataclass(frozen=True)
class LearnedPanorama:
    """One panorama and what a network is asked about it."""

    rgb: UInt8[Tensor, "3 h w"]
    distance: Float[Tensor, "h w"]  # camera heights along the ray; FARTHEST where sky
    part: UInt8[Tensor, "h w"]  # ENVELOPE, FLOOR, OBJECT or SKY
    semantic: UInt8[Tensor, "h w"]  # numbers in SEMANTICS
    camera_height: float  # metres
    kind: str  # of its world
    world_from_pano: Float[Tensor, "4 4"] | None = None  # float64, metres; of what a file holds

    @property
    def sky(self) -> Bool[Tensor, "h w"]:
        return self.part == SKY

    def turned(self, columns: int, mirror: bool = False) -> "LearnedPanorama":
        """Seen by a camera that is turned by so many columns, and in a mirror if asked for; without its pose."""
        rgb, distance, part, semantic = (
            (x.flip(-1) if mirror else x).roll(columns, -1) for x in (self.rgb, self.distance, self.part, self.semantic)
        )
        return LearnedPanorama(rgb, distance, part, semantic, self.camera_height, self.kind)


def panorama_file(seed: int) -> str:
    """Name of the file of a seed's world."""
    return f"{world_name(kind_of_world(seed), seed)}.npz"


def write_panoramas(
    seeds: Iterable[int], out: Path, num_panoramas: int = 4, height: int = 256, num_workers: int = 1, beside: int = 0
) -> Iterator[Path]:
    """Write the panoramas of the worlds of these seeds, one file each; yield each when it is finished.

    Each is followed by `beside` more, in the same light, from places 0.5 to 2 m from it that it sees.

    What is there already is not made again; the bytes do not depend on the number of workers.

    Raises:
        InputError: fewer than one panorama, or fewer than 16 rows; or `out` cannot be written or holds panoramas of
            another request.
        MissingExtra: the ray caster is not installed.
    """
    if num_panoramas < 1 or not 16 <= height <= 2048:
        raise InputError(f"expected at least 1 panorama of 16 to 2048 rows, got {num_panoramas} of {height}")
    if not 0 <= beside <= 16:
        raise InputError(f"expected 0 to 16 panoramas beside each, got {beside}")
    for module in ("embreex", "shapely"):
        require(module, "synth", "making panoramas")
    open_collection(
        out, {"command": "synth panoramas", "num_panoramas": num_panoramas, "height": height, "beside": beside}
    )
    jobs = [
        Job(panorama_file(seed), write_world_panoramas, panorama_file(seed),
            {"seed": seed, "num_panoramas": num_panoramas, "height": height, "beside": beside})
        for seed in seeds
    ]  # fmt: skip
    for progress in generate(jobs, out, num_workers):
        if progress.share == 1:
            yield out / progress.job.done


def write_world_panoramas(
    folder: Path, tell: Callable[[float, str], None], seed: int, num_panoramas: int, height: int, beside: int = 0
) -> None:
    """The file of one world: rgb, log_distance, part, semantic of each panorama, numbered; camera heights and poses.

    log_distance is uint16: distance = NEAREST * (FARTHEST / NEAREST) ** (code / 65535) camera heights.
    """
    arrays: dict[str, np.ndarray] = {}
    heights, poses = [], []
    for i, (truth, view, eye) in enumerate(world_panoramas(seed, num_panoramas, height, beside)):
        tell(i / (num_panoramas * (1 + beside)), f"panorama {i + 1}")
        one = learned_panorama(truth, view, eye, kind_of_world(seed))
        code = ((one.distance.log() - _LOW) / _STEP).round().clamp(0, 65535)
        arrays[f"rgb{i}"] = one.rgb.numpy()
        arrays[f"log_distance{i}"] = torch.where(one.sky, 65535, code).numpy().astype(np.uint16)
        arrays[f"part{i}"] = one.part.numpy()
        arrays[f"semantic{i}"] = one.semantic.numpy()
        heights.append(eye)
        poses.append(view.world_from_pano.double().numpy())
    arrays["camera_height"] = np.array(heights, np.float32)
    arrays["world_from_pano"] = np.stack(poses)
    with atomic_path(folder / panorama_file(seed)) as temporary:
        save_npz(temporary, arrays)


def world_panoramas(
    seed: int, num_panoramas: int, height: int, beside: int = 0
) -> Iterator[tuple[Truth, PanoramaView, float]]:
    """Panoramas of a seed's world from different places, with their views and camera heights in metres.

    Each is followed by at most `beside` others from places beside it, as many as were found.

    Light is gathered sparsely. Exposure, the eye's height and tilt, and the colours of some worlds are drawn from the
    seed; what a camera does to a picture is left to training.
    """
    kind = kind_of_world(seed)
    dice = random.Random(f"learned panoramas {seed}")
    world = make_world(kind, seed)
    if dice.random() < _RECOLOURED:
        world = recoloured(world, dice, dice.uniform(0.1, 0.7))
    caster = Caster(world, num_threads=1)
    paths = _PATHS_INDOORS if kind == "room" else _PATHS
    metered = metered_exposure(caster, num_stands=1, seed=seed)
    order = list(range(len(world.stands)))
    order = order[:1] + dice.sample(order[1:], len(order) - 1)  # the first one is the best
    for i in range(num_panoramas):
        eye, eye_height = _eye(caster, world, order[i % len(order)], dice)
        sigma = math.radians(1.5) if dice.random() < _TILTED else 0.0
        tilt = (sigma * dice.gauss(0, 1), sigma * dice.gauss(0, 1))
        view = PanoramaView(eye, height, dice.uniform(-math.pi, math.pi), tilt)
        caster.world = replace(world, exposure=metered * 2 ** dice.gauss(0, 0.7))
        yield render_truth(caster, view, seed + i, paths=paths, shared_light=True), view, eye_height
        aside = random.Random(f"learned panoramas {seed} beside {i}")
        for j, (place, place_height) in enumerate(_places_beside(caster, eye, eye_height, beside, aside)):
            view = PanoramaView(place, height, aside.uniform(-math.pi, math.pi), tilt)
            yield render_truth(caster, view, seed + 100 * j + i, paths=paths, shared_light=True), view, place_height


def parts_of(truth: Truth, view: PanoramaView, eye_height: float) -> UInt8[Tensor, "h w"]:
    """What each pixel belongs to: the floor is what looks up in the horizontal plane under the camera."""
    above = truth.distance * (directions(view.height) @ view.world_from_pano[2, :3].float()) + eye_height
    floor = (above.abs() < FLOOR_BAND * eye_height) & (truth.normal[2] > 0.9) & ~truth.sky
    part = torch.where(_IS_OBJECT[truth.semantic], OBJECT, ENVELOPE)
    part = torch.where(floor, FLOOR, part)
    return torch.where(truth.sky, SKY, part).byte()


def panoramas_of(folder: Path) -> list[tuple[Path, int]]:
    """All panoramas of a folder of `worldloom synth panoramas`: files and numbers in them, in order.

    Raises:
        InputError: there are none, or a file is damaged.
    """
    files = sorted(folder.glob("*-*.npz")) if folder.is_dir() else []
    found = [(file, i) for file in files for i in range(sum(name.startswith("rgb") for name in npz_keys(file)))]
    if not found:
        raise InputError(f"{folder}: expected a folder of panoramas (worldloom synth panoramas), got none")
    return found


def learned_panorama(truth: Truth, view: PanoramaView, eye_height: float, kind: str) -> LearnedPanorama:
    """A panorama with truth in the form that networks learn from."""
    distance = torch.where(truth.sky, FARTHEST, (truth.distance / eye_height).clamp(NEAREST, FARTHEST))
    rgb, part = (255 * truth.rgb).round().byte(), parts_of(truth, view, eye_height)
    return LearnedPanorama(rgb, distance, part, truth.semantic.byte(), eye_height, kind, view.world_from_pano.double())


def load_panoramas(path: str | Path, only: int | None = None) -> list[LearnedPanorama]:
    """The panoramas of a file of `write_panoramas`, or one of them.

    Raises:
        InputError: no such file, damaged, of another kind, or without that panorama.
    """
    path = Path(path)
    kind = path.name.split("-")[0]
    num = sum(name.startswith("rgb") for name in npz_keys(path))
    if num == 0 or (only is not None and not 0 <= only < num):
        raise InputError(f"{path}: expected a file of `worldloom synth panoramas` with panorama {only or 0}, got {num}")
    wanted = range(num) if only is None else (only,)
    layout = {"camera_height": "float32 n", "world_from_pano": "float64 n 4 4"}
    for i in wanted:
        layout |= {f"rgb{i}": "uint8 3 h w", f"log_distance{i}": "uint16 h w", f"part{i}": "uint8 h w"}
        layout |= {f"semantic{i}": "uint8 h w"}
    arrays = load_npz(path, layout, max_bytes=1 << 30)
    poses = torch.from_numpy(arrays["world_from_pano"])
    if not len(arrays["camera_height"]) == len(poses) == num or not bool(poses.isfinite().all()):
        got = f"{len(arrays['camera_height'])} and {len(poses)}"
        raise InputError(f"{path}: expected {num} camera heights and as many finite poses, got {got}")
    found = []
    for i in wanted:
        part = torch.from_numpy(arrays[f"part{i}"])
        if int(part.max()) > SKY:
            raise InputError(f"{path}: expected parts from 0 to {SKY}, got {int(part.max())}")
        semantic = torch.from_numpy(arrays[f"semantic{i}"])
        if int(semantic.max()) >= len(SEMANTICS):
            raise InputError(f"{path}: expected semantics from 0 to {len(SEMANTICS) - 1}, got {int(semantic.max())}")
        log = torch.from_numpy(arrays[f"log_distance{i}"].astype(np.float32)) * _STEP + _LOW
        found.append(
            LearnedPanorama(
                torch.from_numpy(arrays[f"rgb{i}"]),
                log.exp(),
                part,
                semantic,
                float(arrays["camera_height"][i]),
                kind,
                poses[i],
            )
        )
    return found


def _eye(caster: Caster, world: World, stand: int, dice: random.Random) -> tuple[Float[Tensor, "3"], float]:
    """A place near a stand with air around it, and its height over what is below."""
    base = world.stands[stand]
    ground = _height(caster, base)
    for _ in range(8):
        step = torch.tensor([dice.uniform(-0.4, 0.4), dice.uniform(-0.4, 0.4), 0.0])
        step[2] = dice.triangular(*_EYES, 1.55) - ground
        eye = base + step
        if abs(_height(caster, eye) - ground - float(step[2])) < 0.05 and _air(caster, eye) > _AIR:
            return eye, _height(caster, eye)
    return base, ground


def _places_beside(
    caster: Caster, eye: Float[Tensor, "3"], height: float, count: int, dice: random.Random
) -> Iterator[tuple[Float[Tensor, "3"], float]]:
    """Places that an eye sees, about as high above the ground, with air around them; and their heights."""
    found = 0
    for _ in range(_TRIES * count):
        away, angle = dice.uniform(*_ASIDE), dice.uniform(-math.pi, math.pi)
        place = eye + torch.tensor([away * math.cos(angle), away * math.sin(angle), dice.uniform(-0.2, 0.2)])
        if bool(caster.blocked(eye[None], (place - eye)[None], away + _AIR)[0]) or _air(caster, place) <= _AIR:
            continue
        own = _height(caster, place)
        if abs(own - height) < 0.5:
            yield place, own
            found += 1
        if found == count:
            return


def _height(caster: Caster, eye: Float[Tensor, "3"]) -> float:
    """Metres from an eye down to what is below it."""
    hit = caster.cast(eye[None], eye.new_tensor([[0.0, 0.0, -1.0]]))
    if not bool(hit.found[0]):
        raise AssertionError(f"nothing below the eye at {eye.tolist()}")
    return float(hit.distance[0])


def _air(caster: Caster, eye: Float[Tensor, "3"]) -> float:
    """Metres to the nearest surface, by rays in all directions."""
    towards = directions(12).reshape(-1, 3)
    hits = caster.cast(eye.expand_as(towards), towards)
    found = hits.distance[hits.found]
    return float(found.min()) if len(found) else math.inf
