"""Layers that work on features alone: group norm over the voxels of a sample, and a sequence that mixes kinds."""

import torch
from torch import nn

from worldloom.errors import InputError
from worldloom.ops.sparse.tensor import SparseTensor


class SparseGroupNorm(nn.Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over the active voxels of one sample and one channel group.

    Wu and He 2018, with the spatial axes replaced by the active voxels. For batch norm use torch.nn.BatchNorm1d
    in a `SparseSequential`.
    """

    def __init__(self, num_groups: int, channels: int, eps: float = 1e-5):
        super().__init__()
        if num_groups < 1 or channels % num_groups:
            raise InputError(f"expected channels in equal groups, got {channels} channels in {num_groups} groups")
        self.num_groups = num_groups
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: SparseTensor) -> SparseTensor:
        sample = x.coords[:, 0].long()
        groups = x.features.unflatten(1, (self.num_groups, -1))  # n g c
        count = torch.bincount(sample, minlength=x.batch_size)[:, None] * groups.shape[2]
        count = count.clamp(min=1).to(groups.dtype)

        def mean(values):  # n g c -> n g 1
            sums = values.new_zeros(x.batch_size, self.num_groups).index_add(0, sample, values.sum(dim=2))
            return (sums / count)[sample][:, :, None]

        centred = groups - mean(groups)
        normed = centred * torch.rsqrt(mean(centred * centred) + self.eps)
        return x.replace_features(normed.flatten(1) * self.weight + self.bias)


class SparseSequential(nn.Module):
    """Layers of torch.nn (norms, activations, linear) see the features; every other module sees the sparse tensor."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: SparseTensor) -> SparseTensor:
        for layer in self.layers:
            plain = type(layer).__module__.startswith("torch.nn.")
            x = x.replace_features(layer(x.features)) if plain else layer(x)
        return x
