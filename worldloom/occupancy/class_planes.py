"""Voxels as pictures of columns, as OccWorld and OccSora have them, and their loss of reconstruction."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from worldloom.geometry.occupancy import FREE, OCC3D_CLASSES, Occupancy
from worldloom.occupancy.metrics.bits import code_bits
from worldloom.ops import lovasz_softmax

CE_WEIGHT, LOVASZ_WEIGHT, VQ_WEIGHT = 10.0, 1.0, 1.0


@dataclass(frozen=True)
class Code:
    """A clip as indices into a codebook."""

    indices: Int64[Tensor, "t h w"]
    num_codes: int

    @property
    def bits(self) -> float:
        """At a fixed length for each index."""
        return code_bits(self.indices.numel(), self.num_codes)


class ClassPlanes(nn.Module):
    """A short vector for each class; the layers of a column lie in the channels. Both ways use the same table."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.table = nn.Parameter(torch.randn(len(OCC3D_CLASSES), width))

    @property
    def channels(self) -> int:
        return self.layers * self.table.shape[1]

    def fold(self, labels: UInt8[Tensor, "*b x y z"]) -> Float[Tensor, "*b x y c"]:
        """Vectors in place of labels. The table learns at the output only, which costs a third less: what it could
        learn here, the convolution that follows can."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else self.table.dtype
        return F.embedding(labels.int(), self.table.detach().to(dtype)).flatten(-2)

    def scores(
        self, planes: Float[Tensor, "*b x y c"], voxels: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n k"]:
        """Logits of the classes, as products with their vectors.

        Args:
            voxels: flat places in "*b x y z"; all of them if not given.
        """
        vectors = planes.reshape(-1, self.table.shape[1])
        vectors = vectors if voxels is None else vectors[voxels]
        with torch.autocast("cpu", enabled=False):
            return vectors.float() @ self.table.T

    @torch.no_grad()
    def unfold(self, planes: Float[Tensor, "*b x y c"]) -> UInt8[Tensor, "*b x y z"]:
        """The most likely class of every voxel."""
        frames = planes.reshape(-1, *planes.shape[-3:])
        shape = (*planes.shape[:-1], self.layers)
        return torch.cat([self.scores(frame).argmax(1).to(torch.uint8) for frame in frames]).reshape(shape)


def shown_labels(clip: Occupancy) -> UInt8[Tensor, "*b t x y z"]:
    """What a tokenizer is shown: free where nobody looked, as in Occ3D's own labels."""
    return torch.where(clip.observed, clip.labels, FREE)


def asked_voxels(
    observed: Bool[Tensor, "*shape"], masked: bool, most: int, generator: torch.Generator
) -> Int64[Tensor, " n"]:
    """Flat places of the voxels that the loss is taken at: the observed ones or all, and of these a random sample."""
    if not masked:
        return torch.randint(observed.numel(), (min(most, observed.numel()),), generator=generator)
    places = observed.flatten().nonzero()[:, 0]
    if len(places) <= most:
        return places
    return places[torch.randint(len(places), (most,), generator=generator)]


def reconstruction_loss(
    logits: Float[Tensor, "n k"], labels: UInt8[Tensor, " n"], vq_loss: Float[Tensor, ""], weights: Tensor | None = None
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """10 cross entropy + 1 Lovász-softmax + 1 quantizer's loss, as OccWorld and OccSora weigh them.

    Args:
        weights: of the classes in the cross entropy; both systems have none.
    """
    true = labels.long()
    cross = F.cross_entropy(logits, true, weights) if len(true) else logits.sum()
    lovasz = lovasz_softmax(logits.softmax(1), true)
    figures = {"cross": float(cross.detach()), "lovasz": float(lovasz.detach()), "vq": float(vq_loss.detach())}
    return CE_WEIGHT * cross + LOVASZ_WEIGHT * lovasz + VQ_WEIGHT * vq_loss, figures
