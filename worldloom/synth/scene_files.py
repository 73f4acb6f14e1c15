"""A world as a folder: pictures with truth, cameras, the mesh, and what everything in it is."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from worldloom.errors import InputError
from worldloom.geometry import Camera, intrinsics, look_at
from worldloom.geometry.io.cameras import save_cameras
from worldloom.geometry.io.json_file import save_json
from worldloom.geometry.io.nerfstudio import save_nerfstudio
from worldloom.geometry.io.textured import save_textured_glb
from worldloom.geometry.posed_images import PosedImages
from worldloom.synth.bake import bake
from worldloom.synth.cast import Caster
from worldloom.synth.light.metering import metered_exposure
from worldloom.synth.light.pathtrace import path_trace
from worldloom.synth.truth import Truth, render_truth
from worldloom.synth.truth_file import save_truth
from worldloom.synth.views import PanoramaView, View
from worldloom.synth.world import SEMANTICS, World

MAKERS = ("room", "street", "courtyard", "field")
WORLD_FILE = "world.json"  # written last
_NEAR = 0.25  # metres; a camera comes no closer to a surface
_MESH_EFFORT = 2  # pictures in whose time the mesh's texture is painted, and again it is packed


@dataclass(frozen=True)
class SceneOptions:
    """What is rendered of a world."""

    panorama_height: int = 512
    num_panoramas: int = 2  # from the world's first stands
    num_views: int = 12  # pinhole views from around all stands
    view_size: tuple[int, int] = (384, 512)
    fov: float = math.radians(75)
    samples: int = 0  # paths a pixel; 0: sun exactly, and other light by a few paths that are smoothed
    mesh: bool = True

    def __post_init__(self) -> None:
        height, width = self.view_size
        if not (2 <= self.panorama_height <= 4096 and 1 <= height <= 4096 and 1 <= width <= 4096):
            raise InputError(
                f"expected a panorama height from 2 to 4096 and view sizes from 1 to 4096, "
                f"got {self.panorama_height} and {width}x{height}"
            )
        if min(self.num_panoramas, self.num_views, self.samples) < 0:
            raise InputError(
                f"expected counts of 0 or more, got {self.num_panoramas} panoramas, {self.num_views} views, "
                f"{self.samples} samples"
            )
        if self.num_panoramas + self.num_views == 0 and not self.mesh:
            raise InputError("expected panoramas, views or the mesh to make, got none of them")
        if not 0 < self.fov < math.pi:
            raise InputError(f"expected a field of view between 0 and 180 degrees, got {math.degrees(self.fov):g}")


STANDARD = SceneOptions()


def make_world(kind: str, seed: int) -> World:
    """The world of a seed.

    Raises:
        InputError: a kind that is not in MAKERS, or a negative seed.
    """
    if kind not in MAKERS:
        raise InputError(f"expected a world of {', '.join(MAKERS)}, got {kind!r}")
    if seed < 0:
        raise InputError(f"expected a seed of 0 or more, got {seed}")
    from worldloom.synth.outdoors import make_courtyard, make_field, make_street
    from worldloom.synth.rooms import make_room

    makers = {"room": make_room, "street": make_street, "courtyard": make_courtyard, "field": make_field}
    return makers[kind](seed)


def world_name(kind: str, seed: int) -> str:
    """Name of a world's folder, such as room-000003."""
    return f"{kind}-{seed:06d}"


