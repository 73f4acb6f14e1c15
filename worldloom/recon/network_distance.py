"""A user's depth network on a panorama: overlapping views, put together and stood on the floor."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.geometry.camera import Camera
from worldloom.geometry.equirect import directions, tangent_views
from worldloom.recon.depth_networks import DepthNetwork, InputRange
from worldloom.recon.edge_upsampling import resize_along_edges
from worldloom.recon.merge_views import Kind, Reference, merge_views, ring_views
from worldloom.recon.panorama_depth import PanoramaEstimate, floor_plane

MAX_ROWS = 512  # at which views are put together
_AGREES = 0.5  # least rank correlation with the floor of what tells depth
_PROBES = 4  # views by which a network's ways are found out
_FLOOR_WEIGHT = 2.0
_BASE_WEIGHT = 0.02  # of what was thought before, where views look
_CEILING = (math.radians(35), math.radians(60))  # from here on up views count less than what was thought before
_CEILING_WEIGHT = 1.0
_STANDS_UP = 0.12  # log distance: what the views see nearer than the floor by this is no floor
_FEW_ROWS = 64
_CONTENT = 0.3  # of an answer's deviation that is enough not to be a matter of rows
_RIM = math.radians(10)


@dataclass(frozen=True)
class NetworkReading:
    """What was found out about a network, and how well its views agree."""

    kind: Kind  # whether its numbers rise with nearness or with depth
    input_range: str
    floor_correlation: float  # rank correlation with the floor's disparity
    num_views: int
    num_used: int
    spread: float  # median difference of overlapping views in log distance


def distance_by_network(
    rgb: Float[Tensor, "3 h w"], network: DepthNetwork, base: PanoramaEstimate, base_weight: float = _BASE_WEIGHT
) -> tuple[PanoramaEstimate, NetworkReading]:
    """Distance by a network of perspective pictures; floor, sky and what no view sees are those of `base`.

    Whether the network answers disparity or depth, and which range of input it wants, is found out from views of the
    floor, whose depth is known. Every view is then fitted on its own (`merge_views`).

    Args:
        base: of the same panorama; its floor sets the scale.
        base_weight: how much its distances count beside a view's.
    Raises:
        InputError: the network's answers do not follow the floor at all, or no view could be fitted.
    """
    rows = min(rgb.shape[1], MAX_ROWS)
    cameras = ring_views(network.size)
    plane, below = floor_plane(base.log_distance.shape[0])
    floor_weight = torch.where(below, base.floor, 0.0) ** 2
    pictures = tangent_views(_as_dense_as(rgb, cameras), cameras)
    chosen, kind, correlation = _find_out(network, pictures, cameras, floor_weight)
    values = network(chosen(pictures))

    elevation = directions(len(base.log_distance))[..., 2].asin()
    low, high = _CEILING
    up = ((elevation - low) / (high - low)).clamp(0, 1)
    references = [
        Reference(plane, _FLOOR_WEIGHT * floor_weight),
        Reference(base.log_distance, base_weight + (_CEILING_WEIGHT * up if base_weight > 0 else 0 * up)),
    ]
    merged = merge_views(values, cameras, kind, references, rows)
    if merged.num_used == 0:
        raise InputError("no view of the depth network could be fitted to the floor or to another view")
    small = _sized(torch.stack([base.log_distance, base.floor]), rows)
    share = _sized(up[None], rows)[0] if base_weight > 0 else torch.zeros_like(small[0])
    unseen = merged.log_distance.isnan()
    log = torch.where(unseen, small[0] + _rim_offset(merged.log_distance, small[0]), merged.log_distance)
    log = torch.lerp(log, small[0], share)
    grown = resize_along_edges(log[None], rgb)[0]
    # What the views see standing is no floor, whoever took it for floor.
    stands = torch.sigmoid((plane - grown - _STANDS_UP) / 0.03)
    estimate = replace(base, log_distance=grown, floor=base.floor * (1 - stands * below))
    return estimate, NetworkReading(kind, chosen.name, correlation, len(cameras), merged.num_used, merged.spread)


def _find_out(
    network: DepthNetwork, pictures: Float[Tensor, "v 3 h w"], cameras: Camera, floor: Float[Tensor, "h2 w2"]
) -> tuple[InputRange, Kind, float]:
    """The input range in which the network sees best, and in which sense its answers follow the floor.

    A network that is given too dark a picture still answers that what is lower is nearer, which follows the floor very
    well. So a range also counts by how much of the answer is no matter of the row, and turns around with the picture.
    """
    seen = tangent_views(floor[None], cameras)[:, 0]
    # A view of nothing but floor tells no more than its rows; one with a bit of all shows what is a fluke.
    share = (seen > 0.5).float().mean((1, 2))
    probes = (share - 0.5).abs().argsort()[:_PROBES]
    probes = probes[share[probes] > 0.02]
    if not len(probes):
        raise InputError("no floor is seen that could tell what the depth network means; try another panorama")
    found = []
    for one in network.ranges:
        shown = one(pictures[probes])
        answers = network(shown)
        correlation = _floor_correlation(answers, cameras, probes, seen)
        score = abs(correlation)
        if len(network.ranges) > 1:
            score *= _sees(answers, network(shown.flip(-1)).flip(-1))
        found.append((score, correlation, one))
    _, correlation, chosen = max(found, key=lambda one: one[0])
    if abs(correlation) < _AGREES:
        raise InputError(
            f"expected a depth network whose answers follow the floor, got a rank correlation of {correlation:.2f}"
        )
    return chosen, "disparity" if correlation > 0 else "depth", correlation


def _sees(answers: Float[Tensor, "p h w"], mirrored: Float[Tensor, "p h w"]) -> float:
    """From 0 to 1: how much of the answers is about the picture, and the same of its mirror image."""
    aside, turned = (x - x.mean(-1, keepdim=True) for x in (answers, mirrored))
    content = float(aside.std() / answers.std().clamp(min=1e-9))
    alike = float((aside * turned).sum() / (aside.norm() * turned.norm()).clamp(min=1e-12))
    return max(alike, 0.0) * min(1.0, content / _CONTENT)


def _floor_correlation(
    answers: Float[Tensor, "p h w"], cameras: Camera, probes: Tensor, seen: Float[Tensor, "v h w"]
) -> float:
    """Mean rank correlation of answers with the disparity of the floor, over views."""
    found = []
    for answer, i in zip(answers, probes.tolist(), strict=True):
        height, width = cameras.size
        axis = cameras.world_from_cam[i, :3, :3]
        K = cameras.K[i]
        v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        local = torch.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], torch.ones_like(u)], -1)
        disparity = -(local @ axis.T)[..., 2]  # of level ground one below: 1 / z = -ray_z
        where = (seen[i] > 0.5) & (disparity > 0)
        if int(where.sum()) > 100:
            ranks = torch.stack([x[where].argsort().argsort().double() for x in (answer, disparity)])
            found.append(float(torch.corrcoef(ranks)[0, 1]))
    return sum(found) / len(found) if found else 0.0


def _rim_offset(merged: Float[Tensor, "h w"], base: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """How much farther than the base the views see what is next to the part about the zenith that no view sees."""
    rows = merged.shape[0]
    seen = ~merged.isnan()
    offset = torch.zeros_like(merged)
    first = int(seen.any(-1).int().argmax())
    rim = slice(first, first + max(1, round(rows * _RIM / math.pi)))
    if bool(seen[rim].any()) and first < rows // 2:
        offset[: rows // 2] = (merged - base)[rim][seen[rim]].median()
    return offset


def _as_dense_as(rgb: Float[Tensor, "3 h w"], cameras: Camera) -> Float[Tensor, "3 h2 w2"]:
    """The panorama with no more pixels than the views ask for, so that sampling skips none."""
    wanted = max(_FEW_ROWS, round(math.pi * float(cameras.K[0, 0, 0])))
    if rgb.shape[1] <= wanted:
        return rgb
    return F.interpolate(rgb[None], (wanted, 2 * wanted), mode="bilinear", antialias=True)[0]


def _sized(maps: Float[Tensor, "c h w"], rows: int) -> Float[Tensor, "c h2 w2"]:
    return F.interpolate(maps[None], (rows, 2 * rows), mode="bilinear", align_corners=False)[0]
