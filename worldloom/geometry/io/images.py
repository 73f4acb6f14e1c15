"""Images: PNG, JPEG and WebP for display, OpenEXR and Radiance HDR for light."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.io import exr, radiance
from worldloom.geometry.io.atomic import atomic_path

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

MAX_PIXELS = 200_000_000  # a 20000 x 10000 panorama
LUMINANCE = (0.2126, 0.7152, 0.0722)  # Rec. 709
EXIF_ORIENTATION = 0x0112
_EXIF_FIELDS, _FOCAL_LENGTH_35MM = 0x8769, 0xA405
_WIDTH_35MM = 36.0  # millimetres


def load_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> Float[Tensor, "3 h w"]:
    """An image as sRGB display values in [0, 1]. The content decides the format, not the suffix.

    PNG, JPEG and WebP: grey becomes three equal channels (16-bit grey keeps its precision; 16-bit colour keeps the
    upper 8 bits), transparent pixels show white, the EXIF orientation is applied, colour profiles are not. Of an
    animation, the first frame. OpenEXR and Radiance HDR go through `tonemap`.

    Raises:
        InputError: if the file is absent, of another kind, damaged, or larger than `max_pixels` (told before decoding).
    """
    path, start = _open(path)
    if _hdr_reader(start):
        return tonemap(load_hdr(path, max_pixels))
    pixels = torch.from_numpy(_decode(path, start, max_pixels))
    return rearrange(pixels, "h w c -> c h w").contiguous()


def load_hdr(path: str | Path, max_pixels: int = MAX_PIXELS) -> Float[Tensor, "3 h w"]:
    """Linear, scene-referred RGB of an OpenEXR or Radiance HDR file, as stored (small negatives occur in real files).

    Raises:
        InputError: as `load_image`; also for values that are not finite.
    """
    path, start = _open(path)
    read = _hdr_reader(start)
    if read is None:
        raise InputError(f"{path}: expected an OpenEXR or Radiance HDR image, got {_kind(start)}")
    linear = torch.from_numpy(read(path, max_pixels))
    bad = int((~linear.isfinite()).sum())
    if bad:
        raise InputError(f"{path}: expected finite values, got {bad} NaN or infinite ones of {linear.numel()}")
    return rearrange(linear, "h w c -> c h w").contiguous()


def tonemap(linear: Float[Tensor, "3 h w"], weights: Float[Tensor, "h w"] | None = None) -> Float[Tensor, "3 h w"]:
    """Display values in [0, 1] of linear light: median to middle grey, extended Reinhard, sRGB curve.

    Negatives count as 0. Luminance L is scaled so that its median is 0.18 (the median of what is lit, if that is less
    than half the image), then L' = L (1 + L / white^2) / (1 + L) with white the 98th percentile or 1, whichever is more
    (Reinhard et al. 2002, Eq. 4). Colours keep their ratios until they are clipped.

    Args:
        weights: of each pixel in the median and percentile, for instance `solid_angles` of a panorama.
    Raises:
        InputError: if values are not finite.
    """
    bad = int((~linear.isfinite()).sum())
    if bad:
        raise InputError(f"expected finite light values, got {bad} NaN or infinite ones of {linear.numel()}")
    linear = linear.clamp(min=0)
    luminance = torch.einsum("c h w, c -> h w", linear, linear.new_tensor(LUMINANCE))
    if not luminance.any():
        return torch.zeros_like(linear)
    order = luminance.flatten().argsort()
    ordered = luminance.flatten()[order]
    weight = torch.ones_like(ordered) if weights is None else weights.flatten()[order]
    middle = _quantile(ordered, weight, 0.5)
    if middle <= 0:
        middle = _quantile(ordered, torch.where(ordered > 0, weight, 0), 0.5)
    if middle <= 0:
        return torch.zeros_like(linear)
    exposure = 0.18 / middle
    white = max(1.0, exposure * _quantile(ordered, weight, 0.98))
    scaled = exposure * luminance
    gain = exposure * (1 + scaled / white**2) / (1 + scaled)
    return srgb_from_linear((linear * gain).clamp(max=1))


def _quantile(ordered: Float[Tensor, " n"], weight: Float[Tensor, " n"], fraction: float) -> float:
    """The first value at which the weights reach `fraction` of their sum; torch.quantile stops at 16 million."""
    cumulative = weight.double().cumsum(0)
    at = torch.searchsorted(cumulative, fraction * cumulative[-1])
    return ordered[at.clamp(max=len(ordered) - 1)].item()


def srgb_from_linear(linear: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The sRGB transfer curve (IEC 61966-2-1) for values in [0, 1]."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def linear_from_srgb(srgb: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The inverse of `srgb_from_linear`."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def save_image(path: str | Path, rgb: Float[Tensor, "3 h w"]) -> None:
    """Write display values, clipped to [0, 1], as 8-bit .png, .jpg (quality 95, full chroma) or .webp (lossless).

    Raises:
        InputError: for another suffix, values that are not finite, or a folder that does not exist.
    """
    from PIL import Image

    path = Path(path)
    options = {
        ".png": {"format": "PNG"},
        ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
        ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
        ".webp": {"format": "WEBP", "lossless": True},
    }.get(path.suffix.lower())
    if options is None:
        raise InputError(f"expected a name ending in .png, .jpg, .jpeg or .webp, got {path.name!r}")
    if not rgb.isfinite().all():
        raise InputError(f"{path}: expected finite colours, got {int((~rgb.isfinite()).sum())} NaN or infinite ones")
    pixels = rearrange((rgb.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu(), "c h w -> h w c")
    with atomic_path(path) as temporary:
        Image.fromarray(pixels.contiguous().numpy()).save(temporary, **options)


def save_hdr(path: str | Path, linear: Float[Tensor, "3 h w"]) -> None:
    """Write linear RGB as .exr (32-bit float, exact) or .hdr (8-bit mantissas, negatives become 0).

    Raises:
        InputError: for another suffix, values that are not finite, or a folder that does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in (".exr", ".hdr"):
        raise InputError(f"expected a name ending in .exr or .hdr, got {path.name!r}")
    if not linear.isfinite().all():
        raise InputError(f"{path}: expected finite light, got {int((~linear.isfinite()).sum())} NaN or infinite values")
    pixels = rearrange(linear.detach().float().cpu(), "c h w -> h w c").contiguous().numpy()
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".exr":
            exr.write(temporary, pixels)
        else:
            temporary.write_bytes(radiance.encode(pixels.clip(min=0)))


