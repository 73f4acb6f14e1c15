"""Cameras of photos that come without: structure from motion by COLMAP."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError, require
from worldloom.geometry.io.colmap import load_colmap
from worldloom.geometry.io.images import save_image
from worldloom.geometry.io.photo_set import PhotoSet
from worldloom.geometry.posed_images import PosedImages
from worldloom.geometry.rigid import compose
from worldloom.recon.world_up import upright

FEWEST = 3  # photos that must find their place
EXHAUSTIVE = 60  # photos; beyond that, each is matched with its neighbours in time
OVERLAP = 12  # neighbours
MAX_FEATURES = 4096
ENOUGH = 0.9  # of the photos: with as many nothing else is tried


@dataclass(frozen=True)
class _Attempt:
    """What is asked of photos before they are believed to show the same things."""

    guided: bool = False  # look for more matches along the lines that the first ones tell
    least_angle: float = 16.0  # degrees between the rays of the first pair's points
    least_inliers: int = 100  # of the first pair
    least_seen: int = 30  # points that a further photo must show


# COLMAP's own demands first. Photos of a bare room a few steps apart do not meet them, but these.
_ATTEMPTS = (_Attempt(), _Attempt(False, 4.0, 40, 15), _Attempt(True, 4.0, 40, 15))


def cameras_by_colmap(photos: PhotoSet, seed: int = 0) -> PosedImages:
    """Cameras, lens distortion and sparse points of those photos of one camera that find a place, by pycolmap.

    The world is upright as far as the photos are, its origin lies amid the cameras, and its unit is their mean distance
    from there: photos alone tell no scale.

    Raises:
        MissingExtra: pycolmap is not installed.
        InputError: fewer than three photos find a place.
    """
    pycolmap: Any = require("pycolmap", "colmap", "finding cameras of photos that come without")
    pycolmap.logging.minloglevel = 3
    with tempfile.TemporaryDirectory() as temporary:
        folder, models = Path(temporary) / "images", Path(temporary) / "models"
        database, model = Path(temporary) / "features.db", Path(temporary) / "best"
        for new in (folder, models, model):
            new.mkdir()
        # Written anew: upright, of one size, and no file that somebody else wrote reaches another decoder.
        names = [f"{i:05d}.png" for i in range(len(photos.names))]
        for name, rgb in zip(names, photos.rgb, strict=True):
            save_image(folder / name, rgb)
        extraction = pycolmap.FeatureExtractionOptions()
        extraction.sift.max_num_features = MAX_FEATURES
        extraction.num_threads = torch.get_num_threads()
        pycolmap.set_random_seed(seed)
        pycolmap.extract_features(
            database,
            folder,
            image_names=names,
            camera_mode=pycolmap.CameraMode.SINGLE,
            # A few photos do not tell more of a lens; what they do not tell ends in the cameras' places.
            reader_options=pycolmap.ImageReaderOptions(camera_model="SIMPLE_RADIAL"),
            extraction_options=extraction,
            device=pycolmap.Device.cpu,
        )

        def models_of(attempt: _Attempt) -> list[Any]:
            number = _ATTEMPTS.index(attempt)
            matches = Path(temporary) / f"matches{number}.db"
            shutil.copyfile(database, matches)
            return _attempted(pycolmap, attempt, matches, folder, models / str(number), len(names), seed)

        best = _best(models_of, len(names))
        if best is None or best.num_reg_images() < FEWEST:
            got = 0 if best is None else best.num_reg_images()
            raise InputError(
                f"expected at least {FEWEST} of {len(names)} photos to show the same things from different places, so "
                f"that their cameras can be found; got {got}. Give --cameras, or more photos that overlap"
            )
        best.write(model)
        posed = _placed(load_colmap(model))
    return replace(posed, names=tuple(photos.names[int(Path(name).stem)] for name in posed.names))


def _best(models_of: Callable[[_Attempt], list[Any]], num_photos: int) -> Any | None:
    """The model of most photos, by as few attempts as bring enough; of equals the first, that demanded most."""
    best = None
    for attempt in _ATTEMPTS:
        best = max([*filter(None, [best]), *models_of(attempt)], key=lambda one: one.num_reg_images(), default=None)
        if best is not None and best.num_reg_images() >= ENOUGH * num_photos:
            break
    return best


def _attempted(
    pycolmap: Any, attempt: _Attempt, database: Path, images: Path, out: Path, num_photos: int, seed: int
) -> list[Any]:
    """Models of the photos whose features are in the database, which gets their matches."""
    matching = pycolmap.FeatureMatchingOptions(guided_matching=attempt.guided)
    if num_photos <= EXHAUSTIVE:
        pycolmap.match_exhaustive(database, matching_options=matching, device=pycolmap.Device.cpu)
    else:
        pairing = pycolmap.SequentialPairingOptions(overlap=OVERLAP)
        pycolmap.match_sequential(
            database, matching_options=matching, pairing_options=pairing, device=pycolmap.Device.cpu
        )
    options = pycolmap.IncrementalPipelineOptions(
        min_model_size=FEWEST, num_threads=torch.get_num_threads(), random_seed=seed
    )
    options.mapper.init_min_tri_angle = attempt.least_angle
    options.mapper.init_min_num_inliers = attempt.least_inliers
    options.mapper.abs_pose_min_num_inliers = attempt.least_seen
    out.mkdir()
    return list(pycolmap.incremental_mapping(database, images, out, options=options).values())


def _placed(posed: PosedImages) -> PosedImages:
    """Upright, around the origin, of size 1."""
    poses = posed.cameras.world_from_cam
    centre = poses[:, :3, 3].mean(0)
    turn = upright(posed.cameras)
    size = float((poses[:, :3, 3] - centre).norm(dim=-1).mean().clamp(min=1e-9))

    def place(points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        return (points - centre) @ turn.T / size

    placed = compose(turn @ poses[:, :3, :3], place(poses[:, :3, 3]))
    points = None if posed.points is None else place(posed.points)
    return replace(posed, cameras=replace(posed.cameras, world_from_cam=placed), points=points)
