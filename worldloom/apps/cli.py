"""The `worldloom` command. Each verb is a thin door: options in, one call, one line on stderr when input is bad.

Exit codes: 0 done, 1 a check failed or a fault of ours, 2 bad input or a missing part, 3 nothing to do (of batches),
130 interrupted, 143 terminated.
"""

import math
import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from worldloom import __version__
from worldloom.apps.batch.verbs import batch
from worldloom.apps.termination import TERMINATED, Terminated
from worldloom.errors import InputError, MissingExtra

# Before torch is loaded: threads that spin at barriers cost tens of milliseconds a call on a machine that is shared.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

app = typer.Typer(
    name="worldloom",
    help="Navigable Gaussian-splat scenes and 4D occupancy driving worlds.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Out = Annotated[Path, typer.Option(help="Folder to make; it appears when the run is complete.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier result at --out.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]


class Benchmark(StrEnum):
    """What `worldloom bench` can measure."""

    rasterize = "rasterize"
    sparse = "sparse"
    io = "io"
    synth = "synth"
    scene = "scene"
    recon = "recon"
    occupancy = "occupancy"
    ablations = "ablations"
    apps = "apps"


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"worldloom {__version__}")
        raise typer.Exit
    return wanted  # what a callback returns is the option's value


@app.callback()
def _worldloom(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def scene(
    out: Out,
    picture: Annotated[
        Path | None, typer.Argument(help="A 2:1 panorama, or with --fov a photo: png, jpg, webp, exr or hdr.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="What to make without a picture, or what is around a photo, in English.")
    ] = None,
    fov: Annotated[
        float | None, typer.Option(help="The picture is a photo with so many degrees from its left to its right edge.")
    ] = None,
    pitch: Annotated[float, typer.Option(help="Degrees by which the photo's camera looked up.")] = 0.0,
    generator: Annotated[
        str,
        typer.Option(
            help="Makes what is not given: procedural (worlds, usual for a text), fill (blurs, usual for a photo), or "
            "a folder of weights."
        ),
    ] = "",
    camera_height: Annotated[
        float | None, typer.Option(help="Height of the camera over the ground in metres; sets the scale. 1.6 assumed.")
    ] = None,
    depth_model: Annotated[
        str | None,
        typer.Option(
            help="What tells distance: small (learned, as usual), floor (nothing learned), other weights, .onnx, or "
            "transformers folder."
        ),
    ] = None,
    paths: Annotated[
        Path | None,
        typer.Option(help="Your camera paths: paths.json or cameras.json as ours, transforms.json, a COLMAP folder."),
    ] = None,
    families: Annotated[
        str, typer.Option(help="Paths to plan: regular, surround, reconstruct, wander, aerial with commas; all; none.")
    ] = "all",
    seed: Annotated[int, typer.Option(help="Seed of what is made up, and of the camera paths.")] = 0,
    rows: Annotated[
        int | None, typer.Option(help="Rows of the panorama as used, 1024 at most; fewer make fewer splats.")
    ] = None,
    force: Force = False,
    resume: Resume = False,
) -> None:
    """Make a navigable splat scene from a panorama, a photo, or a text."""
    from worldloom.apps.scene import make_scene
    from worldloom.apps.scene_input import SceneInput
    from worldloom.scenegen import FAMILIES

    chosen = {"all": list(FAMILIES), "none": []}.get(families, [name.strip() for name in families.split(",")])
    make_scene(
        SceneInput(picture, fov, pitch, text, generator),
        out,
        camera_height=camera_height,
        depth_model=depth_model,
        paths=paths,
        families=chosen,
        seed=seed,
        rows=rows,
        force=force,
        resume=resume,
    )
    _say_what_next(out)


@app.command()
def recon(
    images: Annotated[Path, typer.Argument(help="A folder of photos of one size, or a video.")],
    out: Out,
    cameras: Annotated[
        Path | None,
        typer.Option(
            help="COLMAP folder, transforms.json or cameras.json; found beside the photos, or else by COLMAP."
        ),
    ] = None,
    depth: Annotated[
        Path | None, typer.Option(help="Folder of depth images named as the photos, .npz or .npy, of any scale.")
    ] = None,
    refine_minutes: Annotated[
        float, typer.Option(help="Time to spend on refinement; 0 leaves what stereo says.")
    ] = 5.0,
    refine_steps: Annotated[
        int | None, typer.Option(help="Refine by so many steps instead: the same splats on every run.")
    ] = None,
    size: Annotated[int, typer.Option(help="Pixels along the longer side at which photos are used.")] = 640,
    hold_out: Annotated[int, typer.Option(help="Keep every so manieth photo to measure with; 0 learns from all.")] = 8,
    frames: Annotated[int, typer.Option(help="Pictures to take from a video.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the order of photos.")] = 0,
    force: Force = False,
    resume: Resume = False,
) -> None:
    """Make a splat scene, mesh and points from many photos of a place."""
    from worldloom.apps.recon import ReconOptions, make_recon

    options = ReconOptions(
        None if refine_steps is not None else refine_minutes, refine_steps, size, hold_out, frames, seed
    )
    make_recon(images, out, cameras=cameras, depth=depth, options=options, force=force, resume=resume)
    _say_what_next(out)


class Format(StrEnum):
    """What `worldloom export` writes."""

    ply = "ply"
    spz = "spz"
    splat = "splat"
    gltf = "gltf"
    glb = "glb"
    collision = "collision"
    occupancy = "occupancy"
    usd = "usd"
    urdf = "urdf"
    mjcf = "mjcf"
    colmap = "colmap"


@app.command()
def export(
    world: Annotated[
        Path, typer.Argument(help="A folder of worldloom scene or recon, or splats: .ply, .spz, .splat or .glb.")
    ],
    out: Out,
    formats: Annotated[
        list[Format],
        typer.Option(
            "--format",
            help="Again for each: ply, spz, splat, gltf (splats as glTF), glb (textured mesh), collision (watertight "
            "mesh and convex hulls), occupancy (voxels), usd (splats and collider), urdf, mjcf (MuJoCo), colmap.",
        ),
    ],
    cameras: Annotated[
        Path | None,
        typer.Option(help="Where to look from, if the world is a file: COLMAP, transforms.json or cameras.json."),
    ] = None,
    voxel_size: Annotated[float, typer.Option(help="Metres, of occupancy and colliders.")] = 0.1,
    faces: Annotated[int, typer.Option(help="Triangles of the textured mesh, at most about.")] = 100_000,
    view_size: Annotated[
        int, typer.Option(help="Pixels along the 90° views that surfaces are measured in: finer, and slower.")
    ] = 512,
    force: Force = False,
    resume: Resume = False,
) -> None:
    """Write a splat world for other programs: meshes, voxels, simulators."""
    from worldloom.apps.export import make_export

    make_export(
        world,
        out,
        [name.value for name in formats],
        cameras=cameras,
        voxel_size=voxel_size,
        num_faces=faces,
        view_size=view_size,
        force=force,
        resume=resume,
    )
    typer.echo(f"{out} is ready")


@app.command()
def drive(
    clip: Annotated[
        Path,
        typer.Argument(help="An Occ3D data set or scene folder (a synth town too), a labels.npz, or a clip (.npz)."),
    ],
    out: Out,
    scene: Annotated[str | None, typer.Option(help="Scene of a data set; its first one if not given.")] = None,
    path: Annotated[
        str, typer.Option(help="log (as the clip drove), straight, left, right or stop; or a path file (.json, .npz).")
    ] = "straight",
    speed: Annotated[float, typer.Option(help="Speed of a named manoeuvre in m/s.")] = 5.0,
    past: Annotated[int, typer.Option(help="Frames of the clip that are given; those after them are the truth.")] = 4,
    horizon: Annotated[int, typer.Option(help="Future frames to make; two a second in Occ3D.")] = 6,
    model: Annotated[
        str | None,
        typer.Option(help="World model: a name, a folder of weights, or copy-warp, which lets nobody move."),
    ] = None,
    num_futures: Annotated[int, typer.Option(help="Futures: the expected one, then draws.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the futures.")] = 0,
    mode: Annotated[
        str,
        typer.Option(
            help="forward (along --path); policy, joint or video (the model drives); inverse: no future, but the path "
            "that CLIP's frames tell."
        ),
    ] = "forward",
    steps: Annotated[int, typer.Option(help="Calls of the network for four seconds of a draw.")] = 2,
    guidance: Annotated[float, typer.Option(help="How strongly the path steers the others; 1 is as learned.")] = 1.0,
    force: Force = False,
    resume: Resume = False,
) -> None:
    """Forecast occupancy along an ego path."""
    from worldloom.apps.drive import make_drive

    make_drive(
        clip,
        out,
        scene=scene,
        path=path,
        speed=speed,
        num_past=past,
        horizon=horizon,
        model=model,
        num_futures=num_futures,
        seed=seed,
        mode=mode,
        steps=steps,
        guidance=guidance,
        force=force,
        resume=resume,
    )
    _say_what_next(out)


class _Kinds(TyperGroup):
    """Says in one line which worlds there are."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            raise InputError(f"expected a world of {', '.join(self.commands)}, got {args[0]!r}")
        return super().resolve_command(ctx, args)


synth = typer.Typer(
    cls=_Kinds, help="Make procedural worlds with exact truth.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(synth, name="synth")
app.add_typer(batch, name="batch")
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes; any number makes the same bytes. Default: one a core, at most one for each 4 GB of memory."
    ),
]


@synth.command()
def town(
    out: Out,
    seed: Annotated[int, typer.Option(help="Seed of the first town and of all drives.")] = 0,
    minutes: Annotated[
        float,
        typer.Option(help="Minutes of driving, rounded up to whole scenes of 20 s: about 150 CPU-seconds for each."),
    ] = 2.0,
    lidar: Annotated[bool, typer.Option(help="Write LiDAR sweeps with a label for each point.")] = True,
    cameras: Annotated[bool, typer.Option(help="Write pictures of six cameras, the slowest part.")] = True,
    camera_width: Annotated[int, typer.Option(help="Columns of a camera's picture; 16:9.")] = 400,
    num_workers: Workers = None,
    force: Force = False,
    resume: Resume = False,
) -> None:
    """Drives through towns with traffic: a nuScenes data set with Occ3D labels, maps and exact tracks."""
    from worldloom.apps.synth import make_towns

    make_towns(
        out,
        seed=seed,
        minutes=minutes,
        lidar=lidar,
        picture_width=camera_width if cameras else None,
        num_workers=num_workers,
        force=force,
        resume=resume,
    )
    after = f"worldloom drive {shlex.quote(str(out))} --path log --out FUTURE"
    typer.echo(f"{out} is ready; look at {out / 'preview.png'} first, then: {after}")


def _scene_verb(kind: str, what: str) -> None:
    """`worldloom synth KIND`, the same options for every kind of scene."""

    def verb(
        out: Out,
        seed: Annotated[int, typer.Option(help="Seed of the first world; the others count on from it.")] = 0,
        num_worlds: Annotated[int, typer.Option(help="How many worlds.")] = 1,
        panoramas: Annotated[int, typer.Option(help="Panoramas of each world.")] = 2,
        height: Annotated[int, typer.Option(help="Rows of a panorama; it is twice as wide.")] = 512,
        views: Annotated[int, typer.Option(help="Posed pinhole views of each world.")] = 12,
        width: Annotated[int, typer.Option(help="Columns of a view; it has three quarters as many rows.")] = 512,
        fov: Annotated[float, typer.Option(help="Horizontal field of view in degrees.")] = 75.0,
        samples: Annotated[
            int,
            typer.Option(
                help="Light paths a pixel; 0 is fast: the sun exactly, and a few smoothed paths for other light."
            ),
        ] = 0,
        mesh: Annotated[bool, typer.Option(help="Write scene.glb, the mesh with its textures.")] = True,
        num_workers: Workers = None,
        force: Force = False,
        resume: Resume = False,
    ) -> None:
        from worldloom.apps.synth import make_worlds
        from worldloom.synth.scene_files import SceneOptions, world_name

        size = (round(0.75 * width), width)
        options = SceneOptions(height, panoramas, views, size, math.radians(fov), samples, mesh)
        make_worlds(
            kind,
            out,
            seed=seed,
            num_worlds=num_worlds,
            options=options,
            num_workers=num_workers,
            force=force,
            resume=resume,
        )
        first = out / ("preview.png" if panoramas + views else f"{world_name(kind, seed)}/scene.glb")
        typer.echo(f"{out} is ready; look at {first} first")

    synth.command(kind, help=f"{what}: panoramas and posed views with exact truth, and the mesh.")(verb)


_scene_verb("room", "Furnished rooms, flats and halls")
_scene_verb("street", "Streets of a city")
_scene_verb("courtyard", "Courtyards")
_scene_verb("field", "Open country")


@synth.command()
def clips(
    out: Annotated[Path, typer.Option(help="Folder for the clips; towns that are there already are kept.")],
    seeds: Annotated[str, typer.Option(help="Seeds of the towns, FIRST:END; END is not one of them.")] = "1000:1010",
    scenes: Annotated[int, typer.Option(help="Drives of 20 s in each town.")] = 3,
    alternatives: Annotated[
        int, typer.Option(help="Of each drive: the same world under other actions of the ego, half of them risky.")
    ] = 1,
    log_seconds: Annotated[
        float, typer.Option(help="Also everybody's traffic in each town for so long, without labels: cheap, and rich.")
    ] = 300.0,
    num_workers: Workers = None,
) -> None:
    """Drives through many towns as small files to train on: labels, masks, boxes, path and risk."""
    from worldloom.apps.train import make_clips

    make_clips(
        out, seeds=seeds, scenes=scenes, alternatives=alternatives, log_seconds=log_seconds, num_workers=num_workers
    )
    after = f"worldloom train tokenizer --data {shlex.quote(str(out))} --out MODEL"
    typer.echo(f"{out} is ready; train with: {after}")


@synth.command()
def panoramas(
    out: Annotated[Path, typer.Option(help="Folder for the files; worlds that are there already are kept.")],
    split: Annotated[str, typer.Option(help="Whose seeds: train, val or test.")] = "train",
    worlds: Annotated[int, typer.Option(help="How many worlds, from the first seed on.")] = 1000,
    each: Annotated[int, typer.Option(help="Panoramas of each world.")] = 4,
    beside: Annotated[int, typer.Option(help="More beside each of them, 0.5 to 2 m away.")] = 0,
    height: Annotated[int, typer.Option(help="Rows of a panorama; it is twice as wide.")] = 256,
    num_workers: Workers = None,
) -> None:
    """Panoramas of many worlds with their distances, quickly lit, as small files to train on."""
    from worldloom.apps.train_depth import make_panoramas

    make_panoramas(
        out, split=split, num_worlds=worlds, each=each, beside=beside, height=height, num_workers=num_workers
    )
    after = f"worldloom train depth --data {shlex.quote(str(out))} --out MODEL"
    typer.echo(f"{out} is ready; train with: {after}")


class Trainable(StrEnum):
    """What `worldloom train` can train."""

    tokenizer = "tokenizer"
    prior = "prior"
    worldmodel = "worldmodel"
    feature_net = "feature-net"
    occsora = "occsora"
    occworld = "occworld"
    depth = "depth"
    panorama = "panorama"
    detail = "detail"


@app.command()
def train(
    part: Annotated[Trainable, typer.Argument(help="Which network.")],
    data: Annotated[
        Path,
        typer.Option(help="Of synth clips, nuScenes with Occ3D labels, or synth panoramas."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the model, for all parts; an interrupted call goes on.")],
    validation: Annotated[
        Path | None, typer.Option(help="Data to check with; split val, or every tenth town or world, if not given.")
    ] = None,
    preset: Annotated[str, typer.Option(help="small (two CPU cores) or base (eight GPUs).")] = "small",
    steps: Annotated[int | None, typer.Option(help="Instead of the preset's.")] = None,
    rows: Annotated[int | None, typer.Option(help="Depth: rows of panoramas as the network sees them.")] = None,
    start: Annotated[str | None, typer.Option(help="Depth: weights to begin with, at any number of rows.")] = None,
) -> None:
    """Train a network; Ctrl-C saves, and the same call goes on."""
    if part is Trainable.depth:
        from worldloom.apps.train_depth import train_panorama_depth

        weights = train_panorama_depth(data, out, validation, preset, steps, rows, start)
        typer.echo(
            f"{weights} is ready; worldloom scene PANORAMA --depth-model {shlex.quote(str(weights))} --out SCENE"
        )
        return
    if rows is not None or start is not None:
        raise InputError(f"--rows and --start are for depth, got them for {part.value}")
    if part in (Trainable.panorama, Trainable.detail):
        from worldloom.apps.train_generator import train_generator

        weights = train_generator(part.value, data, out, validation, preset, steps)
        with_it = f"worldloom scene PHOTO --fov 70 --generator {shlex.quote(str(out))} --out SCENE"
        typer.echo(f"{weights} is ready; with panorama and detail: {with_it}")
        return
    if part in (Trainable.occsora, Trainable.occworld):
        if preset != "small":
            raise InputError(f"--preset small is the only one of {part.value}, got {preset}")
        from worldloom.apps.train_baseline import train_peer

        typer.echo(f"{train_peer(part.value, data, out, validation, steps)} is ready, to be compared with")
        return
    from worldloom.apps.train import train_part

    weights = train_part(part.value, data, out, validation, preset, steps)
    model = shlex.quote(str(out))
    with_it = f"with tokenizer and worldmodel: worldloom drive --model {model}"
    if part is Trainable.feature_net:
        with_it = f"in Python: FeatureNet.from_pretrained({str(out)!r})"
    typer.echo(f"{weights} is ready; {with_it}")


@app.command()
def evaluate(
    data: Annotated[Path, typer.Argument(help="Clips of towns, or a nuScenes folder with Occ3D labels in gts/.")],
    out: Out,
    protocol: Annotated[
        str, typer.Option(help="ours, occworld, i2world or dome: windows, mask, classes, ego.")
    ] = "ours",
    model: Annotated[str | None, typer.Option(help="World model: a name, a folder of weights, or copy-warp.")] = None,
    infos: Annotated[
        Path | None, typer.Option(help="Info pickle of OccWorld or OccSora that lists the scenes.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="train or val, of towns test, too; all if not given.")] = None,
    scene: Annotated[list[str] | None, typer.Option(help="A scene to take; again for each.")] = None,
    mask: Annotated[str | None, typer.Option(help="Instead of the protocol's: camera, lidar or none.")] = None,
    absent: Annotated[
        str | None, typer.Option(help="What a class without truth scores: nan, one, union or support.")
    ] = None,
    class_name: Annotated[
        list[str] | None, typer.Option("--class", help="A class of the mean, again for each; all 17 if not given.")
    ] = None,
    stride: Annotated[int | None, typer.Option(help="Frames between windows, instead of the protocol's.")] = None,
    force: Force = False,
    resume: Resume = False,
) -> None:
    """Score forecasts of a whole data set under a published protocol, beside copies of the past."""
    from worldloom.apps.evaluate import evaluate as score

    score(
        data,
        out,
        protocol=protocol,
        model=model,
        infos=infos,
        split=split,
        scenes=scene or (),
        mask=mask,
        absent=absent,
        classes=class_name or (),
        stride=stride,
        force=force,
        resume=resume,
    )
    typer.echo(f"{out / 'report.json'} has the scores, {out / 'forecasts.png'} the first window")


@app.command("app")
def web_app(
    port: Annotated[int, typer.Option(help="Port of the page.")] = 7860,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    runs: Annotated[Path, typer.Option(help="Folder for the results, with a folder for each visitor.")] = Path("runs"),
    show: Annotated[Path | None, typer.Option(help="A finished result to show at first.")] = None,
    auth: Annotated[
        str | None, typer.Option(help="USER:PASSWORD that visitors must tell; or set WORLDLOOM_AUTH, which ps hides.")
    ] = None,
    clips: Annotated[
        list[Path] | None, typer.Option(help="A clip, scene folder or data set to offer for drives; again for each.")
    ] = None,
    keep_hours: Annotated[
        float, typer.Option(help="Hours after which a result that nobody opened is removed; 0: never.")
    ] = 24.0,
) -> None:
    """Open the web page: make scenes and driving futures, walk through them, take them away."""
    from worldloom.apps.page import serve

    serve(host=host, port=port, runs=runs, show=show, auth=auth, clips=clips or [], keep_hours=keep_hours)


@app.command()
def serve(
    clips: Annotated[
        list[Path] | None,
        typer.Option(help="Clips, or folders of them, in which drives may start; the bundled sample if not given."),
    ] = None,
    model: Annotated[str, typer.Option(help="World model: a name, or a folder of weights.")] = "small",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8765,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    sessions: Annotated[int, typer.Option(help="Sessions that may be open at once.")] = 32,
    rate: Annotated[float, typer.Option(help="Requests a second that are answered.")] = 200.0,
    memory: Annotated[float, typer.Option(help="GB of memory beyond which no session is started.")] = 12.0,
) -> None:
    """Serve drives in the learned world over HTTP; the token is WORLDLOOM_TOKEN, or a new one that is printed."""
    from worldloom.apps.service.serve import serve as serve_sessions

    serve_sessions(clips or [], model, host, port, sessions, rate, memory)


@app.command()
def bench(
    name: Annotated[Benchmark, typer.Argument(help="Which benchmark.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes and few repeats: a check, not a figure to publish.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Also write the rows and machine facts to this file.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Of scene: panoramas, of recon: photos with cameras, to measure, too; of ablations: towns."),
    ] = None,
) -> None:
    """Measure a part on this machine, beside its baselines."""
    from worldloom.apps.bench.command import run_benchmark

    run_benchmark(name.value, quick=quick, json_path=json, data=data)


@app.command()
def doctor() -> None:
    """Say which backends are active, and check a scene and a convolution against known numbers."""
    from worldloom.apps.doctor import examine

    raise typer.Exit(0 if examine() else 1)


@app.command()
def demo(
    out: Out = Path("out/demo"),
    force: Force = False,
) -> None:
    """Run both main jobs on the bundled samples and say where the results are."""
    from worldloom.apps.demo import run_demo

    run_demo(out, force=force)


def _say_what_next(out: Path) -> None:
    typer.echo(f"{out} is ready; walk through it with: worldloom app --show {shlex.quote(str(out))}")


def main() -> None:
    """Run the command; errors that a user can mend are one line without a traceback."""
    try:
        app()  # answers usage errors with 2 and Ctrl-C with 130 itself
    except (InputError, MissingExtra) as error:
        _fail(str(error), 2)
    except Terminated:
        sys.exit(TERMINATED)
    except OSError as error:  # no space left, a disk that went away
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1)


def _fail(message: str, code: int) -> None:
    print(f"worldloom: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
