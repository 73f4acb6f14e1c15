"""Depths of overlapping views, each with a scale of its own, as one panorama of distances."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.camera import Camera, intrinsics, look_at
from worldloom.geometry.equirect import directions, solid_angles
from worldloom.recon.edge_upsampling import surface_mean

Kind = Literal["disparity", "depth"]

_SPREAD = 0.05  # log distance: views that differ more say little about scales
_ROUNDS = 15
_REFITS = 4  # rounds in which views that made no sense are fitted to those that do: rings above the floor, one by one
_NEAREST_DISPARITY = 1e-3  # camera heights^-1: what fits answer where they would go below zero
_ONE_SURFACE = 0.1


@dataclass(frozen=True)
class Reference:
    """What is thought of a panorama before, in log camera heights; with how surely, on a scale where a view has 1."""

    log_distance: Float[Tensor, "h w"]
    weight: Float[Tensor, "h w"]


@dataclass(frozen=True)
class Merged:
    """Views put together."""

    log_distance: Float[Tensor, "h w"]  # NaN where no view looked
    num_used: int  # views whose fit made sense
    spread: float  # median |difference| of a view from the merged log distance, where at least two overlap


def ring_views(size: tuple[int, int], fov: float = math.radians(75)) -> Camera:
    """Level-headed views around a panorama that overlap by a third, up and down to about 65 degrees; batch (v,).

    No view looks straight up or down, as few photographs do.
    """
    K = intrinsics(fov, size)
    tall = 2 * math.atan(math.tan(fov / 2) * size[0] / size[1])
    reach = math.radians(75) - tall / 2
    rings = max(2, math.ceil(2 * reach / (0.65 * tall)) + 1)
    gazes = []
    for i in range(rings):
        pitch = reach * (2 * i / (rings - 1) - 1)
        num = max(4, math.ceil(2 * math.pi * math.cos(pitch) / (0.65 * fov)))
        for j in range(num):
            azimuth = 2 * math.pi * (j + 0.5 * (i % 2)) / num
            gazes.append([math.cos(pitch) * math.cos(azimuth), math.cos(pitch) * math.sin(azimuth), math.sin(pitch)])
    forward = torch.tensor(gazes)
    return Camera(look_at(torch.zeros_like(forward), forward), K.expand(len(gazes), 3, 3).clone(), size)


def merge_views(
    values: Float[Tensor, "v h w"], cameras: Camera, kind: Kind, references: list[Reference], rows: int
) -> Merged:
    """Fit each view's scale (and the offset of disparities), then let the views vote on every pixel.

    A view's disparity is 1 / z = s value + o, its depth z = s value. With l the log distance that follows and m that of
    the panorama, all s, o and m minimise sum w rho(l - m)^2 over views and references, rho being Cauchy's; a robust
    least-squares merge in log distance. Every m is eliminated, so the normal equations have one or two unknowns a view.

    Args:
        values: of each view's pixels.
        cameras: tangent views of the panorama.
        references: of any size; the first one, such as level ground, also starts the fits.
        rows: of the answer.
    """
    grid_rows = min(64, rows)
    sampled = _seen(values, cameras, directions(grid_rows))
    area = solid_angles(grid_rows).flatten()
    known = [_resized(reference, grid_rows) for reference in references]
    parameters = _first_fits(sampled, known, kind)
    view_weight = sampled.weight * area / area.mean()
    known = [(log, weight * area / area.mean()) for log, weight in known]
    for number in range(_ROUNDS):
        if number < _REFITS:
            parameters = _refitted(parameters, sampled, known, kind)
        parameters = _step(parameters, sampled, view_weight, known, kind)

    good = _makes_sense(parameters, sampled, kind)
    log, _ = _log_distance(parameters, sampled, kind)
    seen = (sampled.weight > 0) & good[:, None]
    mean = _vote(log, seen * sampled.weight)
    overlap = seen & (seen.sum(0) > 1)
    spread = float((log - mean).abs()[overlap].median()) if bool(overlap.any()) else math.nan

    fine = _seen(values, cameras, directions(rows))
    log, _ = _log_distance(parameters, fine, kind)
    return Merged(_vote(log, fine.weight * good[:, None]).view(rows, 2 * rows), int(good.sum()), spread)


@dataclass(frozen=True)
class _Seen:
    """Views as seen in some directions."""

    value: Float[Tensor, "v n"]
    cosine: Float[Tensor, "v n"]  # between the direction and the view's axis: z / distance
    weight: Float[Tensor, "v n"]  # falls to 0 at a view's border, and is 0 outside


def _seen(values: Float[Tensor, "v h w"], cameras: Camera, towards: Float[Tensor, "h2 w2 3"]) -> _Seen:
    height, width = cameras.size
    flat = towards.reshape(-1, 3)
    answers = []
    for value, camera in zip(values, (cameras[i] for i in range(len(cameras))), strict=True):
        local = flat @ camera.world_from_cam[:3, :3]
        z = local[:, 2].clamp(min=1e-6)
        K = camera.K
        x = (K[0, 0] * local[:, 0] / z + K[0, 2]) / width * 2 - 1
        y = (K[1, 1] * local[:, 1] / z + K[1, 2]) / height * 2 - 1
        inside = torch.maximum(x.abs(), y.abs())
        weight = ((1 - inside) / 0.3).clamp(0, 1) * (local[:, 2] > 0.05)
        grid = torch.stack([x, y], -1).clamp(-2, 2)[None, None]
        sample = torch.nn.functional.grid_sample(value[None, None], grid, "bilinear", "border", align_corners=False)[
            0, 0, 0
        ]
        answers.append((sample, local[:, 2].clamp(min=0.05), weight))
    return _Seen(*map(torch.stack, zip(*answers, strict=True)))


def _resized(reference: Reference, rows: int) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Weighted means at the very places of the new pixels: half a pixel aside, a floor would be metres aside."""
    maps = torch.stack([reference.weight * reference.log_distance, reference.weight])[None]
    product, weight = torch.nn.functional.interpolate(
        maps, (rows, 2 * rows), mode="bilinear", align_corners=False, antialias=rows < maps.shape[-2]
    )[0].flatten(1)
    return product / weight.clamp(min=1e-12), weight


