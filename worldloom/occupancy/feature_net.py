"""Frozen features of what a frame shows, for distances between sets of frames.

An autoencoder of single frames: features are what its codes are on the average, and how they vary, over each quarter
of the frame, seen along the directions in which training truth varies most. Distances of them bear names of our own
(`F3D-wl`, `MMD-wl`), as no published extractor is loaded.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.geometry.occupancy import OCC3D_CLASSES, Occupancy
from worldloom.occupancy.class_planes import ClassPlanes, shown_labels
from worldloom.occupancy.metrics.frechet import Projection
from worldloom.ops import load_config, load_weights, weights_path
from worldloom.ops.wavelet import haar, inverse_haar

STRIDE = 8  # columns along both sides for each code
_QUARTERS = 2  # along both sides
_AT_ONCE = 8  # frames


@dataclass(frozen=True)
class FeatureNetConfig:
    """The size of the network."""

    layers: int = 16
    class_width: int = 4
    widths: tuple[int, int, int] = (32, 64, 96)  # channels at strides 2, 4 and 8
    code_width: int = 32
    features: int = 48  # of a frame
    wavelet: bool = False  # Haar's sums and differences in place of the outermost strided convolutions: for comparison

    def __post_init__(self) -> None:
        widths = (*self.widths, self.code_width)
        if any(width < 8 or width % 8 or width > 4096 for width in widths):
            raise ValueError(f"widths must be multiples of 8, got {widths}")
        if not 1 <= self.features <= self.described_by:
            raise ValueError(f"expected 1 to {self.described_by} features, got {self.features}")

    @property
    def described_by(self) -> int:
        """Numbers that describe a frame before the projection: two moments of each channel in each quarter."""
        return 2 * _QUARTERS**2 * self.code_width


class FeatureNet(nn.Module):
    """See the module."""

    mean: Tensor
    directions: Tensor

    def __init__(self, config: FeatureNetConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.widths
        self.planes = ClassPlanes(config.class_width, config.layers)
        folded = self.planes.channels
        first, last = nn.Conv2d(folded, fine, 4, 2, 1), nn.ConvTranspose2d(fine, folded, 4, 2, 1)
        if config.wavelet:
            first = nn.Sequential(_Haar(), nn.Conv2d(4 * folded, fine, 1))
            last = nn.Sequential(nn.Conv2d(fine, 4 * folded, 1), _InverseHaar())
        self.encoder = nn.Sequential(
            first, *_activated(fine),
            nn.Conv2d(fine, middle, 4, 2, 1), *_activated(middle),
            nn.Conv2d(middle, coarse, 4, 2, 1), *_activated(coarse),
            nn.Conv2d(coarse, coarse, 3, padding=1), *_activated(coarse), nn.Conv2d(coarse, config.code_width, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(config.code_width, coarse, 3, padding=1), *_activated(coarse),
            nn.ConvTranspose2d(coarse, middle, 4, 2, 1), *_activated(middle),
            nn.ConvTranspose2d(middle, fine, 4, 2, 1), *_activated(fine), last,
        )  # fmt: skip
        self.register_buffer("mean", torch.zeros(config.described_by))
        self.register_buffer("directions", torch.eye(config.described_by, config.features))

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path = "small") -> "FeatureNet":
        """The embedded weights of a name, or a folder with the folder `features` in it.

        Raises:
            InputError: there are none, or they are damaged or of another network.
        """
        folder = weights_path("worldloom.occupancy", name_or_path, "features")
        net = cls(load_config(folder, FeatureNetConfig))
        load_weights(folder, net)
        return net.eval()

    def codes(self, labels: UInt8[Tensor, "b x y z"]) -> Float[Tensor, "b c h w"]:
        """One for each STRIDE x STRIDE columns.

        Args:
            labels: free where nobody looked; x and y multiples of STRIDE.
        Raises:
            ValueError: other columns, or another number of layers than the network's.
        """
        if labels.shape[3] != self.config.layers:
            raise ValueError(f"expected {self.config.layers} layers, got {labels.shape[3]}")
        if any(n % STRIDE for n in labels.shape[1:3]):
            raise ValueError(f"expected columns in multiples of {STRIDE}, got {tuple(labels.shape[1:3])}")
        return self.encoder(self.planes.fold(labels).movedim(-1, 1))

    def reconstruct(self, codes: Float[Tensor, "b c h w"]) -> Float[Tensor, "b x y k"]:
        """Folded planes; `self.planes` makes logits or labels of them."""
        return self.decoder(codes).movedim(1, -1)

    @torch.no_grad()
    def describe(self, labels: UInt8[Tensor, "t x y z"]) -> Float[Tensor, "t d"]:
        """Means and standard deviations of the codes in each quarter of each frame."""
        found = []
        for few in labels.split(_AT_ONCE):
            codes = self.codes(few).float()
            mean, square = (F.adaptive_avg_pool2d(x, _QUARTERS) for x in (codes, codes.square()))
            spread = (square - mean.square()).clamp(min=0).sqrt()
            found.append(torch.cat([mean, spread], 1).flatten(1))
        return torch.cat(found)

    def features(self, clip: Occupancy) -> Float[Tensor, "t f"]:
        """Features of each frame as it was seen, float64: free where nobody looked.

        Raises:
            ValueError: classes, columns or layers that the network does not know.
        """
        if clip.classes != OCC3D_CLASSES:
            raise ValueError(f"expected the {len(OCC3D_CLASSES)} classes of Occ3D, got {len(clip.classes)}")
        return Projection(self.mean.double(), self.directions.double())(self.describe(shown_labels(clip)))

    def project(self, projection: Projection) -> None:
        """Take features along these directions from now on."""
        self.mean.copy_(projection.mean)
        self.directions.copy_(projection.directions)


class _Haar(nn.Module):
    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        return haar(x[:, :, None])[:, :, 0]


class _InverseHaar(nn.Module):
    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b c h2 w2"]:
        return inverse_haar(x[:, :, None])[:, :, 0]


def _activated(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.GroupNorm(8, width), nn.SiLU()
