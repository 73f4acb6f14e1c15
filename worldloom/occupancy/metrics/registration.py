"""How far the ego moved between two frames, measured from their static voxels alone.

The earlier frame's edges, seen from above, are turned by candidate yaws about the ego origin and correlated with the
later frame's; the best turn and shift are the motion. Where the voxels do not tell, the answer is an abstention.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.occupancy import MOVERS, STATIC, VoxelGrid, among

Reason = Literal["few edges", "ambiguous peak", "flat peak", "rim of search"]
REASONS: tuple[Reason, ...] = ("few edges", "ambiguous peak", "flat peak", "rim of search")
COMPANY = 2  # voxels of its class that a voxel needs among its 26 neighbours to count


@dataclass(frozen=True)
class Registration:
    """What is searched, and when the answer is none."""

    max_speed: float = 20.0  # m/s; shifts beyond it are not looked at. Town traffic; 40 on motorways
    max_yaw_deg: float = 36.0  # either way; 6 m/s on the sharpest arc of a car, radius 5 m, turn by 34 in half a second
    coarse_yaw_deg: float = 1.5
    fine_yaw_deg: float = 0.25
    fine_reach_deg: float = 1.0
    min_edges: float = 60.0  # metres of static edge that both frames know
    min_ratio: float = 1.04  # best correlation to that of any other place
    elsewhere: float = 2.4  # metres from the best shift at which another place begins
    min_roundness: float = 0.06  # smaller to larger curvature of the peak; a corridor has none along itself
    min_overlap: float = 0.25  # of the columns that the earlier frame knows


class EdgeLayers(NamedTuple):
    """Edges of each static class as seen from above, and which columns are known."""

    edges: Float[Tensor, "c x y"]
    known: Float[Tensor, "x y"]  # 0 or 1
    grid: VoxelGrid
    dt: float  # seconds to the next frame


@dataclass(frozen=True)
class Motion:
    """prev_from_next in the plane, as measured."""

    dx: float  # metres in the earlier ego frame, forward
    dy: float  # to the left
    dyaw: float  # radians, positive to the left
    correlation: float  # at the best alignment, 1 for equal edges
    ratio: float  # of the best correlation to that of any other place
    roundness: float  # smaller to larger curvature of the peak


@dataclass(frozen=True)
class Abstention:
    """The voxels do not tell how the ego moved."""

    reason: Reason


def edge_layers(
    labels: UInt8[Tensor, "x y z"], grid: VoxelGrid, dt: float, observed: Bool[Tensor, "x y z"] | None = None
) -> EdgeLayers:
    """Edge magnitude of each static class, seen from above; columns of movers and those around them are unknown.

    A class layer holds 1 where the column has a voxel of the class that is not alone: single voxels are the noise of
    models and sensors, and one of them in a column of sixteen would hide the column behind a mover. Its gradient
    magnitude is taken between known columns only, so that the rim of what was observed is no edge.

    Args:
        observed: voxels that count, all of them if not given.
    """
    seen = torch.ones_like(labels, dtype=torch.bool) if observed is None else observed
    voxels = torch.stack([*(labels == label for label in STATIC), among(labels, MOVERS)]) & seen
    columns = (voxels & (_company(voxels) >= COMPANY)).any(3)
    mover = columns[-1].float()[None, None]
    known = seen.any(2) & (F.max_pool2d(mover, 3, stride=1, padding=1)[0, 0] == 0)
    layers = columns[:-1].float() * known
    edges = _smoothed(_gradient(layers, known))
    return EdgeLayers(edges * known, known.float(), grid, dt)


def register(before: EdgeLayers, after: EdgeLayers, settings: Registration = Registration()) -> Motion | Abstention:
    """The motion prev_from_next of the ego from one frame to the next, or why there is no telling.

    With B_theta(q) = before(R(theta) q), the edges of `before` turned about the ego origin, a static world has
    after(p) = B_theta(p + s) where (dx, dy) = R(theta) s. So theta and s maximise
    c(s) = sum after(p) B_theta(p + s) / sqrt(sum after(p)^2 sum B_theta(p + s)^2),
    both sums over columns that both frames know (masked correlation, Padfield 2012, without the means: edges are
    sparse). A coarse search at half resolution runs over all yaws and shifts by FFT, zero-padded by the largest shift
    so that nothing wraps around; a fine one follows around its best. Parabolas through the neighbours give parts of
    cells and of yaw steps.

    Raises:
        ValueError: the two frames have different grids.
    """
    if before.grid != after.grid:
        raise ValueError(f"frames must share a grid, got {before.grid} and {after.grid}")
    size = before.grid.voxel_size
    strong = min(float((layers.edges > 0.25).sum()) * size for layers in (before, after))
    if strong < settings.min_edges:
        return Abstention("few edges")
    used = (before.edges.flatten(1).amax(1) > 0) & (after.edges.flatten(1).amax(1) > 0)
    if not used.any():
        return Abstention("few edges")
    before, after = (layers._replace(edges=layers.edges[used]) for layers in (before, after))
    yaw, shift, ratio = _coarse(_halved(before), _halved(after), settings)
    at_rim = math.hypot(*shift.tolist()) > settings.max_speed * after.dt - 2 * after.grid.voxel_size
    if at_rim or abs(yaw) > math.radians(settings.max_yaw_deg - settings.coarse_yaw_deg / 2):
        return Abstention("rim of search")
    return _fine(before, after, yaw, shift, ratio, settings)


def _coarse(before: EdgeLayers, after: EdgeLayers, settings: Registration) -> tuple[float, Float[Tensor, " 2"], float]:
    """Best yaw (radians) and shift (metres) over the whole search, and how far above any other place it is."""
    size, reach = after.grid.voxel_size, settings.max_speed * after.dt
    cells = math.ceil(reach / size)
    steps = round(settings.max_yaw_deg / settings.coarse_yaw_deg)
    yaws = torch.arange(-steps, steps + 1) * math.radians(settings.coarse_yaw_deg)
    surfaces = _surfaces(before, after, yaws, cells, settings.min_overlap)
    axis = torch.arange(-cells, cells + 1) * size
    distance = (axis[:, None] ** 2 + axis[None] ** 2).sqrt()
    surfaces = surfaces.masked_fill(distance > reach, 0.0)
    best = int(surfaces.argmax())
    i, rest = divmod(best, distance.numel())
    u, v = divmod(rest, len(axis))
    shift = torch.stack([axis[u], axis[v]])
    far = ((axis[:, None] - shift[0]) ** 2 + (axis[None] - shift[1]) ** 2).sqrt() > settings.elsewhere
    other = float(torch.where(far, surfaces, 0.0).amax())
    peak = float(surfaces[i, u, v])
    below, above = (float(surfaces[j, u, v]) if 0 <= j < len(yaws) else 0.0 for j in (i - 1, i + 1))
    turn = float(yaws[i]) + _vertex(below, peak, above) * math.radians(settings.coarse_yaw_deg)
    return turn, shift, peak / other if other > 0 else math.inf


def _surfaces(
    before: EdgeLayers, after: EdgeLayers, yaws: Float[Tensor, " s"], cells: int, min_overlap: float
) -> Float[Tensor, "s u v"]:
    """Correlation of each yaw over all shifts of up to `cells` cells; 0 where too little overlaps."""
    n_x, n_y = after.edges.shape[1:]
    shape = (_fast(n_x + cells), _fast(n_y + cells))
    turned = [_turned(before, float(yaw)) for yaw in yaws]
    later = _stacked(after)
    spectrum = torch.fft.rfft2(later, s=shape).conj()
    # Channels: edges with edges; known with squared edges; squared edges with known; known with known.
    surfaces = []
    for layers in turned:
        product = torch.fft.rfft2(_stacked(layers), s=shape)
        pairs = torch.stack(
            [
                (spectrum[:-2] * product[:-2]).sum(0),
                spectrum[-1] * product[-2],
                spectrum[-2] * product[-1],
                spectrum[-1] * product[-1],
            ]
        )
        window = torch.fft.irfft2(pairs, s=shape).roll((cells, cells), (1, 2))[:, : 2 * cells + 1, : 2 * cells + 1]
        surfaces.append(_normalised(window, float(layers.known.sum()), min_overlap))
    return torch.stack(surfaces)


def _normalised(sums: Float[Tensor, "4 u v"], known: float, min_overlap: float) -> Float[Tensor, "u v"]:
    cross, energy_before, energy_after, overlap = sums
    energy = (energy_before.clamp(min=0) * energy_after.clamp(min=0)).sqrt()
    enough = (overlap > min_overlap * known) & (energy > 1e-3)
    return torch.where(enough, cross / energy.clamp(min=1e-3), 0.0)


def _stacked(layers: EdgeLayers) -> Float[Tensor, "d x y"]:
    """Edges of all classes, their energy, and what is known."""
    return torch.cat([layers.edges, layers.edges.square().sum(0, keepdim=True), layers.known[None]])


def _fine(
    before: EdgeLayers,
    after: EdgeLayers,
    yaw: float,
    shift: Float[Tensor, " 2"],
    ratio: float,
    settings: Registration,
) -> Motion | Abstention:
    """The motion near a coarse one, at full resolution."""
    size, step = after.grid.voxel_size, math.radians(settings.fine_yaw_deg)
    steps = round(settings.fine_reach_deg / settings.fine_yaw_deg)
    yaws = [yaw + i * step for i in range(-steps, steps + 1)]
    centre = [round(x / size) for x in shift.tolist()]
    surfaces = torch.stack([_near(_turned(before, angle), after, centre, 3) for angle in yaws])
    # The rim of the searched shifts has no neighbours to refine with.
    inner = surfaces[:, 1:-1, 1:-1]
    i, rest = divmod(int(inner.argmax()), inner[0].numel())
    u, v = (at + 1 for at in divmod(rest, inner.shape[2]))
    peak = float(surfaces[i, u, v])
    patch = surfaces[i, u - 1 : u + 2, v - 1 : v + 2].double()
    roundness = _roundness(patch)
    if roundness < settings.min_roundness:
        return Abstention("flat peak")
    if ratio < settings.min_ratio or peak <= 0:
        return Abstention("ambiguous peak")
    du, dv = _vertex(*patch[:, 1].tolist()), _vertex(*patch[1].tolist())
    below, above = (float(surfaces[j, u, v]) if 0 <= j < len(yaws) else 0.0 for j in (i - 1, i + 1))
    angle = yaws[i] + (_vertex(below, peak, above) if 0 < i < len(yaws) - 1 else 0.0) * step
    s_x, s_y = (centre[0] + u - 3 + du) * size, (centre[1] + v - 3 + dv) * size
    cos, sin = math.cos(angle), math.sin(angle)
    return Motion(cos * s_x - sin * s_y, sin * s_x + cos * s_y, angle, peak, ratio, roundness)


def _near(before: EdgeLayers, after: EdgeLayers, centre: Sequence[int], reach: int) -> Float[Tensor, "u v"]:
    """Correlation at the shifts around one, without FFT."""
    stacked = F.pad(_stacked(before), (reach, reach, reach, reach))
    n_x, n_y = after.edges.shape[1:]
    sums = torch.zeros(4, 2 * reach + 1, 2 * reach + 1)
    energy = after.edges.square().sum(0)
    for u in range(2 * reach + 1):
        for v in range(2 * reach + 1):
            # after(p) meets before(p + s); p runs over what both grids hold.
            s_x, s_y = centre[0] + u - reach, centre[1] + v - reach
            low_x, high_x = max(0, -s_x), min(n_x, n_x - s_x)
            low_y, high_y = max(0, -s_y), min(n_y, n_y - s_y)
            if low_x >= high_x or low_y >= high_y:
                continue
            here = (slice(low_x, high_x), slice(low_y, high_y))
            there = stacked[:, low_x + s_x + reach : high_x + s_x + reach, low_y + s_y + reach : high_y + s_y + reach]
            sums[0, u, v] = (after.edges[:, *here] * there[:-2]).sum()
            sums[1, u, v] = (after.known[here] * there[-2]).sum()
            sums[2, u, v] = (energy[here] * there[-1]).sum()
            sums[3, u, v] = (after.known[here] * there[-1]).sum()
    return _normalised(sums, 1.0, 0.0)


def _turned(layers: EdgeLayers, yaw: float) -> EdgeLayers:
    """q -> layers(R(yaw) q) about the ego origin, bilinear; unknown outside the grid."""
    if yaw == 0:
        return layers
    n_x, n_y = layers.known.shape
    size, (x0, y0, _) = layers.grid.voxel_size, layers.grid.origin
    x = x0 + (torch.arange(n_x) + 0.5) * size
    y = y0 + (torch.arange(n_y) + 0.5) * size
    cos, sin = math.cos(yaw), math.sin(yaw)
    source_x = cos * x[:, None] - sin * y[None]
    source_y = sin * x[:, None] + cos * y[None]
    # grid_sample's first coordinate runs along the last axis.
    at = torch.stack([2 * (source_y - y0) / (n_y * size) - 1, 2 * (source_x - x0) / (n_x * size) - 1], -1)
    stack = torch.cat([layers.edges, layers.known[None]])[None]
    turned = F.grid_sample(stack, at[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    known = (turned[-1] > 0.5).float()
    return layers._replace(edges=turned[:-1] * known, known=known)


def _halved(layers: EdgeLayers) -> EdgeLayers:
    """Half the resolution; an odd last row or column is left out."""
    x, y, z = layers.grid.shape
    grid = VoxelGrid(layers.grid.origin, 2 * layers.grid.voxel_size, (max(x // 2, 1), max(y // 2, 1), z))
    known = F.avg_pool2d(layers.known[None], 2)[0]
    edges = F.avg_pool2d(layers.edges[None], 2)[0]
    return layers._replace(edges=edges, known=(known >= 0.5).float(), grid=grid)


def _gradient(layers: Float[Tensor, "c x y"], known: Bool[Tensor, "x y"]) -> Float[Tensor, "c x y"]:
    """|gradient| by central differences, where both neighbours along an axis are known."""
    k = known.float()
    dx, dy = torch.zeros_like(layers), torch.zeros_like(layers)
    dx[:, 1:-1] = (layers[:, 2:] - layers[:, :-2]) / 2 * (k[2:] * k[:-2])
    dy[:, :, 1:-1] = (layers[:, :, 2:] - layers[:, :, :-2]) / 2 * (k[:, 2:] * k[:, :-2])
    return (dx**2 + dy**2).sqrt()


def _company(voxels: Bool[Tensor, "c x y z"]) -> UInt8[Tensor, "c x y z"]:
    """How many of the 26 neighbours of each voxel are set."""
    count = voxels.to(torch.uint8)
    for axis in (1, 2, 3):
        line, n = count, count.shape[axis]
        count = line.clone()
        count.narrow(axis, 1, n - 1).add_(line.narrow(axis, 0, n - 1))
        count.narrow(axis, 0, n - 1).add_(line.narrow(axis, 1, n - 1))
    return count - voxels.to(torch.uint8)


def _smoothed(layers: Float[Tensor, "c x y"]) -> Float[Tensor, "c x y"]:
    """Binomial 3x3: turning by interpolation blurs, and what is smooth before loses little by it."""
    line = torch.tensor([0.25, 0.5, 0.25])
    kernel = (line[:, None] * line[None])[None, None]
    return F.conv2d(layers[:, None], kernel, padding=1)[:, 0]


def _vertex(below: float, peak: float, above: float) -> float:
    """Top of the parabola through three equidistant values, in steps from the middle, at most half of one."""
    curvature = below - 2 * peak + above
    return 0.0 if curvature >= 0 else max(-0.5, min(0.5, (below - above) / (2 * curvature)))


def _roundness(patch: Float[Tensor, "3 3"]) -> float:
    """Smaller to larger eigenvalue of minus the Hessian; 0 where the patch is no peak."""
    xx = 2 * patch[1, 1] - patch[0, 1] - patch[2, 1]
    yy = 2 * patch[1, 1] - patch[1, 0] - patch[1, 2]
    xy = -(patch[2, 2] - patch[2, 0] - patch[0, 2] + patch[0, 0]) / 4
    small, large = torch.linalg.eigvalsh(torch.stack([torch.stack([xx, xy]), torch.stack([xy, yy])])).tolist()
    return max(0.0, small / large) if large > 0 else 0.0


def _fast(n: int) -> int:
    """The next length that factors into 2, 3 and 5, for which FFTs are quick."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1