def _log_distance(
    parameters: Float[Tensor, "v k"], seen: _Seen, kind: Kind
) -> tuple[Float[Tensor, "v n"], Float[Tensor, "v n k"]]:
    """Log distances of views, and their derivatives by the parameters."""
    if kind == "depth":  # log s
        log = seen.value.clamp(min=1e-6).log() - seen.cosine.log() + parameters.nan_to_num(0.0)
        return log, torch.ones_like(log)[..., None]
    inverse = seen.value * parameters[:, :1] + parameters[:, 1:]
    inverse = inverse.clamp(min=_NEAREST_DISPARITY)
    log = -inverse.log() - seen.cosine.log()
    alive = (inverse > _NEAREST_DISPARITY) / inverse
    return log, -torch.stack([seen.value * alive, alive], -1)


def _first_fits(seen: _Seen, known: list[tuple[Tensor, Tensor]], kind: Kind) -> Float[Tensor, "v k"]:
    """Each view fitted to the references alone."""
    fits = []
    for v in range(len(seen.value)):
        value, cosine = seen.value[v], seen.cosine[v]
        target = torch.cat([(log + cosine.log()) for log, _ in known])  # log z
        weight = torch.cat([weight * seen.weight[v] for _, weight in known])
        value = value.repeat(len(known))
        fits.append(_fit_depth(value, target, weight) if kind == "depth" else _fit_disparity(value, target, weight))
    return torch.stack(fits)


def _refitted(
    parameters: Float[Tensor, "v k"], seen: _Seen, known: list[tuple[Tensor, Tensor]], kind: Kind
) -> Float[Tensor, "v k"]:
    """Views that make no sense, fitted to what those that do say together, and to the references."""
    good = _makes_sense(parameters, seen, kind)
    if bool(good.all()) or not bool(good.any()):
        return parameters
    log, _ = _log_distance(parameters, seen, kind)
    weight = seen.weight * good[:, None]
    together = _vote(log, weight)
    covered = weight.sum(0).clamp(max=1)
    again = _first_fits(seen, [*known, (together.nan_to_num(0.0), covered)], kind)
    return torch.where(good[:, None], parameters, again)


def _fit_depth(value: Tensor, log_z: Tensor, weight: Tensor) -> Float[Tensor, "1"]:
    """log s as the weighted median of what pixels want; NaN, which makes no sense, where nothing is known."""
    if float(weight.sum()) <= 0:
        return torch.full((1,), math.nan)
    offset = log_z - value.clamp(min=1e-6).log()
    order = offset.argsort()
    cumulative = weight[order].cumsum(0)
    middle = (cumulative < 0.5 * cumulative[-1]).sum().clamp(max=len(order) - 1)
    return offset[order][middle][None]


