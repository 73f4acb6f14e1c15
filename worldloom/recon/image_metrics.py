"""How much a picture is like another: PSNR, SSIM, and PSNR once exposure is set right."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

WINDOW, DEVIATION = 11, 1.5  # pixels
C1, C2 = 0.01**2, 0.03**2


def psnr(
    rgb: Float[Tensor, "*batch 3 h w"],
    truth: Float[Tensor, "*batch 3 h w"],
    valid: Bool[Tensor, "*batch h w"] | None = None,
) -> float:
    """-10 log10 of the mean squared error over valid pixels, dB; values in [0, 1]. Infinite for equal pictures."""
    square = (rgb.clamp(0, 1) - truth).square().mean(-3)
    error = float(square.mean() if valid is None else square[valid].mean())
    return -10 * math.log10(error) if error > 0 else math.inf


def exposure_matched(
    rgb: Float[Tensor, "3 h w"], truth: Float[Tensor, "3 h w"], valid: Bool[Tensor, "h w"]
) -> Float[Tensor, "3 h w"]:
    """`rgb` with a gain and an offset for each colour channel, those of least squares."""
    matched = []
    for own, other in zip(rgb.clamp(0, 1), truth, strict=True):
        x, y = own[valid].double(), other[valid].double()
        variance = x.var(correction=0)
        gain = float(((x - x.mean()) * (y - y.mean())).mean() / variance) if variance > 1e-12 else 1.0
        matched.append((gain * own + (y.mean() - gain * x.mean())).float())
    return torch.stack(matched)


def ssim(rgb: Float[Tensor, "3 h w"], truth: Float[Tensor, "3 h w"], valid: Bool[Tensor, "h w"] | None = None) -> float:
    """Mean structural similarity over colours and pixels (Wang et al. 2004), Gaussian window of 11 pixels.

    As the implementations that splats are compared by: beyond the picture is black.
    """
    values = ssim_map(rgb.clamp(0, 1), truth).mean(0)
    return float(values.mean() if valid is None else values[valid].mean())


def ssim_map(x: Float[Tensor, "c h w"], y: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    """SSIM of every pixel and channel; differentiable in x.

    S = (2 mx my + C1)(2 sxy + C2) / ((mx^2 + my^2 + C1)(sx + sy + C2)), all moments by a Gaussian window.
    """
    return _Ssim.apply(x, y)


class _Ssim(torch.autograd.Function):
    """The backward pass is written out: three blurs, where autograd would run five through ten convolutions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        c = len(x)
        mx, my, xx, yy, xy = _blur(torch.cat([x, y, x * x, y * y, x * y])).split(c)
        a1, a2 = 2 * mx * my + C1, 2 * (xy - mx * my) + C2
        b1, b2 = mx * mx + my * my + C1, xx - mx * mx + yy - my * my + C2
        value = a1 * a2 / (b1 * b2)
        # dS/dxy, dS/dxx, and dS/dmx with xx and xy held
        by_xy = 2 * a1 / (b1 * b2)
        by_xx = -value / b2
        by_mean = 2 * my * (a2 - a1) / (b1 * b2) - 2 * mx * value * (1 / b1 - 1 / b2)
        ctx.save_for_backward(x, y, by_mean, by_xx, by_xy)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, y, *parts = ctx.saved_tensors
        by_mean, by_xx, by_xy = _blur(torch.cat([grad * part for part in parts])).split(len(x))
        return by_mean + 2 * x * by_xx + y * by_xy, None


def _blur(images: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Gaussian window with black beyond the edges; symmetric, so it is its own adjoint.

    Sums of shifted pictures, one picture at a time: each stays in the cache, and torch's convolutions of one channel
    take ten times as long on a CPU.
    """
    at = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-(at**2) / (2 * DEVIATION**2))
    taps = (weights / weights.sum()).tolist()[WINDOW // 2 :]
    blurred = torch.empty_like(images)
    for image, out in zip(images, blurred, strict=True):
        rows = _weighted_shifts(image, taps, 0)
        out.copy_(_weighted_shifts(rows, taps, 1))
    return blurred


def _weighted_shifts(image: Float[Tensor, "h w"], taps: list[float], axis: int) -> Float[Tensor, "h w"]:
    """taps[0] x(i) + taps[1] (x(i - 1) + x(i + 1)) + …"""
    size = image.shape[axis]
    total = image * taps[0]
    for shift, tap in enumerate(taps[1:], 1):
        if shift < size:
            total.narrow(axis, shift, size - shift).add_(image.narrow(axis, 0, size - shift), alpha=tap)
            total.narrow(axis, 0, size - shift).add_(image.narrow(axis, shift, size - shift), alpha=tap)
    return total
