"""Paths that a user brings: are they in our conventions, and are they free?"""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import CameraPath, apply, invert
from worldloom.scenegen.motion import SPEED, TURN_RATE
from worldloom.scenegen.place import Place
from worldloom.scenegen.scene_path import ScenePath

STEP = 0.05  # metres between the points of a path that are checked

_UPRIGHT = 0.3  # cosine; a camera whose down axis leans less to the ground than this lies on its side


def checked_user_path(place: Place, path: CameraPath) -> ScenePath:
    """The path as it was given, if it is free; with times from `SPEED` and `TURN_RATE` if it had none.

    Raises:
        InputError: cameras that hang upside down or lie on their side, which is what other conventions look like in
            ours, or a way that leads behind what the panorama shows.
    """
    _check_conventions(path)
    centres = path.cameras.world_from_cam[:, :3, 3]
    pano_from_world = invert(place.panorama.world_from_pano)
    local = apply(pano_from_world, centres)
    points, frames = _between(local)
    behind = place.space.behind(points)
    if (behind > 0).any():
        first = int((behind > 0).nonzero()[0, 0])
        at = frames[first]
        where = f"camera {at:.0f}" if at == round(at) else f"between cameras {math.floor(at)} and {math.floor(at) + 1}"
        x, y, z = apply(place.panorama.world_from_pano, points[first][None])[0].tolist()
        raise InputError(
            f"path {path.name!r}: expected a way through what the panorama shows to be free, got one that leaves it at "
            f"({x:.2f}, {y:.2f}, {z:.2f}), {where}, and goes {behind.max().item():.2f} m behind a surface; is it in "
            "metres, z up, from the panorama's centre?"
        )
    least = place.space.clearance(local).min().item()
    note = None
    if least < place.agent.radius:
        note = f"it comes as near as {least:.2f} m to what is not free"
    times = path.times if path.times is not None else _times(path.cameras.world_from_cam)
    length = centres.diff(dim=0).norm(dim=-1).sum().item()
    return ScenePath(path.name, "user", path.cameras, times, length, least, note)


def _check_conventions(path: CameraPath) -> None:
    """Most cameras must stand upright: their y axis, which is down in the picture, must lean towards the ground."""
    down = path.cameras.world_from_cam[:, :3, 1]
    forward = path.cameras.world_from_cam[:, :3, 2]
    level = forward[:, 2].abs() < 0.9  # of a camera that looks straight up or down it says nothing
    if not level.any():
        return
    lean = -down[level, 2].median().item()
    if lean >= _UPRIGHT:
        return
    what = "upside down" if lean < -_UPRIGHT else "on their side"
    hint = "OpenGL axes (y up)?" if lean < -_UPRIGHT else "a world whose z is not up?"
    raise InputError(
        f"path {path.name!r}: expected cameras in OpenCV axes (x right, y down, z forward) in a world with z up, got "
        f"most of them {what}: {hint}"
    )


def _between(centres: Float[Tensor, "t 3"]) -> tuple[Float[Tensor, "n 3"], list[float]]:
    """Points at most `STEP` apart along the way, with the (broken) numbers of cameras they lie at."""
    points, frames = [centres[:1]], [0.0]
    for i, (start, end) in enumerate(pairwise(centres)):
        # A way of many kilometres leaves what is free long before its end.
        count = min(max(1, math.ceil((end - start).norm().item() / STEP)), 10_000)
        share = torch.arange(1, count + 1) / count
        points.append(torch.lerp(start, end, share[:, None]))
        frames += (i + share).tolist()
    return torch.cat(points), frames


def _times(world_from_cam: Float[Tensor, "t 4 4"]) -> Float[Tensor, " t"]:
    """Times at which a camera of our speed and rate of turning passes the poses."""
    moved = world_from_cam[:, :3, 3].diff(dim=0).norm(dim=-1)
    between = world_from_cam[:-1, :3, :3].mT @ world_from_cam[1:, :3, :3]
    cosine = (between.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    turned = torch.acos(cosine.clamp(-1, 1))
    seconds = torch.hypot(moved / SPEED, turned / TURN_RATE).clamp(min=1 / 24)
    return torch.cat([seconds.new_zeros(1), seconds.cumsum(0)])