def _fit_disparity(value: Tensor, log_z: Tensor, weight: Tensor) -> Float[Tensor, "2"]:
    """s, o of 1 / z = s value + o with the least relative errors, by reweighting."""
    z = log_z.exp()
    rows = torch.stack([value * z, z], -1).double()  # rows @ (s, o) should be 1
    robust = weight.double()
    answer = torch.zeros(2, dtype=torch.float64)
    for _ in range(10):
        normal = rows.T @ (robust[:, None] * rows)
        normal = normal + 1e-9 * normal.diagonal().mean() * torch.eye(2, dtype=torch.float64)
        if not bool(normal.isfinite().all()) or float(normal.diagonal().min()) <= 0:
            return torch.tensor([0.0, 1.0])
        answer = torch.linalg.solve(normal, rows.T @ robust)
        robust = weight / (1 + ((rows @ answer - 1) / (2 * _SPREAD)) ** 2)
    return answer.float()


def _step(
    parameters: Float[Tensor, "v k"],
    seen: _Seen,
    view_weight: Float[Tensor, "v n"],
    known: list[tuple[Tensor, Tensor]],
    kind: Kind,
) -> Float[Tensor, "v k"]:
    """One reweighted Gauss-Newton step with all of the panorama's distances eliminated."""
    log, derivative = _log_distance(parameters, seen, kind)
    good = _makes_sense(parameters, seen, kind)[:, None]
    opinions = torch.cat([log, *[one[None] for one, _ in known]])
    weights = torch.cat([view_weight * good, *[weight[None] for _, weight in known]])
    # About the median of what is thought, not about the mean: one wrong view pulls no other.
    middle = _median(opinions, weights)
    weights = weights / (1 + ((opinions - middle) / _SPREAD) ** 2)
    total = weights.sum(0).clamp(min=1e-9)
    residual = (opinions - (weights * opinions).sum(0) / total)[: len(log)].double()
    w = weights[: len(log)].double()
    v, _, k = derivative.shape
    weighted = (w[..., None] * derivative).transpose(1, 2).reshape(v * k, -1)  # (v k) n
    normal = -(weighted / total) @ weighted.T
    blocks = torch.einsum("vn,vna,vnb->vab", w, derivative.double(), derivative.double())
    normal = normal + torch.block_diag(*blocks)
    right = (weighted.view(v, k, -1) * residual[:, None]).sum(-1).flatten()
    damping = 1e-4 * normal.diagonal().clamp(min=1e-6)
    change = torch.linalg.solve(normal + torch.diag(damping), right).view(v, k)
    return torch.where(good, parameters - change.float(), parameters)


def _makes_sense(parameters: Float[Tensor, "v k"], seen: _Seen, kind: Kind) -> Bool[Tensor, " v"]:
    """Whether nearer is nearer, and most of a view is in front of infinity."""
    finite = parameters.isfinite().all(-1)
    if kind == "depth":
        return finite & ((seen.value > 0) | (seen.weight == 0)).float().mean(-1).gt(0.9)
    inverse = seen.value * parameters[:, :1] + parameters[:, 1:]
    behind = ((inverse <= _NEAREST_DISPARITY) & (seen.weight > 0)).sum(-1)
    return finite & (parameters[:, 0] > 0) & (behind < 0.5 * (seen.weight > 0).sum(-1))


def _median(values: Float[Tensor, "k n"], weights: Float[Tensor, "k n"]) -> Float[Tensor, " n"]:
    ordered, order = values.sort(dim=0)
    cumulative = weights.gather(0, order).cumsum(0)
    first = (cumulative < 0.5 * cumulative[-1:]).sum(0, keepdim=True).clamp(max=len(values) - 1)
    return ordered.gather(0, first)[0]


def _vote(log: Float[Tensor, "v n"], weight: Float[Tensor, "v n"]) -> Float[Tensor, " n"]:
    """Where several views look at one pixel; NaN where none does."""
    voted = surface_mean(log[:, None, None], weight[:, None, None].clamp(min=1e-12), _ONE_SURFACE)[0, 0]
    return torch.where((weight > 0).any(0), voted, math.nan)
