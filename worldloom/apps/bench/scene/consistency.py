"""A short walk through a scene: do its frames agree with one another, and with the world that they stand for?

Splats stand still, so their frames agree by construction but for what blending does; where they stand is another
question. That is why figures which ask for no truth stand beside those of true frames, in order and in reverse.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.apps.bench.result import Row
from worldloom.errors import MissingExtra
from worldloom.geometry import Camera, Gaussians, Panorama, intrinsics, look_at
from worldloom.recon.frame_consistency import FlowError, Frames, flow_error, sampson_errors
from worldloom.recon.panorama_backdrop import scene_splats
from worldloom.recon.panorama_splats import splats_from_panorama
from worldloom.recon.scene_distance import EMBEDDED, distance_of_panorama
from worldloom.recon.surface_placement import CELL, CLEARLY, NEAR, SOLID, Placement, placement
from worldloom.scenegen.free_space import REACH
from worldloom.synth.cast import Caster
from worldloom.synth.light.metering import metered_exposure
from worldloom.synth.panoramas.world_splits import WORLD_SPLITS, kind_of_world
from worldloom.synth.scene_files import make_world
from worldloom.synth.truth import render_truth
from worldloom.synth.views import PanoramaView

_LENGTH = 2.0  # metres of the walk, where there is room
_GAZE = (math.radians(60), math.radians(30))  # to the left of the way, at its start and end: surfaces pass by
_FIELD = math.radians(90)
_AIR = 0.3  # metres around the way
_DIRECTIONS = 32  # of which the freest is taken
_SIZE = (192, 256)  # of the frames: the angle of a pixel is that of a panorama of 512 rows
_PATHS = 4  # of light for each point
_SCENE, _TRUTH, _REVERSED = "scene", "truth", "truth in reverse"


@dataclass(frozen=True)
class World:
    """A place in a world whose every answer is known, and a walk from there."""

    panorama: Panorama  # of exact distance; the sky far away
    eye: float  # metres over the ground
    frames: Frames  # what is truly seen on the walk


def consistency_rows(quick: bool) -> list[Row]:
    """Change of colour along exact flow, epipolar error of matches, holes, splats astray, and coverage."""
    seeds = _one_of_each_kind(WORLD_SPLITS["test"])[: 1 if quick else None]
    num_frames, rows = (3, 128) if quick else (5, 512)
    walks: dict[str, list[Frames]] = {}
    placed: dict[str, Placement] = {}
    for seed in seeds:
        world = world_with_walk(seed, num_frames, rows)
        truth = world.frames
        walks.setdefault(_TRUTH, []).append(truth)
        walks.setdefault(_REVERSED, []).append(replace(truth, rgb=truth.rgb.flip(0)))
        for name, gaussians in _scenes(world).items():
            one, shown = placement(gaussians, truth, world.panorama.world_from_pano[:3, 3], REACH)
            placed[name] = placed.get(name, Placement()) + one
            # The sky's shell has a depth, too, but where the world has sky there is no surface to compare.
            walks.setdefault(name, []).append(replace(shown, solid=shown.solid & truth.solid))
    kinds = ", ".join(map(kind_of_world, seeds))
    walk = f"{num_frames} frames of {_SIZE[1]}x{_SIZE[0]} over at most {_LENGTH:g} m"
    note = f"{walk} in a world of each kind of the test split ({kinds}), {2 * rows}x{rows}"
    return [*_flow_rows(walks, note), *_sampson_rows(walks), *_placement_rows(placed, note)]


def _flow_rows(walks: dict[str, list[Frames]], note: str) -> list[Row]:
    own = {name: sum(map(flow_error, frames), FlowError()) for name, frames in walks.items()}
    true = {name: sum(map(_along_true_flow, frames, walks[_TRUTH]), FlowError()) for name, frames in walks.items()}
    changed = (
        "mean |change| of display values to the next frame and back, along flow by the frames' own depth and poses, "
        "where both frames see the surface; true frames keep gloss, fine texture and noise of light, which a scene "
        "blurs or wears as paint: exact distance is what it can reach"
    )
    elsewhere = "as walk_flow_l1, along flow by true depth: what stands elsewhere moves otherwise"
    asked = "share of pixels with a surface that walk_flow_l1 compares"
    return [
        _row("walk_flow_l1", {name: flow.l1 for name, flow in own.items()}, "1", f"{changed}; {note}"),
        _row("walk_flow_visible", {name: flow.visible for name, flow in own.items()}, "1", asked),
        _row("walk_true_flow_l1", {name: flow.l1 for name, flow in true.items()}, "1", elsewhere),
    ]


def _along_true_flow(frames: Frames, truth: Frames) -> FlowError:
    return flow_error(replace(frames, depth=truth.depth, solid=truth.solid))


def _sampson_rows(walks: dict[str, list[Frames]]) -> list[Row]:
    pairs = list(pairwise(range(len(walks[_TRUTH][0]))))
    try:
        errors = {name: torch.cat([sampson_errors(walk, pairs) for walk in many]) for name, many in walks.items()}
    except MissingExtra as error:
        print(f"left out: {error}")
        return []
    matches = "of SIFT matches (ratio 0.8, both ways, unfiltered) of successive frames, by the poses that drew them"
    counts = {name: len(errors[name]) / (len(many) * len(pairs)) for name, many in walks.items()}
    counted = "of two frames, for walk_sampson_px: pictures of nothing have no error"
    return [
        _row("walk_sampson_px", {name: float(e.mean()) for name, e in errors.items()}, "px", f"mean {matches}"),
        _row("walk_sampson_median_px", {name: _median(e) for name, e in errors.items()}, "px", f"median {matches}"),
        _row("walk_matches", counts, "matches", counted),
    ]


def _placement_rows(placed: dict[str, Placement], note: str) -> list[Row]:
    floating = f"share of all opacity shown that is of splats nearer than the true depth / {CLEARLY:g} at their middles"
    covered = (
        f"share of the true surface in sight within {REACH:g} m, each {100 * CELL:g} cm once, that has something shown "
        f"nearer to it than {NEAR:g} of its distance from the panorama"
    )
    asked = {
        "walk_holes": ("holes", f"share of pixels of true surface with opacity under {SOLID:g}; {note}"),
        "walk_floating_opacity": ("before", floating),
        "walk_sunken_opacity": ("behind", f"as walk_floating_opacity, farther than {CLEARLY:g} times the true depth"),
        "walk_coverage": ("coverage", covered),
    }
    figures = {name: one.figures() for name, one in placed.items()}
    return [
        _row(metric, {name: one[key] for name, one in figures.items()}, "1", text)
        for metric, (key, text) in asked.items()
    ]


def _median(errors: Float[Tensor, " n"]) -> float:
    return float(errors.median()) if len(errors) else math.nan


def _row(metric: str, values: dict[str, float], unit: str, note: str) -> Row:
    """The scene's value beside the others."""
    return Row(metric, values.pop(_SCENE), unit, "", values, note)


