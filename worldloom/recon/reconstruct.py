"""The whole reconstruction: photos -> cameras -> plane sweep -> fusion -> refinement."""

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import Gaussians, PosedImages
from worldloom.geometry.io.cameras import load_cameras, save_cameras
from worldloom.geometry.io.depth import save_depth
from worldloom.geometry.io.gaussians import load_gaussians, save_gaussians
from worldloom.geometry.io.json_file import load_json, save_json
from worldloom.geometry.io.npz import load_npz
from worldloom.recon.camera_axes import best_reading
from worldloom.recon.depth_prior import join_prior
from worldloom.recon.depth_splats import at_size, splats_from_depth
from worldloom.recon.kept import ASKED, claim, kept
from worldloom.recon.photo_depth import PhotoDepth
from worldloom.recon.photo_files import TakenPhotos, fingerprint
from worldloom.recon.photo_scores import held_out, side_by_side
from worldloom.recon.photos import Photos, scaled, straightened, undistorted
from worldloom.recon.plane_sweep import SweepConfig, plane_sweep
from worldloom.recon.refine import CHECKPOINT, Progress, RefineConfig, Refined, refine
from worldloom.recon.structure_from_motion import cameras_by_colmap

SPLATS = "scene.ply"  # the result, in the folder of the steps
CAMERAS, STEREO, INITIAL, REFINED = ".cameras.json", ".stereo.npz", ".initial.ply", ".refined.json"
STEPS = (ASKED, CAMERAS, STEREO, INITIAL, REFINED, CHECKPOINT)  # what may be removed when all is done
PICTURE_EVERY = 0.1  # share of refinement


@dataclass(frozen=True)
class ReconstructConfig:
    """How the steps work, and which photos they may learn from."""

    sweep: SweepConfig = field(default_factory=SweepConfig)
    refine: RefineConfig | None = field(default_factory=lambda: RefineConfig(minutes=5.0))  # None: what stereo says
    hold_out: int = 8  # every so manieth photo is kept for measuring; 0: none

    def __post_init__(self) -> None:
        if self.hold_out < 0 or self.hold_out == 1:
            raise InputError(f"expected to hold out every 2nd photo or fewer, or 0 for none, got {self.hold_out}")


@dataclass(frozen=True)
class Step:
    """What is told of a step while it runs."""

    name: Literal["cameras", "stereo", "splats", "refine"]
    share: float = 0.0  # of the step that is done
    words: str = ""  # how it goes
    picture: Callable[[], Float[Tensor, "3 h w"]] | None = field(default=None, repr=False)  # photos over splats so far


@dataclass(frozen=True)
class Reconstruction:
    """Photos of a place, straight and with their cameras, and the splats they became."""

    photos: Photos  # all that have a camera
    held: tuple[int, ...]  # of them, those that nothing was learned from
    depth: PhotoDepth  # of those that were learned from
    refined: Refined

    @property
    def gaussians(self) -> Gaussians:
        return self.refined.gaussians

    @property
    def learned(self) -> Photos:
        """The photos that splats were learned from."""
        return self.photos[[i for i in range(len(self.photos)) if i not in self.held]]

    @property
    def unseen(self) -> Photos:
        """The photos kept for measuring."""
        return self.photos[list(self.held)]


def reconstruct(
    taken: TakenPhotos,
    config: ReconstructConfig | None = None,
    *,
    prior: Float[Tensor, "v h w"] | None = None,
    folder: Path | None = None,
    tell: Callable[[Step], None] = lambda step: None,
    warn: Callable[[str], None] = warnings.warn,
) -> Reconstruction:
    """A splat scene from many photos of a place, as `load_photos` reads them.

    Cameras are those given, or found by COLMAP; plane-sweep stereo tells depth, which is merged into Gaussians; and
    refinement fits these to the photos. Mesh, film and scores are calls of their own that take the result.

    Args:
        prior: depth of the photos as the lens took them, at their size and of any scale, NaN where unknown.
        folder: to keep finished steps in, from which the same call goes on; it must exist. `SPLATS` in it is the
            result; the files `STEPS` may be removed at the end.
        tell: is called at the start and end of each step, and within the long ones. What it raises ends the work.
        warn: is told in one line what was left out or taken otherwise than given.
    Raises:
        InputError: photos that cannot be used, see `plane_sweep`, `join_prior` and `cameras_by_colmap`; or a folder
            with steps of another call.
        MissingExtra: photos come without cameras, and pycolmap is not installed.
    """
    config = config or ReconstructConfig()
    if folder is not None:
        claim(folder, {**fingerprint(taken, prior), "config": asdict(config)})
    for note in taken.notes:
        warn(note)

    tell(Step("cameras"))
    posed = kept(_in(folder, CAMERAS), lambda: _cameras(taken, warn), save_cameras, load_cameras)
    at = torch.tensor([taken.photos.names.index(name) for name in posed.names])
    photos = undistorted(posed, taken.photos.rgb[at])
    held = held_out(len(photos), config.hold_out)
    used = [i for i in range(len(photos)) if i not in held]
    learned = photos[used]
    tell(Step("cameras", 1.0))

    def sweep() -> PhotoDepth:
        found = plane_sweep(learned, config.sweep, tell=lambda share: tell(Step("stereo", share)))
        return found if prior is None else _with_prior(found, posed[used], prior[at[used]], warn)

    tell(Step("stereo"))
    depth = kept(_in(folder, STEREO), sweep, _save_stereo, lambda path: _load_stereo(path, learned))
    tell(Step("stereo", 1.0))

    tell(Step("splats"))
    start = kept(_in(folder, INITIAL), lambda: splats_from_depth(learned, depth), save_gaussians, load_gaussians)
    tell(Step("splats", 1.0, f"{len(start)} splats", lambda: side_by_side(start, learned)))

    def refined() -> Refined:
        if config.refine is None:
            return Refined(start, torch.ones(len(learned), 3), torch.zeros(len(learned), 3), 0, 0.0)
        return refine(start, learned, config.refine, depth=depth, folder=folder, tell=_told_of(learned, tell))

    tell(Step("refine"))
    done = kept(_in(folder, REFINED), refined, _save_refined, _load_refined)
    tell(Step("refine", 1.0, f"{len(done.gaussians)} splats", lambda: side_by_side(done.gaussians, learned)))
    return Reconstruction(photos, tuple(held), depth, done)


