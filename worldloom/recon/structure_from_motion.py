"""Cameras of photos that come without: structure from motion by COLMAP."""

import tempfile
from dataclasses import replace
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
        database, model = Path(temporary) / "database.db", Path(temporary) / "best"
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
            reader_options=pycolmap.ImageReaderOptions(camera_model="OPENCV"),
            extraction_options=extraction,
            device=pycolmap.Device.cpu,
        )
        if len(names) <= EXHAUSTIVE:
            pycolmap.match_exhaustive(database, device=pycolmap.Device.cpu)
        else:
            pairing = pycolmap.SequentialPairingOptions(overlap=OVERLAP)
            pycolmap.match_sequential(database, pairing_options=pairing, device=pycolmap.Device.cpu)
        options = pycolmap.IncrementalPipelineOptions(
            min_model_size=FEWEST, num_threads=torch.get_num_threads(), random_seed=seed
        )
        found = pycolmap.incremental_mapping(database, folder, models, options=options)
        best = max(found.values(), key=lambda model: model.num_reg_images(), default=None)
        if best is None or best.num_reg_images() < FEWEST:
            got = 0 if best is None else best.num_reg_images()
            raise InputError(
                f"expected at least {FEWEST} of {len(names)} photos to show the same things from different places, so "
                f"that their cameras can be found; got {got}. Give --cameras, or more photos that overlap"
            )
        best.write(model)
        posed = _placed(load_colmap(model))
    return replace(posed, names=tuple(photos.names[int(Path(name).stem)] for name in posed.names))


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
