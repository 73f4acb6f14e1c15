"""Generative upsampling: every voxel emits its children, then a learned or a given mask prunes them."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from worldloom.errors import InputError
from worldloom.ops.sparse.conv import Size, convolve
from worldloom.ops.sparse.tensor import SparseTensor
from worldloom.ops.sparse.window import Window, per_axis


@dataclass(frozen=True)
class Upsampled:
    """All children, the logit of each being occupied, and the children that were kept."""

    children: SparseTensor
    logits: Float[Tensor, " n"]
    kept: SparseTensor


class SparseGenerativeUpsample(nn.Module):
    """Voxel p emits children p * stride + k for every k below stride, each with a weight matrix of its own.

    Children are sorted lexicographically. A linear head says which are occupied (Gwak et al. 2020, GSDN).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: Size = 2,
        ndim: int = 3,
        bias: bool = True,
        backend: str = "auto",
    ):
        super().__init__()
        steps = per_axis(stride, ndim, "stride")
        self.window = Window(steps, steps, (0,) * ndim, (1,) * ndim)
        self.backend = backend
        self.weight = nn.Parameter(torch.empty(self.window.volume, in_channels, out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        nn.init.uniform_(self.weight, -(in_channels**-0.5), in_channels**-0.5)  # one parent each: fan in = in_channels
        self.occupied = nn.Linear(out_channels, 1)

    def forward(self, x: SparseTensor, keep: SparseTensor | Bool[Tensor, " n"] | None = None) -> Upsampled:
        """Emit and prune.

        Args:
            keep: which children to keep: a mask over the children, a tensor whose sites are to be kept (as in training,
                the known answer), or None for those whose logit is above 0.
        Raises:
            InputError: if the mask does not have one entry for each child.
        """
        kernel_map = x.maps.find(
            x.sites, self.window, "transposed", (0,) * len(self.window.kernel), use_native=self.backend != "torch"
        )
        children = convolve(x, self.weight, self.bias, kernel_map, self.backend)
        logits = self.occupied(children.features)[:, 0]
        if isinstance(keep, SparseTensor):
            mask = keep.rows_at(children.sites) >= 0
        else:
            mask = logits.detach() > 0 if keep is None else keep
        if mask.shape != (len(children),):
            raise InputError(f"expected a mask over {len(children)} children, got shape {tuple(mask.shape)}")
        return Upsampled(children, logits, children.prune(mask))
