"""How different two pictures look to people, blind to shifts by a pixel: ST-LPIPS."""

from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.errors import InputError, MissingExtra

WEIGHTS = Path(
    "weights/vST0.0/alex_shift_tolerant.pth"
)  # in the package stlpips-pytorch, of which nothing else is used
LEAST = 32  # pixels to a side
_WIDTHS = (3, 64, 192, 384, 256, 256)
_KERNELS = (11, 5, 3, 3, 3)
_LAYERS = ("net.slice1.0", "net.slice2.5", "net.slice3.9", "net.slice4.11", "net.slice5.13")  # as the weights name them


class PerceptualDistance(nn.Module):
    """Weighted differences of an AlexNet's features, each layer's of unit length (Zhang et al. 2018).

    Ghildyal and Liu 2022, "Shift-tolerant Perceptual Similarity Metric": the first convolution takes every pixel, and
    whatever is thinned out afterwards is blurred first.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        sizes = zip(pairwise(_WIDTHS), _KERNELS, strict=True)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, k, padding=2 if k > 3 else 1) for (a, b), k in sizes)
        self.weights = nn.ParameterList(torch.ones(width) for width in _WIDTHS[1:])
        self.register_buffer("shift", torch.zeros(1, 3, 1, 1))
        self.register_buffer("scale", torch.ones(1, 3, 1, 1))
        self.requires_grad_(requires_grad=False)

    @classmethod
    def from_package(cls) -> "PerceptualDistance":
        """With the weights of the authors, which the package stlpips-pytorch holds.

        Raises:
            MissingExtra: it is not installed.
            InputError: its weights are others.
        """
        spec = find_spec("stlpips_pytorch")
        if spec is None or spec.origin is None:
            raise MissingExtra("perceptual distance needs stlpips-pytorch; pip install 'worldloom[perceptual]'")
        path = Path(spec.origin).parent / WEIGHTS
        try:
            told = torch.load(path, map_location="cpu", weights_only=True)
            names = {
                f"convolutions.{i}.{part}": f"{of}.{part}"
                for i, of in enumerate(_LAYERS)
                for part in ("weight", "bias")
            }
            state = {own: told[name] for own, name in names.items()}
            state |= {f"weights.{i}": told[f"lin{i}.model.1.weight"].flatten() for i in range(len(_LAYERS))}
            model = cls()
            model.load_state_dict(state | {part: told[f"scaling_layer.{part}"] for part in ("shift", "scale")})
        except (OSError, KeyError, RuntimeError, AttributeError) as error:
            raise InputError(
                f"{path}: expected the weights of ST-LPIPS, got {' '.join(str(error).split())[:120]}"
            ) from error
        return model.eval()

    def forward(self, a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h2 w2"]) -> Float[Tensor, "b h w"]:
        """Distance of two pictures at each place; their mean is the metric.

        Args:
            a, b: display values in [0, 1], at least LEAST pixels to a side.
        Raises:
            InputError: pictures of different or too small sizes.
        """
        if a.shape != b.shape or min(a.shape[-2:]) < LEAST:
            got = f"{tuple(a.shape)} and {tuple(b.shape)}"
            raise InputError(f"expected two pictures of one size of at least {LEAST} pixels, got {got}")
        total = a.new_zeros(len(a), 1, *a.shape[-2:])
        for weight, one, other in zip(self.weights, self._features(a), self._features(b), strict=True):
            apart = ((F.normalize(one, dim=1) - F.normalize(other, dim=1)).square() * weight[:, None, None]).sum(1)
            total += F.interpolate(apart[:, None], a.shape[-2:], mode="bilinear", align_corners=False)
        return total[:, 0]

    def _features(self, rgb: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b c h2 w2"]]:
        x = (2 * rgb - 1 - self.shift) / self.scale
        found = []
        for i, convolution in enumerate(self.convolutions):
            if i in (1, 2):
                x = _thinned(F.max_pool2d(x, 3, stride=1))
            x = convolution(x)
            x = F.relu(_thinned(x) if i == 0 else x)
            found.append(x)
        return found


def _thinned(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Every other row and column, blurred by 1 2 1, with two more on each side by reflection (Zhang 2019)."""
    blur = x.new_tensor([0.25, 0.5, 0.25])
    kernel = (blur[:, None] * blur).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])
