"""Moving voxel labels from one ego frame to another."""

import torch
from jaxtyping import Bool, Float, Int32, UInt8
from torch import Tensor

from worldloom.geometry.occupancy import FREE, VoxelGrid
from worldloom.geometry.rigid import invert

# A centre that falls on a face between two voxels goes to the upper one. Without this nudge, rounding of the
# transform would decide it anew for each voxel, and a shift by half a voxel would tear the grid.
TIE = 1e-4  # voxels
_OBSERVED_BIT = 128


def warp_labels(
    labels: UInt8[Tensor, "*batch x y z"],
    dst_from_src: Float[Tensor, "*poses 4 4"],
    grid_src: VoxelGrid,
    grid_dst: VoxelGrid | None = None,
    fill: int = FREE,
) -> tuple[UInt8[Tensor, "*out i j k"], Bool[Tensor, "*out i j k"]]:
    """Labels of the source frame as a grid of the destination frame sees them: nearest voxel, by backward mapping.

    The centre c of each destination voxel is carried into the source frame, `src_from_dst @ c`, and takes the label of
    the voxel it falls in. Whole-voxel shifts and quarter turns are therefore exact. An ego that has driven from pose
    `src` to pose `dst` has `dst_from_src = invert(world_from_dst) @ world_from_src`, and sees a static world move
    backwards in its grid.

    Args:
        labels: class ids, with any leading axes.
        dst_from_src: rigid; its leading axes broadcast against those of `labels`.
        grid_src: the grid of `labels`.
        grid_dst: the grid of the result; as `grid_src` if not given.
        fill: the label where the source grid says nothing.
    Returns:
        labels in the destination grid, and `inside`: False where the centre lies outside the source grid.
    Raises:
        ValueError: if `labels` do not have the shape of `grid_src`, or `fill` is not a uint8.
    """
    grid_dst = grid_dst or grid_src
    if tuple(labels.shape[-3:]) != grid_src.shape:
        raise ValueError(f"labels must end in the source grid's shape {grid_src.shape}, got {tuple(labels.shape)}")
    if not 0 <= fill <= 255:
        raise ValueError(f"fill must be 0..255, got {fill}")
    # Not torch.broadcast_shapes, which imports sympy: half a second.
    batch = torch.broadcast_tensors(labels[..., 0, 0, 0], dst_from_src[..., 0, 0])[0].shape
    frames = labels.expand(*batch, *grid_src.shape).reshape(-1, *grid_src.shape)
    src_from_dst = _voxel_from_voxel(dst_from_src, grid_src, grid_dst)
    src_from_dst = src_from_dst.expand(*batch, 3, 4).reshape(-1, 3, 4)
    warped = labels.new_empty((len(frames), *grid_dst.shape))
    inside = torch.empty_like(warped, dtype=torch.bool)
    for i, (frame, affine) in enumerate(zip(frames, src_from_dst.tolist(), strict=True)):
        warped[i], inside[i] = _warp_frame(frame, affine, grid_dst.shape, fill)
    return warped.reshape(*batch, *grid_dst.shape), inside.reshape(*batch, *grid_dst.shape)


def warp_observed(
    labels: UInt8[Tensor, "*batch x y z"],
    observed: Bool[Tensor, "*batch x y z"],
    dst_from_src: Float[Tensor, "*poses 4 4"],
    grid_src: VoxelGrid,
    grid_dst: VoxelGrid | None = None,
) -> tuple[UInt8[Tensor, "*out i j k"], Bool[Tensor, "*out i j k"]]:
    """Labels below 128, and whether somebody looked, through one `warp_labels`; outside the source nobody looked."""
    codes = labels + _OBSERVED_BIT * observed.to(torch.uint8)
    codes = warp_labels(codes, dst_from_src, grid_src, grid_dst)[0]
    return codes % _OBSERVED_BIT, codes >= _OBSERVED_BIT


def _voxel_from_voxel(
    dst_from_src: Float[Tensor, "*poses 4 4"], grid_src: VoxelGrid, grid_dst: VoxelGrid
) -> Float[Tensor, "*poses 3 4"]:
    """Affine map from a destination voxel's index to the source voxel (fractional) in which its centre lies."""
    src_from_dst = invert(dst_from_src.to("cpu", torch.float64))
    rotation, translation = src_from_dst[..., :3, :3], src_from_dst[..., :3, 3]
    first_centre = torch.tensor(grid_dst.origin, dtype=torch.float64) + 0.5 * grid_dst.voxel_size
    start = rotation @ first_centre + translation - torch.tensor(grid_src.origin, dtype=torch.float64)
    return torch.cat([rotation * grid_dst.voxel_size, start[..., None]], dim=-1) / grid_src.voxel_size


def _warp_frame(
    labels: UInt8[Tensor, "x y z"], affine: list[list[float]], shape: tuple[int, int, int], fill: int
) -> tuple[UInt8[Tensor, "i j k"], Bool[Tensor, "i j k"]]:
    """One frame; a motion in the plane needs one look-up per column of voxels instead of one per voxel."""
    # Tilts below this move no centre of the grid by more than TIE of a voxel.
    upright = TIE / (10 * max(*shape, *labels.shape))
    if all(abs(affine[row][column]) < upright for row, column in ((0, 2), (1, 2), (2, 0), (2, 1))):
        (u, in_u), (v, in_v) = (_source(affine[i], (*shape[:2], 1), labels.shape[i], labels.device) for i in (0, 1))
        w, in_w = _source(affine[2], (1, 1, shape[2]), labels.shape[2], labels.device)
        column = (u * labels.shape[1] + v).flatten()
        stacked = labels[:, :, w.flatten()].flatten(0, 1)
        warped, inside = stacked.index_select(0, column).reshape(shape), in_u & in_v & in_w
    else:
        (u, in_u), (v, in_v), (w, in_w) = (
            _source(row, shape, n, labels.device) for row, n in zip(affine, labels.shape, strict=True)
        )
        inside = in_u & in_v & in_w
        index = (u.mul_(labels.shape[1]).add_(v)).mul_(labels.shape[2]).add_(w)
        warped = labels.flatten().index_select(0, index.flatten()).reshape(shape)
    return torch.where(inside, warped, fill), inside


def _source(
    row: list[float], shape: tuple[int, int, int], size: int, device: torch.device
) -> tuple[Int32[Tensor, "i j k"], Bool[Tensor, "i j k"]]:
    """Source index along one axis of `size` voxels for each destination voxel of a grid, and whether it is inside.

    In float32 an index below 1000 is good to TIE; those far outside lose digits that nobody needs.
    """
    i, j, k = (torch.arange(n, dtype=torch.float64, device=device) for n in shape)
    across = (row[0] * i + row[3] + TIE)[:, None] + row[1] * j
    position = across.float()[:, :, None] + (row[2] * k).float()
    inside = (position >= 0) & (position < size)
    return position.clamp_(0, size - 1).int(), inside
