"""Truth on disk: a picture, and an .npz with everything that is known about it."""

from pathlib import Path

import numpy as np
import torch

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.images import load_image, save_image
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.synth.truth import Truth
from worldloom.synth.world import SEMANTICS

_LAYOUT = {
    "distance": "float32 h w",
    "depth?": "float32 h w",
    "normal": "float16 3 h w",
    "albedo": "uint8 3 h w",
    "roughness": "uint8 h w",
    "metallic": "uint8 h w",
    "instance": "int32 h w",
    "semantic": "uint8 h w",
    "sky": "bool h w",
}


def save_truth(path: str | Path, truth: Truth) -> None:
    """Write `path` with the suffixes .png (8-bit sRGB) and .npz (the rest).

    Arrays of the .npz, h w: distance float32 metres (0 where sky), depth float32 (cameras only), normal float16 3 h w
    (world frame), albedo uint8 3 h w (linear, 255 is 1), roughness and metallic uint8 (255 is 1), instance int32 (-1
    where sky), semantic uint8 (numbers in SEMANTICS), sky bool. Distances and depths are exact to float32.
    """
    path = Path(path)

    def eight_bits(values: torch.Tensor) -> np.ndarray:
        return (255 * values.clamp(0, 1)).round().byte().numpy()

    arrays = {
        "distance": truth.distance.numpy(),
        **({} if truth.depth is None else {"depth": truth.depth.numpy()}),
        "normal": truth.normal.half().numpy(),
        "albedo": eight_bits(truth.albedo),
        "roughness": eight_bits(truth.roughness),
        "metallic": eight_bits(truth.metallic),
        "instance": truth.instance.int().numpy(),
        "semantic": truth.semantic.byte().numpy(),
        "sky": truth.sky.numpy(),
    }
    with atomic_path(path.with_suffix(".npz")) as temporary:
        save_npz(temporary, arrays)
    save_image(path.with_suffix(".png"), truth.rgb)


def load_truth(path: str | Path) -> Truth:
    """Read what `save_truth` wrote, by the name of either file.

    Raises:
        InputError: a file is missing or damaged, the two differ in size, or a semantic number is not in SEMANTICS.
    """
    path = Path(path)
    rgb = load_image(path.with_suffix(".png"))
    path = path.with_suffix(".npz")
    found = load_npz(path, _LAYOUT)
    if found["sky"].shape != rgb.shape[1:]:
        raise InputError(f"{path}: expected truth for a picture of {tuple(rgb.shape[1:])}, got {found['sky'].shape}")
    if found["semantic"].size and (highest := int(found["semantic"].max())) >= len(SEMANTICS):
        raise InputError(f"{path}: expected semantic numbers below {len(SEMANTICS)}, got {highest}")
    arrays = {name: torch.from_numpy(array) for name, array in found.items()}
    return Truth(
        rgb=rgb,
        distance=arrays["distance"],
        depth=arrays.get("depth"),
        normal=arrays["normal"].float(),
        albedo=arrays["albedo"].float() / 255,
        roughness=arrays["roughness"].float() / 255,
        metallic=arrays["metallic"].float() / 255,
        instance=arrays["instance"].long(),
        semantic=arrays["semantic"].long(),
        sky=arrays["sky"],
    )
