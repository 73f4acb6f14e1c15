"""Features on the active voxels of a batch of grids."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int32, Shaped
from torch import Tensor

from worldloom.errors import InputError
from worldloom.ops.sparse.kernel_map import KernelMaps, neighbours
from worldloom.ops.sparse.sites import Sites
from worldloom.ops.sparse.window import Window


class SparseTensor:
    """Features [n c] on unique voxels (batch, *index), in 1 to 4 dimensions.

    Sites never change; `replace_features` puts new features on the same sites and shares their kernel maps.
    """

    __slots__ = ("features", "maps", "sites")

    features: Float[Tensor, "n c"]
    sites: Sites
    maps: KernelMaps

    def __init__(
        self,
        features: Shaped[Tensor, "..."],
        coords: Shaped[Tensor, "..."],
        spatial_shape: Sequence[int],
        batch_size: int,
    ):
        """Check coordinates once and keep a copy of them.

        Args:
            features: [n c], floating point.
            coords: int32 [n 1+d], batch index in column 0, then the axes in the order of `spatial_shape`.
        Raises:
            InputError: if anything about coords or features does not fit; see `Sites.checked`.
        """
        sites = Sites.checked(coords, tuple(spatial_shape), batch_size)
        _check_features(features, sites)
        self.features, self.sites, self.maps = features, sites, KernelMaps()

    @classmethod
    def on_sites(cls, features: Float[Tensor, "n c"], sites: Sites, maps: KernelMaps | None = None) -> "SparseTensor":
        """A tensor on sites that were checked before."""
        _check_features(features, sites)
        tensor = cls.__new__(cls)
        tensor.features, tensor.sites, tensor.maps = features, sites, KernelMaps() if maps is None else maps
        return tensor

    @classmethod
    def from_dense(
        cls, dense: Float[Tensor, "batch c *shape"], active: Bool[Tensor, "batch *shape"] | None = None
    ) -> "SparseTensor":
        """Keep the voxels of `active`, by default those with any non-zero channel, in lexicographic order."""
        if not 3 <= dense.ndim <= 6 or 0 in dense.shape[2:]:
            raise InputError(f"expected a dense tensor of (batch, c, 1 to 4 axes), got shape {tuple(dense.shape)}")
        if active is None:
            active = (dense != 0).any(dim=1)
        coords = active.nonzero()
        features = dense.movedim(1, -1)[tuple(coords.T)]
        return cls.on_sites(features, Sites(coords.int(), tuple(active.shape[1:]), active.shape[0]))

    @property
    def coords(self) -> Int32[Tensor, "n columns"]:
        return self.sites.coords

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        return self.sites.spatial_shape

    @property
    def batch_size(self) -> int:
        return self.sites.batch_size

    def __len__(self) -> int:
        return len(self.sites)

    def __repr__(self) -> str:
        return f"SparseTensor({len(self)} x {self.features.shape[1]} on {self.batch_size} x {self.spatial_shape})"

    def replace_features(self, features: Float[Tensor, "n c"]) -> "SparseTensor":
        """New features on the same sites, sharing the kernel maps."""
        return SparseTensor.on_sites(features, self.sites, self.maps)

    def dense(self) -> Float[Tensor, "batch c *shape"]:
        """The whole grid, zero where no voxel is active."""
        cells = self.batch_size
        for size in self.spatial_shape:
            cells *= size
        channels = self.features.shape[1]
        flat = self.features.new_zeros(cells, channels).index_copy(0, self.sites.cells(), self.features)
        return flat.view(self.batch_size, *self.spatial_shape, channels).movedim(-1, 1)

    def rows_at(self, sites: Sites) -> Int32[Tensor, " m"]:
        """The row of this tensor at each of other sites, -1 where this tensor has none."""
        if self.spatial_shape != sites.spatial_shape or self.batch_size != sites.batch_size:
            raise InputError(f"expected sites in the same grids, got {self.sites} and {sites}")
        ones = (1,) * self.sites.ndim
        return neighbours(self.sites, sites, Window(ones, ones, (0,) * len(ones), ones))[:, 0]

    def prune(self, keep: Bool[Tensor, " n"]) -> "SparseTensor":
        """The rows where `keep` is true, in the same order, with kernel maps of their own."""
        sites = Sites(self.coords[keep], self.spatial_shape, self.batch_size)
        return SparseTensor.on_sites(self.features[keep], sites)

    def __add__(self, other: "SparseTensor") -> "SparseTensor":
        _check_same_sites(self, other)
        return self.replace_features(self.features + other.features)

    def to(self, device: torch.device | str) -> "SparseTensor":
        """A copy on another device, with kernel maps of its own."""
        sites = Sites(self.coords.to(device), self.spatial_shape, self.batch_size)
        return SparseTensor.on_sites(self.features.to(device), sites)


def cat(tensors: Sequence[SparseTensor]) -> SparseTensor:
    """Join the channels of tensors on the same sites."""
    if not tensors:
        raise InputError("expected at least one sparse tensor to join, got none")
    for other in tensors[1:]:
        _check_same_sites(tensors[0], other)
    return tensors[0].replace_features(torch.cat([tensor.features for tensor in tensors], dim=1))


def _check_same_sites(one: SparseTensor, other: SparseTensor) -> None:
    if not one.sites.same_as(other.sites):
        raise InputError(f"expected sparse tensors on the same sites, got {one.sites} and {other.sites}")


def _check_features(features: Tensor, sites: Sites) -> None:
    if features.ndim != 2 or len(features) != len(sites):
        raise InputError(f"expected features of [{len(sites)}, c] for {sites}, got shape {tuple(features.shape)}")
    if not features.is_floating_point():
        raise InputError(f"expected floating-point features, got {features.dtype}")
    if features.device != sites.coords.device:
        raise InputError(f"expected features and coords on one device, got {features.device}, {sites.coords.device}")