def _in(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / name


def _cameras(taken: TakenPhotos, warn: Callable[[str], None]) -> PosedImages:
    """Cameras as given, or found; without the photos that found no place."""
    if taken.posed is None:
        posed, num = cameras_by_colmap(taken.photos), len(taken.photos.names)
        if len(posed) < num:
            warn(f"{num - len(posed)} of {num} photos found no place among the others and are left out")
        return posed
    reading = best_reading(undistorted(taken.posed, taken.photos.rgb))
    if reading.name:
        warn(f"the photos agree with their cameras only if {reading.name}; they are taken so")
    return replace(taken.posed, cameras=reading.cameras)


def _with_prior(
    found: PhotoDepth, posed: PosedImages, prior: Float[Tensor, "v h w"], warn: Callable[[str], None]
) -> PhotoDepth:
    straight, inside = straightened(posed, prior[:, None], "nearest")
    straight = torch.where(inside, straight[:, 0], torch.nan)
    joined = join_prior(found, at_size(straight, posed.cameras, found.cameras.size)[0])
    given = prior.isfinite().flatten(1).any(1).tolist()
    fits = zip(posed.names, joined.alignments, given, strict=True)
    if unfit := [name for name, alignment, told in fits if told and alignment is None]:
        warn(f"the depth of {len(unfit)} photos fits no scale and is left out, such as that of {unfit[0]}")
    return joined.depth


def _told_of(photos: Photos, tell: Callable[[Step], None]) -> Callable[[Progress], None]:
    """Refinement's progress as a step's, with a picture now and then."""
    shown = 0.0

    def pass_on(now: Progress) -> None:
        nonlocal shown
        due = now.share >= shown + PICTURE_EVERY
        shown = now.share if due else shown
        picture = (lambda: side_by_side(now.gaussians(), photos)) if due else None
        tell(Step("refine", now.share, f"{now.num_splats} splats, {now.psnr:.1f} dB", picture))

    return pass_on


def _save_stereo(path: Path, depth: PhotoDepth) -> None:
    save_depth(path, depth.depth.flatten(0, 1), confidence=depth.confidence.flatten(0, 1), far=depth.far.flatten(0, 1))


def _load_stereo(path: Path, photos: Photos) -> PhotoDepth:
    found = load_npz(path, {"depth": "float32 h w", "confidence": "float32 h w", "far": "bool h w"})
    values = {name: torch.from_numpy(array).unflatten(0, (len(photos), -1)) for name, array in found.items()}
    size = (values["depth"].shape[1], values["depth"].shape[2])
    return PhotoDepth(scaled(photos.cameras, size), values["depth"], values["confidence"], values["far"])


def _save_refined(path: Path, refined: Refined) -> None:
    save_gaussians(path.with_name(SPLATS), refined.gaussians)  # first: whoever finds the file finds this, too
    save_json(
        path,
        {
            "steps": refined.steps, "seconds": refined.seconds,
            "gain": refined.gain.tolist(), "offset": refined.offset.tolist(),
        },
    )  # fmt: skip


def _load_refined(path: Path) -> Refined:
    told = load_json(path, dict)
    gaussians = load_gaussians(path.with_name(SPLATS))
    return Refined(gaussians, torch.tensor(told["gain"]), torch.tensor(told["offset"]), told["steps"], told["seconds"])
