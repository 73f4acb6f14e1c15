"""Reconstruction from photos: on held-out worlds with exact truth, on a folder of real photos, and what it costs."""

import math
import resource
import statistics
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.apps.bench.result import Row, cpu_seconds, measure
from worldloom.errors import InputError, MissingExtra, require
from worldloom.geometry import Camera, Gaussians, apply, intrinsics, look_at
from worldloom.geometry.camera_errors import align_cameras, pair_errors, pose_auc
from worldloom.geometry.equirect import rays
from worldloom.geometry.io.photo_set import PhotoSet
from worldloom.recon import Photos, RefineConfig, SweepConfig, plane_sweep, refine, splats_from_depth, undistorted
from worldloom.recon.depth_prior import join_prior
from worldloom.recon.depth_splats import splats_from_points, with_shell
from worldloom.recon.photo_files import load_photos
from worldloom.recon.photo_scores import held_out, scores
from worldloom.recon.structure_from_motion import cameras_by_colmap
from worldloom.recon.surface_placement import near_any
from worldloom.render import render
from worldloom.synth.cast import Caster
from worldloom.synth.light.metering import metered_exposure
from worldloom.synth.panoramas.world_splits import WORLD_SPLITS, kind_of_world
from worldloom.synth.scene_files import make_world
from worldloom.synth.truth import Truth, render_truth

LEARNED, HELD = 8, 2  # views of a world
SIZE = (144, 192)
FULL = (360, 480)  # of the pictures in which cameras are looked for
FOV = math.radians(75)
ARC = 0.6  # metres from the middle of the row of cameras to its ends
STEPS = 400
NEAR = 0.05  # of the median depth: how near a point must be to count, F1@0.05
FAR = 100.0  # metres; farther things have no depth to be asked
PRIOR_SCALE, PRIOR_NOISE = 1.7, 0.02  # what a depth prior of another unit is given
KINDS = ("room", "street")
_STEPS_TIMED = 16
_HOLD_OUT = 8  # every 8th photo


def run(quick: bool, data: Path | None = None) -> list[Row]:
    """Rows of worlds and of cost; with `data`, a folder of photos with cameras, also five minutes on those."""
    seeds = _seeds(1)[:1] if quick else _seeds(3)
    worlds = [photographed_world(seed) for seed in seeds]
    found = [cameras_found(photographed_world(seed, FULL)[0]) for seed in seeds] if _has_colmap() else []
    steps = STEPS // 10 if quick else STEPS
    rows = [*world_rows(worlds, steps, found), *pose_rows(found), *cost_rows(worlds[0][0])]
    return rows if data is None else [*photo_rows(data, 0.1 if quick else 5.0), *rows]


def _seeds(num: int) -> list[int]:
    """The first worlds of each kind in the test split."""
    return [s for kind in KINDS for s in [s for s in WORLD_SPLITS["test"] if kind_of_world(s) == kind][:num]]