def _open(path: str | Path) -> tuple[Path, bytes]:
    """The path and the file's first bytes, once it is known to be a file with content."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: expected an image file, got a folder")
    if not path.is_file():
        raise InputError(f"{path}: expected an image file, but there is none")
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise InputError(f"{path}: expected a readable image file, got {error.strerror}") from error
    if not start:
        raise InputError(f"{path}: expected an image, got an empty file")
    return path, start


def _hdr_reader(start: bytes) -> Callable[[Path, int], np.ndarray] | None:
    if start.startswith(exr.MAGIC):
        return exr.read
    if start.startswith(radiance.MAGIC):
        return lambda path, max_pixels: radiance.decode(path.read_bytes(), str(path), max_pixels)
    return None


def _kind(start: bytes) -> str:
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "WebP"
    return f"a file that begins with {start!r}"


def image_size(path: str | Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of a PNG, JPEG or WebP file, upright by its EXIF orientation.

    Pixels are decoded only of a PNG, and only if its EXIF does not stand before them.

    Raises:
        InputError: as `load_image`.
    """
    path, start = _open(path)
    with _reading(path, start) as image:
        width, height = _checked_size(path, image, max_pixels)
        return (width, height) if image.getexif().get(EXIF_ORIENTATION) in (5, 6, 7, 8) else (height, width)


def _checked_size(path: Path, image: "ImageFile", max_pixels: int) -> tuple[int, int]:
    """(width, height) as stored, before anything is decoded."""
    width, height = image.size
    if width * height > max_pixels:
        raise InputError(f"{path}: expected at most {max_pixels} pixels, got {width}x{height}")
    return width, height


@contextmanager
def _reading(path: Path, start: bytes) -> Iterator["ImageFile"]:
    """The opened image; whatever its reader raises becomes an InputError."""
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    # The reader is called by name and not through Image.open, whose limit of 179 megapixels is a global setting.
    reader = {"PNG": PngImageFile, "JPEG": JpegImageFile, "WebP": WebPImageFile}.get(_kind(start))
    if reader is None:
        raise InputError(f"{path}: expected a PNG, JPEG, WebP, OpenEXR or Radiance HDR image, got {_kind(start)}")
    try:
        with warnings.catch_warnings(), reader(path) as image:
            warnings.simplefilter("ignore")  # broken metadata is no reason to refuse good pixels
            yield image
    except InputError:
        raise
    # Pillow's readers raise many kinds for hostile bytes: OSError, SyntaxError, struct.error ...
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: expected a whole {_kind(start)} image, got damaged data ({reason})") from error


def _decode(path: Path, start: bytes, max_pixels: int) -> Float32[np.ndarray, "h w 3"]:
    """Pixels in [0, 1]."""
    from PIL import ImageOps

    with _reading(path, start) as image:
        _checked_size(path, image, max_pixels)
        image.load()
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # 16-bit grey; the mode's exact name depends on the version of Pillow
            grey = np.asarray(upright, dtype=np.float32) / 65535
            return np.repeat(grey[..., None], 3, axis=-1)
        if upright.has_transparency_data:
            rgba = np.asarray(upright.convert("RGBA"), dtype=np.float32) / 255
            return rgba[..., :3] * rgba[..., 3:] + (1 - rgba[..., 3:])
        return np.asarray(upright.convert("RGB"), dtype=np.float32) / 255


def exif_fov(path: Path, height: int, width: int) -> float | None:
    """Degrees across a photo, so large when upright, by the focal length that its camera wrote; None if it did not.

    A camera writes what lens would see as much on film of 36 x 24 mm.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            focal = image.getexif().get_ifd(_EXIF_FIELDS).get(_FOCAL_LENGTH_35MM)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if not isinstance(focal, int | float) or not 3 <= focal <= 1000:
        return None
    across = _WIDTH_35MM if width >= height else _WIDTH_35MM * 2 / 3
    return math.degrees(2 * math.atan(across / 2 / float(focal)))