def _scenes(world: World) -> dict[str, Gaussians]:
    """The scene as a user gets it, without what is behind it, and with nothing left to estimate."""
    learned = distance_of_panorama(world.panorama.rgb, world.eye, EMBEDDED).panorama
    learned = replace(learned, world_from_pano=world.panorama.world_from_pano)
    return {
        _SCENE: scene_splats(learned),
        "warp": splats_from_panorama(learned),
        "exact distance": scene_splats(world.panorama),
    }


def _one_of_each_kind(seeds: Sequence[int]) -> list[int]:
    """The first seed of every kind of world, in order."""
    first: dict[str, int] = {}
    for seed in seeds:
        first.setdefault(kind_of_world(seed), seed)
    return sorted(first.values())


def world_with_walk(seed: int, num_frames: int, rows: int) -> World:
    """The panorama of a seed's world at its best stand, and the walk from there with its frames."""
    world = make_world(kind_of_world(seed), seed)
    caster = Caster(world, num_threads=1)
    caster.world = replace(world, exposure=metered_exposure(caster, num_stands=1, seed=seed))

    eye = world.stands[0]
    view = PanoramaView(eye, rows)
    around = render_truth(caster, view, seed, paths=_PATHS, shared_light=True)
    distance = torch.where(around.sky, 1000.0, around.distance)
    panorama = Panorama(around.rgb, distance, around.sky, view.world_from_pano.float())
    below = caster.cast(eye[None], eye.new_tensor([[0.0, 0.0, -1.0]]))
    cameras = _walk(caster, eye.float(), num_frames)
    seen = [render_truth(caster, cameras[i], seed, paths=_PATHS, supersample=2) for i in range(num_frames)]
    depth = torch.stack([one.depth for one in seen if one.depth is not None])
    frames = Frames(cameras, torch.stack([one.rgb for one in seen]), depth, ~torch.stack([one.sky for one in seen]))
    return World(panorama, float(below.distance[0]), frames)


def _walk(caster: Caster, eye: Float[Tensor, "3"], num_frames: int) -> Camera:
    """Level, straight on in the freest of all directions, with a gaze that turns from the side towards the way."""
    azimuth = 2 * math.pi * torch.arange(_DIRECTIONS) / _DIRECTIONS
    ahead = torch.stack([azimuth.cos(), azimuth.sin(), torch.zeros_like(azimuth)], -1)
    left = torch.stack([-ahead[:, 1], ahead[:, 0], ahead[:, 2]], -1)
    up = torch.tensor([0.0, 0.0, 1.0])
    beside = torch.stack([y * left + z * up for y in (-_AIR, 0.0, _AIR) for z in (-_AIR, 0.0, _AIR)], 1)
    hits = caster.cast((eye + beside).reshape(-1, 3), ahead[:, None].expand_as(beside).reshape(-1, 3))
    free = torch.where(hits.found, hits.distance.float(), math.inf).view(_DIRECTIONS, -1).amin(1)
    best = int(free.argmax())
    length = min(_LENGTH, max(float(free[best]) - _AIR, 0.0))
    eyes = eye + length * torch.linspace(0, 1, num_frames)[:, None] * ahead[best]
    gaze = torch.linspace(*_GAZE, num_frames)[:, None]
    towards = gaze.cos() * ahead[best] + gaze.sin() * left[best]
    return Camera(look_at(eyes, eyes + towards), intrinsics(_FIELD, _SIZE).expand(num_frames, 3, 3).clone(), _SIZE)
