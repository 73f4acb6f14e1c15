"""The torch twin of the native kernels: any device, any dtype, differentiable by autograd. Slow and plain."""

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from worldloom.ops.sparse.sites import cells_of, coords_of


def neighbours(
    coords: Int32[Tensor, "n columns"],
    shape: tuple[int, ...],
    queries: Int32[Tensor, "m columns"],
    offsets: list[tuple[int, ...]],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Int32[Tensor, "m k"]:
    """Row of `coords` at query * stride - padding + k * dilation, or -1, by binary search in sorted cell numbers."""
    cells, rows = torch.sort(cells_of(coords, shape))
    vector = {"dtype": torch.int64, "device": coords.device}
    corner = queries[:, 1:].long() * torch.tensor(stride, **vector) - torch.tensor(padding, **vector)
    table = torch.full((len(queries), len(offsets)), -1, dtype=torch.int32, device=coords.device)
    for k, offset in enumerate(offsets):
        at = corner + torch.tensor(offset, **vector) * torch.tensor(dilation, **vector)
        inside = ((at >= 0) & (at < torch.tensor(shape, **vector))).all(dim=1).nonzero()[:, 0]
        if not len(inside) or not len(cells):
            continue
        wanted = cells_of(torch.cat([queries[inside, :1], at[inside].int()], dim=1), shape)
        place = torch.searchsorted(cells, wanted).clamp_(max=len(cells) - 1)
        hit = cells[place] == wanted
        table[inside[hit], k] = rows[place[hit]].int()
    return table


def reached_sites(
    coords: Int32[Tensor, "n columns"],
    shape: tuple[int, ...],
    offsets: list[tuple[int, ...]],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    transposed: bool,
) -> Int32[Tensor, "m columns"]:
    """Every cell of the output grid whose window holds one of `coords`, sorted lexicographically."""
    vector = {"dtype": torch.int64, "device": coords.device}
    steps, margin, size = (torch.tensor(values, **vector) for values in (stride, padding, shape))
    index = coords[:, 1:].long()
    found = []
    for offset in offsets:
        shift = torch.tensor(offset, **vector) * torch.tensor(dilation, **vector) - margin
        if transposed:
            at = index * steps + shift
            inside = ((at >= 0) & (at < size)).all(dim=1)
        else:
            at = index - shift
            inside = (at % steps == 0).all(dim=1)
            at = at.div(steps, rounding_mode="floor")
            inside &= ((at >= 0) & (at < size)).all(dim=1)
        found.append(cells_of(torch.cat([coords[inside, :1], at[inside].int()], dim=1), shape).unique())
    return coords_of(torch.cat(found).unique(), shape)


def convolve(
    features: Float[Tensor, "n c"],
    weight: Float[Tensor, "k c d"],
    bias: Float[Tensor, " d"] | None,
    kernel_map,
) -> Float[Tensor, "m d"]:
    """y[i] = bias + sum_k x[neighbours[i, k]] @ weight[k], offset by offset."""
    table = kernel_map.neighbours
    out = features.new_zeros(len(table), weight.shape[2])
    if bias is not None:
        out = out + bias
    for k in range(len(weight)):
        rows = (table[:, k] >= 0).nonzero()[:, 0]
        out = out.index_add(0, rows, features[table[rows, k].long()] @ weight[k])
    return out
