"""Procedural worlds: rays, pictures and drives against the clock, and whether the same bytes come again."""

import hashlib
import statistics
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.apps.bench.result import Row, measure
from worldloom.apps.bench.town_statistics import statistics_rows
from worldloom.errors import require
from worldloom.geometry.io.images import LUMINANCE, linear_from_srgb
from worldloom.synth.cast import Caster
from worldloom.synth.dataset.observe import Sensors
from worldloom.synth.dataset.scenes import SCENE_SECONDS, plan_scenes, write_scene
from worldloom.synth.generate import Job, generate
from worldloom.synth.light.metering import metered_exposure
from worldloom.synth.light.pathtrace import path_trace
from worldloom.synth.scene_files import SceneOptions, make_world, world_name, write_world
from worldloom.synth.shapes import box, ellipsoid
from worldloom.synth.skies.sky import Sky
from worldloom.synth.towns.town import make_town
from worldloom.synth.traffic.drive import drive_town
from worldloom.synth.truth import render_truth
from worldloom.synth.views import PanoramaView, pixel_centres, rays_through
from worldloom.synth.voxels.voxelize import Voxelizer, voxelized_frames
from worldloom.synth.world import Material, Thing, World


def run(quick: bool) -> list[Row]:
    """Rays, pictures, towns, determinism and what towns' labels look like, in this order."""
    timed = [*_ray_rows(quick), *_picture_rows(quick), _light_row(quick), *_town_rows(quick)]
    return [*timed, *_determinism_rows(quick), *statistics_rows(quick)]


def _ray_rows(quick: bool) -> list[Row]:
    """Camera and random rays in a closed hall of half a million triangles, beside Embree without our layer."""
    world = crowded_hall(num_balls=6 if quick else 30, sides=64 if quick else 192)
    caster = Caster(world)
    view = PanoramaView(world.stands[0], 128 if quick else 707)
    origins, directions = rays_through(view, *pixel_centres(view))
    generator = torch.Generator().manual_seed(0)
    scattered = torch.nn.functional.normalize(torch.randn(directions.shape, generator=generator).double(), dim=-1)
    rtcore: Any = require("embreex.rtcore", "synth", "casting rays into worlds")
    scenes: Any = require("embreex.rtcore_scene", "synth", "casting rays into worlds")
    meshes: Any = require("embreex.mesh_construction", "synth", "casting rays into worlds")
    bare = scenes.EmbreeScene(rtcore.EmbreeDevice())
    soup = caster.soup.first
    vertices, faces = soup.vertices.float().numpy(), soup.faces.numpy()
    meshes.TriangleMesh(bare, vertices, faces)
    rows = []
    for metric, d, goal in (("rays_per_s", directions, ">= 4e6"), ("random_rays_per_s", scattered, "")):
        o32, d32 = origins.numpy().astype(np.float32), d.numpy().astype(np.float32)
        times = measure(
            {
                "worldloom": lambda d=d: caster.cast(origins, d),
                "embreex, one thread": lambda o=o32, d=d32: bare.run(o, d, query="INTERSECT", output=1),
            },
            repeats=3 if quick else 7,
        )
        rates = {name: len(d) / timing.wall_median for name, timing in times.items()}
        note = (
            f"{len(d):,} rays from one point, {caster.soup.num_faces:,} triangles, {caster.num_threads} threads; "
            "distance, triangle and place in it"
        )
        rows.append(Row(metric, rates.pop("worldloom"), "1/s", goal, rates, note))
    return rows


def crowded_hall(num_balls: int, sides: int) -> World:
    """A room of 20 m with balls in it: every ray ends."""
    dice = np.random.default_rng(0)
    grey = Material("grey", (0.5, 0.5, 0.5))
    things = [Thing("hall", "wall", (box((20, 20, 20), (0, 0, 0), grey),))]
    for _ in range(num_balls):
        x, y, z = dice.uniform(-7, 7, 3) + 2
        rx, ry, rz = dice.uniform(0.3, 1.2, 3)
        ball = ellipsoid((rx, ry, rz), (x, y, z), grey, sides=sides, rings=sides // 4)
        things.append(Thing("ball", "clutter", (ball,)))
    return World("room", 0, tuple(things), Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3))


