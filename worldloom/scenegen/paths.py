"""Camera paths through the free space of a panorama."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from worldloom.geometry.camera import Camera, intrinsics
from worldloom.geometry.equirect import directions
from worldloom.geometry.panorama import Panorama
from worldloom.geometry.rigid import apply, compose, invert, rotz

MARGIN = 0.3  # metres that a camera keeps from every surface and from what the panorama does not show
LENGTH, WIDTH = 2.4, 0.8  # axes of the full loop in metres
AHEAD = 0.35  # of the way to what lies ahead that the loop goes at most: nearer, the panorama has no detail left
SHRINK = 2 / 3
NUM_SHRINKS = 3
HEADINGS = 24  # directions that are tried at each size

_REACH = 8.0  # metres; boundary points farther away cannot touch a path of a few metres
_SPACING = 0.05  # metres between boundary points along a ray
_ROWS = 256  # of the distance map from which the boundary is made


@dataclass(frozen=True)
class ScenePath:
    """A planned path: its cameras, its length and why it is what it is."""

    cameras: Camera  # batch (t,)
    length: float  # metres, from start to end along the path
    clearance: float  # metres, the least over all cameras
    note: str | None  # why the path is shorter than the full loop; None if it is not


class FreeSpace:
    """What a panorama shows to be free: all points nearer than the distance in their direction.

    Behind a surface nothing is known, and unknown is not free. The boundary of the free space is therefore the surface
    itself and, at every jump in distance, the piece of ray between its two sides.
    """

    def __init__(self, panorama: Panorama) -> None:
        distance = panorama.distance.clamp(max=_REACH)
        distance = torch.where(panorama.sky, _REACH, distance)
        self._pano_from_world = invert(panorama.world_from_pano)
        self._shrunk = _nearest_of_blocks(distance)
        self._boundary = KDTree(_boundary(self._shrunk).numpy())

    def distance_ahead(self, azimuth: float) -> float:
        """Metres of free level way from the panorama's centre, at most 8."""
        height = self._shrunk.shape[0]
        column = int(height * (1 - azimuth / math.pi)) % (2 * height)
        return self._shrunk[height // 2 - 1 : height // 2 + 1, column].min().item()

    def clearance(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Metres from each world point to the boundary; negative where the point is not in free space.

        Up to the resolution of the boundary: 256 rows of nearest distances, and at most 8 m.
        """
        local = apply(self._pano_from_world, points)
        near, _ = self._boundary.query(local.numpy())
        height = self._shrunk.shape[0]
        azimuth = torch.atan2(local[:, 1], local[:, 0])
        elevation = torch.atan2(local[:, 2], local[:, :2].norm(dim=-1))
        row = (height * (0.5 - elevation / math.pi)).long().clamp(0, height - 1)
        column = (height * (1 - azimuth / math.pi)).long() % (2 * height)
        free = local.norm(dim=-1) < self._shrunk[row, column]
        clear = torch.from_numpy(near).to(points.dtype)
        return torch.where(free, clear, -clear)


def clearance(panorama: Panorama, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Metres from each world point to what bounds the panorama's free space; see `FreeSpace`."""
    return FreeSpace(panorama).clearance(points)


def plan_path(
    panorama: Panorama,
    num_views: int = 72,
    seed: int = 0,
    *,
    margin: float = MARGIN,
    size: tuple[int, int] = (360, 640),
    fov: float = math.radians(80),
) -> ScenePath:
    """A level closed loop from the panorama's centre and back that keeps `margin` from all that is not free.

    The loop is an ellipse, `LENGTH` ahead and `WIDTH` across, or smaller, so that it goes at most `AHEAD` of the way in
    the most open direction. It is walked once with even phase, while the gaze turns once round, towards the inside of
    the loop, so that the views show every side. Headings with as much room ahead are tried from the centre of the
    image outwards; the seed jitters them and picks the side of the loop. If none is free the loop is shrunk by
    2/3, up to three times. If still none is, the camera stays at the centre and turns once round. The note says so.

    Only the camera keeps clear, not a body under it: it may pass over a table.

    Args:
        num_views: cameras, at least 2; the last is one step before the first.
        size, fov: of the cameras; the horizontal field of view in radians.
    """
    if num_views < 2:
        raise ValueError(f"a path needs at least 2 views, got {num_views}")
    space = FreeSpace(panorama)
    world_from_pano = panorama.world_from_pano
    headings = _headings(seed)
    room = {heading: AHEAD * space.distance_ahead(heading) / LENGTH for heading, _ in headings}
    full = min(1.0, max(room.values()))
    best = 0.0
    for shrinks in range(NUM_SHRINKS + 1):
        scale = SHRINK**shrinks * full
        for heading, side in headings:
            if room[heading] < scale:
                continue
            pano_from_cam = _loop(num_views, heading, side, scale)
            cameras = _cameras(world_from_pano @ pano_from_cam, size, fov)
            clear = space.clearance(cameras.world_from_cam[:, :3, 3]).min().item()
            if clear >= margin:
                shrunk = f"no full loop is free with {margin} m to spare; it was shrunk to {SHRINK**shrinks:.0%}"
                return ScenePath(cameras, _length(cameras), clear, shrunk if shrinks else None)
            best = max(best, clear)
    ahead = _loop(1, 0.0, 1.0, 0.0)
    phase = 2 * math.pi * torch.arange(num_views) / num_views
    turning = compose(rotz(phase) @ ahead[:, :3, :3], torch.zeros(num_views, 3))
    cameras = _cameras(world_from_pano @ turning, size, fov)
    note = (
        f"no loop is free with {margin} m to spare, not even at {SHRINK**NUM_SHRINKS:.0%} (best: {best:.2f} m); "
        "the camera turns on the spot"
    )
    return ScenePath(cameras, 0.0, space.clearance(world_from_pano[None, :3, 3]).item(), note)


def _headings(seed: int) -> list[tuple[float, float]]:
    """(azimuth, side) pairs, nearest to the centre of the image first."""
    generator = torch.Generator().manual_seed(seed)
    step = 2 * math.pi / HEADINGS
    jitter = (torch.rand((), generator=generator).item() - 0.5) * step
    side = 1.0 if torch.rand((), generator=generator).item() < 0.5 else -1.0
    azimuths = sorted((jitter + i * step for i in range(-HEADINGS // 2, HEADINGS // 2)), key=abs)
    return [(azimuth, s) for azimuth in azimuths for s in (side, -side)]


def _loop(num_views: int, heading: float, side: float, scale: float) -> Float[Tensor, "t 4 4"]:
    """pano_from_cam of cameras on the ellipse; side +1 goes out on the left."""
    phase = 2 * math.pi * torch.arange(num_views, dtype=torch.float64) / num_views
    ahead = scale * LENGTH * 0.5 * (1 - phase.cos())
    left = side * scale * WIDTH * 0.5 * phase.sin()
    turn = rotz(torch.tensor(heading, dtype=torch.float64))
    points = torch.stack([ahead, left, torch.zeros_like(ahead)], dim=-1) @ turn.mT
    # Columns: the camera's right, down and forward in panorama axes, for a gaze along +x.
    level = torch.tensor([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)
    return compose(rotz(heading - side * phase) @ level, points).float()


def _cameras(world_from_cam: Float[Tensor, "t 4 4"], size: tuple[int, int], fov: float) -> Camera:
    return Camera(world_from_cam, intrinsics(fov, size).expand(len(world_from_cam), 3, 3).clone(), size)


def _length(cameras: Camera) -> float:
    centres = cameras.world_from_cam[:, :3, 3]
    return (centres - centres.roll(1, dims=0)).norm(dim=-1).sum().item()


def _nearest_of_blocks(distance: Float[Tensor, "h w"]) -> Float[Tensor, "h2 w2"]:
    """At most `_ROWS` rows, each pixel the nearest of its block: free space only ever gets smaller."""
    factor = math.ceil(distance.shape[0] / _ROWS)
    height = math.ceil(distance.shape[0] / factor)
    # Sizes that are not a multiple of the factor: blocks of uneven size that cover every pixel.
    return -torch.nn.functional.adaptive_max_pool2d(-distance[None], (height, 2 * height))[0]


def _boundary(distance: Float[Tensor, "h w"]) -> Float[Tensor, "n 3"]:
    """Points on the surface, and along the rays where neighbouring pixels differ in distance."""
    rays = directions(distance.shape[0])
    points = [(rays * distance[..., None]).reshape(-1, 3)]
    right = (distance.roll(-1, dims=1), rays.roll(-1, dims=1))
    below = (torch.cat([distance[1:], distance[-1:]]), torch.cat([rays[1:], rays[-1:]]))
    for other_distance, other_rays in (right, below):
        near, far = torch.minimum(distance, other_distance), torch.maximum(distance, other_distance)
        steps = ((far - near) / _SPACING).ceil().long() - 1
        between = torch.nn.functional.normalize(rays + other_rays, dim=-1)
        jump = steps > 0
        count = steps[jump]
        which = torch.repeat_interleave(torch.arange(len(count)), count)
        step = torch.arange(len(which)) - (count.cumsum(0) - count)[which] + 1
        fraction = (step / (count[which] + 1)).float()
        lengths = near[jump][which] + fraction * (far - near)[jump][which]
        points.append(between[jump][which] * lengths[:, None])
    return torch.cat(points)