def photographed_world(seed: int, size: tuple[int, int] = SIZE) -> tuple[Photos, list[Truth]]:
    """Ten views of a world of the test split, in a slightly curved row, all looking at the same things.

    The row stands across the direction in which most is free, and is shortened where something is in its way.
    """
    world = make_world(kind_of_world(seed), seed)
    caster, stand = Caster(world), world.stands[0].float()
    # Exposed as a photographer would: dark pictures would have small errors.
    caster.world = replace(world, exposure=metered_exposure(caster))
    azimuth = torch.arange(16) * (2 * math.pi / 16)
    around = torch.stack([azimuth.cos(), azimuth.sin(), torch.full_like(azimuth, -0.1)], -1)
    free = caster.cast(stand.expand(16, 3), around)
    reach = torch.where(free.found, free.distance.float(), 30.0).clamp(max=30.0)
    gaze = around[int(reach.argmax())]
    target = stand + gaze * min(4.0, float(reach.max()))
    across = torch.nn.functional.normalize(torch.linalg.cross(gaze, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    sides = caster.cast(stand.expand(2, 3), torch.stack([across, -across]))
    room = torch.where(sides.found, sides.distance.float() - 0.25, ARC).clamp(0.1, ARC)
    num = LEARNED + HELD
    along = torch.linspace(-float(room[1]), float(room[0]), num)
    lift = 0.15 * (6.28 * torch.arange(num) / num).sin()
    eyes = stand + along[:, None] * across + lift[:, None] * torch.tensor([0.0, 0.0, 1.0])
    cameras = Camera(look_at(eyes, target.expand(num, 3)), intrinsics(FOV, size).expand(num, 3, 3).clone(), size)
    truths = [render_truth(caster, cameras[i], seed=seed + i, supersample=2) for i in range(num)]
    rgb = torch.stack([truth.rgb for truth in truths])
    valid = torch.ones(num, *size, dtype=torch.bool)
    return Photos(cameras, rgb, valid, tuple(f"{i:03d}" for i in range(num))), truths


@dataclass(frozen=True)
class FoundCameras:
    """Cameras that were looked for in pictures alone."""

    errors: Float[Tensor, " p"]  # degrees, of all pairs of pictures; infinite where either found no place
    names: tuple[str, ...]  # of those that found one
    photos: Photos | None  # these, in the world and unit of the true ones, at SIZE


def cameras_found(full: Photos) -> FoundCameras:
    """What structure from motion finds, beside the true cameras of the pictures."""
    true = full.cameras.world_from_cam
    found = torch.full_like(true, torch.nan)
    try:
        posed = cameras_by_colmap(PhotoSet(full.names, full.rgb, full.cameras.size))
    except InputError:
        return FoundCameras(pair_errors(found, true), (), None)
    at = torch.tensor([full.names.index(name) for name in posed.names])
    mine = posed.cameras.world_from_cam.to(true)
    found[at] = mine
    cameras = replace(posed.cameras, world_from_cam=align_cameras(mine, true[at]).poses(mine))
    photos = undistorted(replace(posed, cameras=cameras), full.rgb[at]).resized(max(SIZE))
    return FoundCameras(pair_errors(found, true), posed.names, photos)


def _has_colmap() -> bool:
    try:
        require("pycolmap", "colmap", "cameras of photos that come without")
    except MissingExtra as error:
        print(f"left out: {error}")
        return False
    return True


def pose_rows(found: Sequence[FoundCameras]) -> list[Row]:
    """How well cameras are found by pictures alone."""
    if not found:
        return []
    errors = torch.cat([one.errors for one in found])
    placed = sum(len(one.names) for one in found)
    note = (
        f"structure from motion by COLMAP; {placed} of {len(found) * (LEARNED + HELD)} pictures of {FULL[1]}x{FULL[0]} "
        f"of {len(found)} worlds found a place; {len(errors)} pairs, exact area, what was not found counts"
    )
    return [Row(f"pose_auc{most:g}", 100 * pose_auc(errors, most), "%", "", {}, note) for most in (5.0, 30.0)]


def world_rows(
    worlds: list[tuple[Photos, list[Truth]]], steps: int, found_cameras: Sequence[FoundCameras]
) -> list[Row]:
    """PSNR, F1 and depth of unseen views: stereo and refinement, each alone, a prior of depth, and no cameras."""
    held = [2, 6][:HELD]
    found: dict[str, list[tuple[float, float, float]]] = {}
    for number, (photos, truths) in enumerate(worlds):
        used = [i for i in range(len(photos)) if i not in held]
        learned = photos[used]
        swept = plane_sweep(learned, SweepConfig(long_side=max(SIZE)))
        start = splats_from_depth(learned, swept)
        given = torch.stack([truths[i].depth for i in used])  # pyright: ignore[reportArgumentType, reportCallIssue]
        sky = torch.stack([truths[i].sky for i in used])
        noise = 1 + PRIOR_NOISE * torch.randn(given.shape, generator=torch.Generator().manual_seed(0))
        prior = join_prior(swept, torch.where(sky, torch.nan, PRIOR_SCALE * noise * given)).depth
        config = RefineConfig(steps=steps)
        made = {
            "both": refine(start, learned, config, depth=swept).gaussians,
            "plane sweep alone": start,
            "refine alone": refine(random_splats(learned), learned, config).gaussians,
            "with depth": refine(splats_from_depth(learned, prior), learned, config, depth=prior).gaussians,
        }
        if found_cameras:
            unheld = {photos.names[i] for i in used}
            made["no cameras"] = _without_cameras(found_cameras[number], unheld, config) or random_splats(learned)
        for name, gaussians in made.items():
            found.setdefault(name, []).append(_scored(gaussians, photos[held], [truths[i] for i in held]))
    means = {name: [statistics.mean(column) for column in zip(*some, strict=True)] for name, some in found.items()}
    of = [dict(zip(means, column, strict=True)) for column in zip(*means.values(), strict=True)]
    note = (
        f"{len(worlds)} worlds of the test split, {LEARNED} posed views of {SIZE[1]}x{SIZE[0]}, "
        f"{len(held)} unseen, {steps} steps"
    )
    psnr, f1, absrel = (dict(values) for values in of)
    gain = absrel["both"] / absrel["with depth"]
    poses = {"poses, over none": absrel["no cameras"] / absrel["both"]} if "no cameras" in absrel else {}
    prior_note = f"error of depth by poses alone over that with noisy depth of another unit, too; {note}"
    return [
        Row("recon_psnr", psnr.pop("both"), "dB", ">= 25", psnr, note),
        Row("recon_f1", f1.pop("both"), "1", "", f1, f"within {NEAR} of the median depth, no alignment; {note}"),
        Row("recon_depth_absrel", absrel.pop("both"), "1", "<= 0.10", absrel, f"rendered depth, unaligned; {note}"),
        Row("prior_gain", gain, "x", ">= 1", poses, prior_note),
    ]


def _without_cameras(found: FoundCameras, names: Container[str], config: RefineConfig) -> Gaussians | None:
    """The reconstruction from those of the named pictures whose cameras were found; None of fewer than two."""
    if found.photos is None:
        return None
    learned = found.photos[[i for i, name in enumerate(found.names) if name in names]]
    if len(learned) < 2:
        return None
    swept = plane_sweep(learned, SweepConfig(long_side=max(SIZE)))
    return refine(splats_from_depth(learned, swept), learned, config, depth=swept).gaussians


def random_splats(photos: Photos, num: int = 8000, seed: int = 0) -> Gaussians:
    """Grey splats anywhere before the cameras, evenly in inverse depth; what refinement starts from without stereo."""
    dice = torch.Generator().manual_seed(seed)
    v, (height, width) = len(photos), photos.cameras.size
    view = torch.randint(v, (num,), generator=dice)
    row, column = torch.randint(height, (num,), generator=dice), torch.randint(width, (num,), generator=dice)
    eyes = photos.cameras.world_from_cam[:, :3, 3]
    nearest = 4 * float((eyes - eyes.mean(0)).norm(dim=-1).median())
    depth = nearest / torch.rand(num, 1, generator=dice).clamp(min=0.05)
    local = rays(photos.cameras)[view, row, column] * depth
    xyz = apply(photos.cameras.world_from_cam[view], local[:, None])[:, 0]
    return with_shell(splats_from_points(xyz, photos.rgb[view, :, row, column]), photos)


def _scored(gaussians: Gaussians, photos: Photos, truths: list[Truth]) -> tuple[float, float, float]:
    """PSNR, F1 of points and AbsRel of depth, means over unseen views."""
    f1, absrel = [], []
    for i, truth in enumerate(truths):
        drawn = render(gaussians, photos.cameras[i])
        assert truth.depth is not None
        asked = ~truth.sky & (truth.depth < FAR)
        # Where splats let light through there is no depth; what is missed counts as far away.
        depth = torch.where(drawn.median_valid, drawn.median_depth, FAR)
        absrel.append(float((depth / truth.depth - 1).abs()[asked].clamp(max=1).mean()))
        near = NEAR * float(truth.depth[asked].median())
        local = rays(photos.cameras[i])
        told, known = (local * d[..., None] for d in (depth, truth.depth))
        # Also what floats before the sky counts.
        f1.append(_f1(told[drawn.median_valid & (depth < FAR)], known[asked], near))
    return scores(gaussians, photos)["psnr_db"], statistics.mean(f1), statistics.mean(absrel)


def _f1(points: Float[Tensor, "n 3"], truth: Float[Tensor, "m 3"], near: float) -> float:
    """2 P R / (P + R): P of points near the truth, R of the truth near points."""
    if not len(points) or not len(truth):
        return 0.0
    precision, recall = (float(near_any(*of, near).double().mean()) for of in ((points, truth), (truth, points)))
    return 2 * precision * recall / max(precision + recall, 1e-12)


def photo_rows(data: Path, minutes: float) -> list[Row]:
    """PSNR of photos that refinement never saw, after so many minutes of it."""
    taken = load_photos(data)
    if taken.posed is None:
        raise InputError(f"{data}: expected photos with cameras to measure by, got photos alone")
    photos = undistorted(taken.posed, taken.photos.rgb)
    held = held_out(len(photos), _HOLD_OUT)
    learned = photos[[i for i in range(len(photos)) if i not in held]]
    began = cpu_seconds()
    swept = plane_sweep(learned)
    start = splats_from_depth(learned, swept)
    sweep = cpu_seconds() - began
    began = cpu_seconds()
    done = refine(start, learned, RefineConfig(minutes=minutes), depth=swept)
    spent = cpu_seconds() - began
    after, before = scores(done.gaussians, photos[held]), scores(start, photos[held])
    height, width = photos.cameras.size
    note = (
        f"{len(held)} of {len(photos)} photos of {data.name} unseen (every 8th from the first), {width}x{height}, "
        f"{minutes:g} min of refinement: {done.steps} steps, {spent:.0f} s of CPU; stereo {sweep:.0f} s of CPU"
    )
    name = f"{data.name}_psnr_{minutes:g}min"
    return [
        Row(name, after["psnr_db"], "dB", ">= 23", {"plane sweep alone": before["psnr_db"]}, note),
        Row(f"{name}_exposed", after["psnr_exposed_db"], "dB", "", {"plane sweep alone": before["psnr_exposed_db"]},
            "gain and offset of each colour fitted to the unseen photo"),
        Row(f"{data.name}_ssim", after["ssim"], "1", "", {"plane sweep alone": before["ssim"]}, "Gaussian window, 11"),
    ]  # fmt: skip


def cost_rows(photos: Photos) -> list[Row]:
    """Steps a CPU second, how cost grows with views, pixels and splats, and peak memory."""
    some = photos[list(range(4))]
    swept = plane_sweep(photos, _swept_at(192))
    start = splats_from_depth(photos, swept)
    half = start[torch.arange(0, len(start), 2)]
    config = RefineConfig(steps=_STEPS_TIMED, levels=((0.0, 1),), grow=(2.0, 2.0), bands=(0.0, 0.0))
    calls = {
        "sweep, 8 views": lambda: plane_sweep(photos[list(range(8))], _swept_at(96)),
        "sweep": lambda: plane_sweep(some, _swept_at(96)),
        "sweep, twice as wide": lambda: plane_sweep(some, _swept_at(192)),
        "refine": lambda: refine(start, photos, config, depth=swept),
        "refine, half the splats": lambda: refine(half, photos, config, depth=swept),
        "refine, half as wide": lambda: refine(start, photos, replace(config, long_side=96), depth=swept),
    }
    cpu = {name: timing.cpu_median for name, timing in measure(calls, repeats=3, warmup=1).items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    size = f"{len(start)} splats, {len(photos)} views of {SIZE[1]}x{SIZE[0]}"
    note = "CPU, median of 3 in turn: "
    growths = {
        "growth_sweep_views": ("sweep, 8 views", "sweep", "8 views over 4"),
        "growth_sweep_pixels": (
            "sweep, twice as wide",
            "sweep",
            "192 pixels over 96: four times the pixels, more planes",
        ),
        "growth_refine_pixels": ("refine", "refine, half as wide", "192 pixels over 96"),
        "growth_refine_splats": ("refine", "refine, half the splats", "all splats over half of them"),
    }
    return [
        Row("refine_iters_per_s", _STEPS_TIMED / cpu["refine"], "1/s of CPU", "", {}, f"{size}, two bands of colour"),
        *(Row(name, cpu[more] / cpu[less], "x", "", {}, note + words) for name, (more, less, words) in growths.items()),
        Row("peak_gb", peak, "GB", "", {}, "of the whole benchmark, worlds and truth included"),
    ]


def _swept_at(long_side: int) -> SweepConfig:
    return SweepConfig(long_side=long_side, first_side=64)