def _picture_rows(quick: bool) -> list[Row]:
    rows = []
    height, samples = (64, 2) if quick else (512, 32)
    for kind in ("room", "street"):
        world = make_world(kind, 0)
        caster = Caster(world)
        view = PanoramaView(world.stands[0], height)
        half = PanoramaView(world.stands[0], height // 2)
        times = measure(
            {
                "truth": lambda c=caster, v=view: render_truth(c, v),
                "path": lambda c=caster, v=half: path_trace(c, v, samples, 0),
            },
            repeats=1 if quick else 3,
            warmup=1,
        )
        about = f"{caster.soup.num_faces:,} triangles, {caster.num_threads} threads"
        truth, path = times["truth"], times["path"]
        name = "panorama_s" if kind == "room" else "panorama_street_s"
        note = f"{2 * height}x{height}, sun exact, other light by a few denoised paths, all truth; {about}"
        rows.append(Row(name, truth.wall_median, "s", "<= 3", {"CPU": truth.cpu_median}, note))
        name = "path_traced_s" if kind == "room" else "path_traced_street_s"
        note = f"{height}x{height // 2}, {samples} paths a pixel; {about}"
        rows.append(Row(name, path.wall_median, "s", "<= 6", {"CPU": path.cpu_median}, note))
    return rows


def _light_row(quick: bool) -> Row:
    """How far the light of quick pictures is from that of many paths, in rooms that windows alone light."""
    height, many, seeds = (32, 16, (7107,)) if quick else (256, 512, (7102, 7107, 7108))
    errors: dict[bool, list[float]] = {True: [], False: []}
    for seed in seeds:
        world = make_world("room", seed)
        caster = Caster(world)
        caster.world = replace(world, exposure=metered_exposure(caster, num_stands=1, seed=seed))
        view = PanoramaView(world.stands[0], height)
        truth = render_truth(caster, view, seed + 1, paths=many, shared_light=True, reuse=False)
        paths = 12  # as pictures of 512 rows have
        for reuse, found in errors.items():
            quickly = render_truth(caster, view, seed, paths=paths, shared_light=True, reuse=reuse)
            stops = (_stops(quickly.rgb) - _stops(truth.rgb))[~truth.sky]
            found.append(stops.square().mean().sqrt().item())
    known, followed = (statistics.mean(errors[reuse]) for reuse in (True, False))
    note = f"RMS of log2 luminance against {many} paths a point, {len(seeds)} dim rooms, {2 * height}x{height}"
    return Row("room_light_stops", known, "EV", "", {"every path to its end": followed}, note)


def _stops(rgb: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """log2 of a picture's luminance; what is darker than its darkest step is as dark as that."""
    linear = linear_from_srgb(rgb.clamp(min=1 / 255))
    return torch.einsum("chw,c->hw", linear, linear.new_tensor(LUMINANCE)).log2()


def _town_rows(quick: bool) -> list[Row]:
    """One scene end to end, voxels alone, and many scenes on two workers."""
    seconds = 2.0 if quick else SCENE_SECONDS
    rows = []
    for metric, sensors, goal, what in (
        ("town_scene_s", Sensors(lidar=True, picture_width=None), "<= 30", "and LiDAR sweeps, no pictures"),
        ("town_scene_labels_s", Sensors(lidar=False, picture_width=None), "", "no sensors"),
    ):
        spec = replace(plan_scenes(0, 0.1, sensors)[0], seconds=seconds)
        with tempfile.TemporaryDirectory() as name:
            start = time.perf_counter()
            _all_of(generate([Job(spec.name, write_scene, spec.done, {"spec": spec})], Path(name)))
            wall = time.perf_counter() - start
        note = f"{seconds:g} s at 2 Hz in one process, from nothing: network, town, SUMO, labels with masks {what}"
        rows.append(Row(metric, wall, "s", goal, note=note))
    rows.append(_voxel_row(quick))
    specs = [replace(spec, seconds=seconds) for spec in plan_scenes(1, 0.6 if quick else 4, Sensors(False, None))]
    jobs = [Job(spec.name, write_scene, spec.done, {"spec": spec}) for spec in specs]
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        _all_of(generate(jobs, Path(name), num_workers=2))
        wall = time.perf_counter() - start
        frames = len(list(Path(name).glob("gts/*/*/labels.npz")))
    towns = len({spec.town_seed for spec in specs})
    note = (
        f"{frames} frames of {len(specs)} drives in {towns} towns, 2 processes, labels, both masks; hoped for: 20,000"
    )
    rows.append(Row("frames_per_hour", 3600 * frames / wall, "1/h", ">= 5000", note=note))
    return rows


def _voxel_row(quick: bool) -> Row:
    """CPU time of one frame on one thread, once the static layer is there."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        town = make_town(0)
        drive = drive_town(town, 4.0 if quick else 10.0, seed=0)
        frames = voxelized_frames(town, drive, Voxelizer(town))
        next(frames)  # what is learnt once for the drive
        seconds = []
        for _ in range(len(drive) - 1):
            start = time.process_time()
            next(frames)
            seconds.append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    note = f"median of {len(seconds)} frames, CPU time of one thread, labels and both masks, what stands in the cache"
    return Row("voxel_frame_ms", 1e3 * statistics.median(seconds), "ms", "<= 40", {"slowest": 1e3 * max(seconds)}, note)


def _all_of(steps: Iterable[object]) -> None:
    for _ in steps:
        pass


def _determinism_rows(quick: bool) -> list[Row]:
    """Files that differ between one worker and two."""
    options = SceneOptions(panorama_height=32, num_panoramas=1, num_views=1, view_size=(24, 32))
    kinds = ("room", "field") if quick else ("room", "street", "courtyard", "field")
    jobs = [
        Job(kind, write_world, f"{world_name(kind, 1)}/world.json", {"kind": kind, "seed": 1, "options": options})
        for kind in kinds
    ]
    digests = []
    for num_workers in (1, 2):
        with tempfile.TemporaryDirectory() as name:
            _all_of(generate(jobs, Path(name), num_workers))
            digests.append(_digests(Path(name)))
    one, two = digests
    differing = sum(one.get(name) != two.get(name) for name in one.keys() | two.keys())
    note = f"{len(one)} files of a {', a '.join(kinds)}, by SHA-256"
    return [Row("differing_files", differing, "", "<= 0", note=note)]


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
