"""Distance of panoramas on held-out worlds: the network beside the non-learned floor and a prior of rows alone."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch

from worldloom.apps.bench.result import Row
from worldloom.geometry import Panorama
from worldloom.geometry.equirect import directions, rays
from worldloom.recon.depth_metrics import DepthScore, score_depth
from worldloom.recon.merge_views import Kind, Reference, merge_views, ring_views
from worldloom.recon.panorama_depth import FARTHEST, PanoramaDepth, floor_plane
from worldloom.recon.panorama_distance import assume_distance
from worldloom.recon.scene_distance import EMBEDDED
from worldloom.recon.training.examples import place_of
from worldloom.synth.cast import Caster
from worldloom.synth.panoramas.panorama_files import (
    LearnedPanorama,
    load_panoramas,
    panorama_file,
    write_world_panoramas,
)
from worldloom.synth.panoramas.world_splits import WORLD_SPLITS, kind_of_world
from worldloom.synth.scene_files import make_world
from worldloom.synth.views import PanoramaView, pixel_centres, rays_through

_GOALS = {
    "absrel": ("depth_absrel", "<= 0.10"),
    "absrel_nonfloor": ("depth_absrel_nonfloor", "<= 0.15"),
    "delta1": ("depth_delta1", ">= 0.90"),
    "object_recall": ("object_recall", ""),
    "object_precision": ("object_precision", ""),
    "sky_iou": ("sky_iou", ">= 0.95"),
    "false_sky_indoors": ("false_sky_indoors", ""),
}
_JUMP = 0.1  # log distance between neighbours
_PANORAMAS = 2  # of each world


def distance_rows(quick: bool) -> list[Row]:
    """Errors, objects and sky on worlds of the test split; the error of merging exact views; CPU seconds."""
    seeds = WORLD_SPLITS["test"][: 4 if quick else 32]
    model = PanoramaDepth.from_pretrained(EMBEDDED)
    truths = held_out_panoramas(seeds)
    methods: dict[str, Callable[[LearnedPanorama], Panorama]] = {
        "floor": lambda truth: assume_distance(truth.rgb.float() / 255, camera_height=1.0),
        "best row prior": row_prior(truths),
        "learned": lambda truth: model.predict(truth.rgb.float() / 255, camera_height=1.0),
    }
    figures = {name: _scored(method, truths).figures() for name, method in methods.items()}
    note = f"{len(truths)} panoramas of {len(seeds)} worlds of the test split, scale by the camera's height, unaligned"
    rows = [
        _row(metric, goal, {name: figure[key] for name, figure in figures.items()}, note)
        for key, (metric, goal) in _GOALS.items()
    ]
    merged = merge_error(seeds[: 2 if quick else 6]), merge_error(seeds[: 2 if quick else 6], "disparity")
    note = "exact depths of overlapping views, each with a scale of its own; disparities with an offset, too"
    rows.append(Row("depth_merge_error", merged[0], "relative", "<= 0.005", {"of disparities": merged[1]}, note))
    rows.append(Row("depth_cpu_s", _cpu_seconds(model), "s of CPU", "", {}, "network and upsampling to 1024x512"))
    return rows


def held_out_panoramas(seeds: Iterable[int]) -> list[LearnedPanorama]:
    """The panoramas of these worlds, as training would have seen them."""
    with tempfile.TemporaryDirectory() as folder:
        found: list[LearnedPanorama] = []
        for seed in seeds:
            write_world_panoramas(Path(folder), lambda share, doing: None, seed, _PANORAMAS, 256)
            found += load_panoramas(Path(folder) / panorama_file(seed))
    return found


def row_prior(truths: Sequence[LearnedPanorama]) -> Callable[[LearnedPanorama], Panorama]:
    """The median distance and the commonest label of each row, told the kind of place, and fitted to these very truths.

    No method that sees rows alone can have smaller errors in log distance.
    """
    priors = {}
    for place in {place_of(truth) for truth in truths}:
        of_place = [truth for truth in truths if place_of(truth) == place]
        sky = torch.cat([truth.sky for truth in of_place], 1)
        log = torch.cat([truth.distance for truth in of_place], 1).log()
        log = torch.where(sky, torch.nan, log).nanmedian(1).values.nan_to_num(0.0)
        priors[place] = (log.exp().clamp(max=FARTHEST), sky.float().mean(1) > 0.5)

    def predict(truth: LearnedPanorama) -> Panorama:
        distance, sky = (values[:, None].expand(truth.part.shape) for values in priors[place_of(truth)])
        return Panorama(truth.rgb.float() / 255, distance, sky, torch.eye(4))

    return predict


def merge_error(seeds: Iterable[int], kind: Kind = "depth", rows: int = 128) -> float:
    """Mean relative error of `merge_views` where the network is exact but for each view's scale (and offset).

    Pixels next to a jump in distance are left out: what they show depends on sampling, not on the merge.
    """
    errors = []
    for seed in seeds:
        world = make_world(kind_of_world(seed), seed)
        caster, eye = Caster(world), world.stands[0]
        cameras, view = ring_views((192, 256)), PanoramaView(eye, rows)
        towards = (rays(cameras) @ cameras.world_from_cam[:, None, :3, :3].mT).reshape(-1, 3)
        height = float(caster.cast(eye[None], eye.new_tensor([[0.0, 0.0, -1.0]])).distance[0])
        seen = caster.cast(eye.expand_as(towards), towards)
        ranges = torch.where(seen.found, seen.distance.float() / height, FARTHEST)
        # `towards` is 1 along each view's axis, so ranges over its length are depths.
        depth = (ranges / towards.norm(dim=-1)).view(len(cameras), *cameras.size)
        truth = caster.cast(*rays_through(view, *pixel_centres(view)))
        distance = (truth.distance.float() / height).view(rows, 2 * rows)
        distance = torch.where(truth.found.view_as(distance), distance, FARTHEST)

        dice = torch.Generator().manual_seed(seed)
        scale, offset = (torch.rand(len(cameras), 1, 1, generator=dice) + 0.5 for _ in range(2))
        values = depth / scale if kind == "depth" else (1 / depth - offset) / scale
        plane, below = floor_plane(rows)
        on_floor = below & ((distance / plane.exp() - 1).abs() < 0.03)  # rugs lie on it
        references = [
            Reference(distance.log(), 2.0 * on_floor),
            Reference(torch.ones_like(plane), torch.full_like(plane, 0.005)),
        ]
        merged = merge_views(values, cameras, kind, references, rows)
        log = distance.log()
        jump = torch.stack([(log - log.roll(step, axis)).abs() for axis in (0, 1) for step in (1, -1)]).amax(0)
        ok = (jump < _JUMP) & ~merged.log_distance.isnan() & (distance < FARTHEST)
        errors.append(float((merged.log_distance.exp() / distance - 1).abs()[ok].mean()))
    return statistics.mean(errors)


def _scored(method: Callable[[LearnedPanorama], Panorama], truths: Sequence[LearnedPanorama]) -> DepthScore:
    score = DepthScore()
    for truth in truths:
        score = score + score_depth(method(truth), truth)
    return score


def _row(metric: str, goal: str, values: dict[str, float], note: str) -> Row:
    """The network's value beside the others."""
    return Row(metric, values.pop("learned"), "1", goal, values, note)


def _cpu_seconds(model: PanoramaDepth) -> float:
    picture = 0.5 + 0.4 * directions(512).permute(2, 0, 1)
    times = []
    for _ in range(3):
        began = time.process_time()
        model.predict(picture)
        times.append(time.process_time() - began)
    return statistics.median(times)
