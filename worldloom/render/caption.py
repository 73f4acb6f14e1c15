"""Words and a coloured border on a picture, a legend beside it, and several pictures on one sheet."""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Rgb = tuple[float, float, float]
INK: Rgb = (0.10, 0.12, 0.15)  # words on a light band


def caption(rgb: Float[Tensor, "3 h w"], text: str, colour: Rgb, border: int = 4) -> Float[Tensor, "3 h w"]:
    """The picture with a border of `colour` and `text` on a tag of the same colour in its top-left corner.

    Args:
        rgb: values in [0, 1].
        text: one line; its height is a twentieth of that of a 16:9 picture of this width, 11 pixels at least.
        border: width in pixels.
    """
    height = max(11, min(rgb.shape[1], 9 * rgb.shape[2] // 16) // 20)
    font = ImageFont.load_default(height)
    image = Image.fromarray((rearrange(rgb, "c h w -> h w c").clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    draw = ImageDraw.Draw(image)
    fill = _bytes(colour)
    if border > 0:
        draw.rectangle((0, 0, image.width - 1, image.height - 1), outline=fill, width=border)
    if text:
        left, middle = border + height // 2, border + 0.6 * height
        draw.rectangle((0, 0, left + draw.textlength(text, font) + height // 2, border + 1.3 * height), fill=fill)
        bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 0.5
        draw.text((left, middle), text, font=font, fill=_bytes(INK) if bright else (255, 255, 255), anchor="lm")
    return _tensor(image)


def legend(
    names: list[str], colours: list[Rgb], size: tuple[int, int], background: Rgb = (1.0, 1.0, 1.0)
) -> Float[Tensor, "3 h w"]:
    """A panel of `size` (height, width) with one line for each name: a square of its colour, then the name."""
    if len(names) != len(colours):
        raise ValueError(f"a legend needs one colour for each name, got {len(names)} names and {len(colours)} colours")
    height, width = size
    image = Image.new("RGB", (width, height), _bytes(background))
    draw = ImageDraw.Draw(image)
    line = min(26.0, height / max(1, len(names)))
    font = ImageFont.load_default(0.6 * line)
    for i, (name, colour) in enumerate(zip(names, colours, strict=True)):
        top = i * line + 0.2 * line
        box = (0.4 * line, top, line, top + 0.6 * line)
        draw.rectangle(box, fill=_bytes(colour), outline=_bytes(INK))
        draw.text((1.3 * line, top + 0.3 * line), name.replace("_", " "), font=font, fill=_bytes(INK), anchor="lm")
    return _tensor(image)


def contact_sheet(
    pictures: list[Float[Tensor, "3 h w"]], columns: int, gap: int = 6, background: Rgb = (1.0, 1.0, 1.0)
) -> Float[Tensor, "3 sheet_h sheet_w"]:
    """Pictures of one size, row by row, `gap` pixels apart; places left over show the background."""
    if not pictures or columns < 1:
        raise ValueError(f"a sheet needs pictures and columns, got {len(pictures)} and {columns}")
    if len({p.shape for p in pictures}) != 1:
        raise ValueError(f"pictures on one sheet have one size, got {sorted({tuple(p.shape) for p in pictures})}")
    _, h, w = pictures[0].shape
    rows = -(-len(pictures) // columns)
    size = (rows * (h + gap) - gap, columns * (w + gap) - gap)
    sheet = torch.tensor(background)[:, None, None].repeat(1, *size)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        sheet[:, top : top + h, left : left + w] = picture
    return sheet


def _tensor(image: Image.Image) -> Float[Tensor, "3 h w"]:
    return rearrange(torch.from_numpy(np.array(image)), "h w c -> c h w").float() / 255


def _bytes(colour: Rgb) -> tuple[int, int, int]:
    red, green, blue = (round(255 * c) for c in colour)
    return red, green, blue
