"""Splats against photos: photos kept back to measure by, the measures, and a picture of both."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.gaussians import Gaussians
from worldloom.recon.image_metrics import exposure_matched, psnr, ssim
from worldloom.recon.photos import Photos
from worldloom.render import render
from worldloom.render.caption import contact_sheet

FEWEST = 8  # photos, of which some can be spared
SHOWN = 4  # photos side by side


def held_out(num: int, every: int) -> list[int]:
    """Every so manieth photo from the first on, if enough are left to learn from; none for `every` = 0."""
    return list(range(0, num, every)) if every and num >= max(FEWEST, every) else []


def scores(gaussians: Gaussians, photos: Photos) -> dict[str, float]:
    """PSNR in dB, as it is and with gain and offset of each colour fitted to the photo, and SSIM: means over photos.

    Nothing of no photos.
    """
    found: dict[str, list[float]] = {}
    for i in range(len(photos)):
        drawn, photo, valid = render(gaussians, photos.cameras[i]).rgb.clamp(0, 1), photos.rgb[i], photos.valid[i]
        exposed = psnr(exposure_matched(drawn, photo, valid), photo, valid)
        for name, value in (
            ("psnr_db", psnr(drawn, photo, valid)), ("psnr_exposed_db", exposed), ("ssim", ssim(drawn, photo, valid)),
        ):  # fmt: skip
            found.setdefault(name, []).append(value)
    return {name: round(sum(values) / len(values), 4) for name, values in found.items()}


def side_by_side(gaussians: Gaussians, photos: Photos) -> Float[Tensor, "3 h w"]:
    """A few photos above, what the splats show from there below."""
    shown = torch.linspace(0, len(photos) - 1, min(SHOWN, len(photos))).round().long().tolist()
    drawn = [render(gaussians, photos.cameras[i]).rgb.clamp(0, 1) for i in shown]
    return contact_sheet([*(photos.rgb[i] for i in shown), *drawn], columns=len(shown), gap=4)
