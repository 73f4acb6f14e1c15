"""Kernel maps: which input row feeds which output row at each kernel offset, built once and shared by layers."""

import functools
from typing import Any, Literal

import torch
from jaxtyping import Int32
from torch import Tensor

from worldloom.errors import InputError
from worldloom.ops.sparse import _torch
from worldloom.ops.sparse.backend import native_module
from worldloom.ops.sparse.sites import Sites, check_cells
from worldloom.ops.sparse.window import Window

Kind = Literal["submanifold", "strided", "transposed"]


class KernelMap:
    """neighbours[i, k] is the input row that output row i meets at kernel offset k, or -1.

    At one offset no two outputs share an input, so a map can be turned around.
    """

    def __init__(self, inputs: Sites, outputs: Sites, window: Window, neighbours: Int32[Tensor, "n k"], kind: Kind):
        self.inputs = inputs
        self.outputs = outputs
        self.window = window
        self.neighbours = neighbours
        self.kind: Kind = kind
        self.engine: dict[str, Any] = {}  # what an engine derives from this map, under the engine's own names

    @property
    def mirrored(self) -> bool:
        """Whether the reverse map is this one with the offsets in reverse order, as in a submanifold layer."""
        return self.kind == "submanifold"

    @functools.cached_property
    def reverse(self) -> Int32[Tensor, "n k"]:
        """reverse[j, k] is the output row that input row j feeds at kernel offset k, or -1."""
        if self.mirrored:
            return self.neighbours.flip(1)
        return reverse_table(self.neighbours, len(self.inputs))

    def inverse(self) -> "KernelMap":
        """The map back from outputs to inputs, with the same offsets. Made once."""
        if "inverse" not in self.engine:
            other = KernelMap(self.outputs, self.inputs, self.window, self.reverse, "transposed")
            other.__dict__["reverse"] = self.neighbours
            self.engine["inverse"] = other
        return self.engine["inverse"]


class KernelMaps:
    """The maps that a chain of sparse tensors shares, found by what they depend on or by a name (`indice_key`)."""

    def __init__(self):
        self._maps: dict[tuple, KernelMap] = {}
        self._named: dict[str, KernelMap] = {}

    def __len__(self) -> int:
        return len(self._maps)

    def find(
        self,
        inputs: Sites,
        window: Window,
        kind: Kind,
        output_padding: tuple[int, ...] = (),
        indice_key: str | None = None,
        use_native: bool = True,
    ) -> KernelMap:
        """The map of a layer on these sites, built if it is not here yet.

        Raises:
            InputError: if `indice_key` already names another map.
        """
        key = (inputs.key, kind, window, output_padding)
        if key not in self._maps:
            self._maps[key] = build_map(inputs, window, kind, output_padding, use_native)
        found = self._maps[key]
        if indice_key is not None and self._named.setdefault(indice_key, found) is not found:
            other = self._named[indice_key]
            raise InputError(
                f"indice_key {indice_key!r} already names a {other.kind} map of {other.window} on {other.inputs}, "
                f"got a {kind} map of {window} on {inputs}"
            )
        return found

    def named(self, indice_key: str) -> KernelMap:
        """The map that a forward layer left under this name."""
        if indice_key not in self._named:
            raise InputError(f"no layer has left a map named {indice_key!r}; known names: {sorted(self._named)}")
        return self._named[indice_key]


def build_map(
    inputs: Sites, window: Window, kind: Kind, output_padding: tuple[int, ...] = (), use_native: bool = True
) -> KernelMap:
    """Output sites and neighbours of one layer. New sites are sorted lexicographically."""
    if len(window.kernel) != inputs.ndim:
        raise InputError(f"expected a layer for {inputs.ndim} axes, got kernel {window.kernel}")
    if kind == "submanifold":
        return KernelMap(inputs, inputs, window, neighbours(inputs, inputs, window, use_native), kind)
    transposed = kind == "transposed"
    shape = inputs.spatial_shape
    shape = window.transposed_shape(shape, output_padding) if transposed else window.strided_shape(shape)
    check_cells(shape, inputs.batch_size)
    outputs = Sites(reached_sites(inputs, shape, window, transposed, use_native), shape, inputs.batch_size)
    if not transposed:
        return KernelMap(inputs, outputs, window, neighbours(inputs, outputs, window, use_native), kind)
    feeds = neighbours(outputs, inputs, window, use_native)
    kernel_map = KernelMap(inputs, outputs, window, reverse_table(feeds, len(outputs)), kind)
    kernel_map.__dict__["reverse"] = feeds
    return kernel_map


def neighbours(inputs: Sites, outputs: Sites, window: Window, use_native: bool = True) -> Int32[Tensor, "n k"]:
    """Row of the input site at output * stride - padding + k * dilation, or -1, for each output and offset."""
    native = _native_for(inputs.coords) if use_native else None
    if native is None:
        return _torch.neighbours(
            inputs.coords, inputs.spatial_shape, outputs.coords, window.offsets(), window.stride, window.padding,
            window.dilation,
        )  # fmt: skip
    table = torch.empty(len(outputs), window.volume, dtype=torch.int32)
    native.neighbours(
        inputs.coords, inputs.spatial_shape, inputs.batch_size, outputs.coords, window.kernel, window.stride,
        window.padding, window.dilation, table, torch.get_num_threads(),
    )  # fmt: skip
    return table


def reached_sites(
    inputs: Sites, shape: tuple[int, ...], window: Window, transposed: bool, use_native: bool = True
) -> Int32[Tensor, "n columns"]:
    """Every output voxel of `shape` whose window holds an input site, sorted lexicographically."""
    native = _native_for(inputs.coords) if use_native else None
    if native is None:
        return _torch.reached_sites(
            inputs.coords, shape, window.offsets(), window.stride, window.padding, window.dilation, transposed
        )
    return torch.from_numpy(
        native.reached_sites(
            inputs.coords, shape, inputs.batch_size, window.kernel, window.stride, window.padding, window.dilation,
            transposed,
        )
    )  # fmt: skip


def reverse_table(table: Int32[Tensor, "n k"], num_inputs: int) -> Int32[Tensor, "m k"]:
    """reverse[j, k] = i where table[i, k] = j; -1 elsewhere."""
    native = _native_for(table)
    reverse = torch.full((num_inputs, table.shape[1]), -1, dtype=torch.int32, device=table.device)
    if native is not None:
        native.reverse_table(table, reverse, torch.get_num_threads())
        return reverse
    rows, offsets = (table >= 0).nonzero(as_tuple=True)
    reverse[table[rows, offsets].long(), offsets] = rows.int()
    return reverse


def _native_for(tensor: Tensor):
    return native_module() if tensor.device.type == "cpu" else None