def write_world(
    folder: Path, tell: Callable[[float, str], None], kind: str, seed: int, options: SceneOptions = STANDARD
) -> None:
    """Write `folder/<kind>-<seed>/`: panoramas/, views/, cameras.json, transforms.json, scene.glb and world.json.

    The same kind, seed and options give the same bytes. world.json comes last: where it is, all is there.
    """
    tell(0.0, "world")
    world = make_world(kind, seed)
    target = folder / world_name(kind, seed)
    for part in ("panoramas", "views"):
        (target / part).mkdir(parents=True, exist_ok=True)
    caster = Caster(world, num_threads=torch.get_num_threads())
    caster.world = replace(world, exposure=metered_exposure(caster))
    panoramas = [PanoramaView(stand, options.panorama_height) for stand in world.stands[: options.num_panoramas]]
    views = view_cameras(caster, options, random.Random(seed))
    pictures: list[tuple[str, View]] = [(f"panoramas/{i:03d}", view) for i, view in enumerate(panoramas)]
    pictures += [(f"views/{i:03d}", view) for i, view in enumerate(views)]
    effort = len(pictures) + 2 * _MESH_EFFORT * options.mesh
    for i, (name, view) in enumerate(pictures):
        tell(i / effort, f"picture {i + 1} of {len(pictures)}")
        save_truth(target / name, _picture(caster, view, options.samples, 1000 * seed + i))
    if views:
        cameras = Camera(
            torch.stack([v.world_from_cam for v in views]), torch.stack([v.K for v in views]), options.view_size
        )
        posed = PosedImages(cameras, tuple(f"views/{i:03d}.png" for i in range(len(views))))
        save_cameras(target / "cameras.json", posed)
        save_nerfstudio(target / "transforms.json", posed)
    if options.mesh:
        tell(len(pictures) / effort, "the mesh's texture")
        baked = bake(world)
        tell((len(pictures) + _MESH_EFFORT) / effort, "the mesh's file")
        save_textured_glb(target / "scene.glb", *baked)
    content = {
        "kind": kind,
        "seed": seed,
        "semantics": SEMANTICS,
        "things": [{"name": thing.name, "semantic": thing.semantic} for thing in world.things],
        "panoramas": [
            {"name": f"panoramas/{i:03d}.png", "world_from_pano": view.world_from_pano.tolist()}
            for i, view in enumerate(panoramas)
        ],
        "stands": world.stands.tolist(),
        "towards_sun": world.sky.towards_sun,
        "exposure": caster.world.exposure,
        "num_triangles": sum(len(part.faces) for thing in world.things for part in thing.parts),
    }
    save_json(target / WORLD_FILE, content)


def view_cameras(caster: Caster, options: SceneOptions, dice: random.Random) -> list[Camera]:
    """Cameras around the stands that look about: places a step apart and gazes that overlap, for reconstruction.

    Each stands in the free air around its stand, and none looks straight at a surface closer than a step.
    """
    K = intrinsics(options.fov, options.view_size)
    cameras = []
    stands = caster.world.stands
    start = dice.uniform(0, 2 * math.pi)
    for i in range(options.num_views):
        stand, turn = stands[i % len(stands)], i // len(stands)
        best = None
        for attempt in range(12):
            azimuth = start + 2.4 * turn + dice.uniform(-0.4, 0.4) + 0.5 * attempt
            pitch = dice.uniform(-0.25, 0.1)
            gaze = torch.tensor(
                [math.cos(pitch) * math.cos(azimuth), math.cos(pitch) * math.sin(azimuth), math.sin(pitch)]
            )
            step = torch.tensor([dice.uniform(-1, 1), dice.uniform(-1, 1), dice.uniform(-0.15, 0.15)])
            eye = stand + step * _reach(caster, stand, step)
            ahead = caster.cast(eye[None], gaze[None])
            clear = float(ahead.distance[0]) if bool(ahead.found[0]) else math.inf
            if best is None or clear > best[0]:
                best = (clear, eye, gaze)
            if clear > 1.0:
                break
        assert best is not None
        cameras.append(Camera(look_at(best[1], best[1] + best[2]), K, options.view_size))
    return cameras


def _reach(caster: Caster, stand: torch.Tensor, step: torch.Tensor) -> float:
    """The share of a step that can be taken before something is near."""
    hit = caster.cast(stand[None], step[None])
    length = float(step.norm())
    free = float(hit.distance[0]) - _NEAR if bool(hit.found[0]) else math.inf
    return max(0.0, min(1.0, free / max(length, 1e-6)))


def _picture(caster: Caster, view: View, samples: int, seed: int) -> Truth:
    return render_truth(caster, view, seed, radiance=path_trace(caster, view, samples, seed) if samples else None)
