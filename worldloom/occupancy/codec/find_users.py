"""Road users of a clip as the stream wants them: on its lattice, with shapes fitted to all frames, and ranked."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from scipy.spatial import KDTree

from worldloom.geometry.occupancy import Occupancy
from worldloom.geometry.rigid import apply, invert, yaw_from_rotmat
from worldloom.occupancy.codec.poses import STEP as EGO_STEP
from worldloom.occupancy.codec.shapes import Shape, fit_shape
from worldloom.occupancy.codec.users import SMALL, Detail, User, covered, turn_of
from worldloom.occupancy.tracks import Track, find_tracks

_HALO = 0.8  # metres around what was seen of a user in which its shape is learned


@dataclass(frozen=True)
class Sighting:
    """What one frame knows around a user, in the world."""

    points: Float64[np.ndarray, "n 3"]  # middles of observed voxels
    solid: Bool[np.ndarray, " n"]  # whether the user is there; others of its class are left out


def find_users(clip: Occupancy, detail: Detail, rounds: int = 1) -> list[User]:
    """Users in the order in which they appear.

    Args:
        clip: with the poses that the stream will say.
        detail: how finely they will be written.
        rounds: how often paths are moved to where the shapes fit, and shapes fitted again.
    """
    users = []
    for track in find_tracks(clip):
        small = track.label in SMALL
        step, turn = EGO_STEP * detail.step(small), turn_of(small)
        poses = track.world_from_object
        lattice = torch.cat([poses[:, :3, 3] / step, yaw_from_rotmat(poses[:, :3, :3])[:, None] / turn], 1)
        lattice = lattice.round().long().numpy()
        present = track.present.numpy().copy()
        lattice[~present] = 0
        sightings = {int(i): _sighting(clip, int(i), track) for i in present.nonzero()[0]}
        shape = _fitted(lattice, sightings, small, detail)
        for _ in range(rounds):
            if shape is None or len(sightings) < 2:
                break
            for i, sighting in sightings.items():
                lattice[i] = _moved(lattice[i], sighting, shape, small, detail)
            shape = _fitted(lattice, sightings, small, detail) or shape
        if shape is not None:
            users.append(User(track.label, detail, lattice, present, shape))
    return users


def _sighting(clip: Occupancy, frame: int, track: Track) -> Sighting:
    ego_from_object = invert(clip.world_from_ego[frame].double()) @ track.world_from_object[frame]
    placed = apply(ego_from_object, track.points.double())
    origin, size = torch.tensor(clip.grid.origin, dtype=torch.float64), clip.grid.voxel_size
    shape = torch.tensor(clip.grid.shape)
    low = ((placed.amin(0) - _HALO - origin) / size).floor().long().clamp(min=0)
    high = torch.minimum(((placed.amax(0) + _HALO - origin) / size).ceil().long(), shape)
    low = torch.minimum(low, high)
    box = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    labels, observed = clip.labels[frame][box], clip.observed[frame][box]
    mine = observed & (labels == track.label)
    cells = observed.nonzero()
    solid = mine[observed]
    middles = (cells + low + 0.5) * size + origin
    # Another user of the class beside this one says nothing of this one's shape.
    near, _ = KDTree(placed.numpy()).query(middles.numpy(), distance_upper_bound=2 * size)
    keep = torch.from_numpy(np.isfinite(near)) | ~solid
    points = apply(clip.world_from_ego[frame].double(), middles[keep])
    return Sighting(points.numpy(), solid[keep].numpy())


def _fitted(
    lattice: Int64[np.ndarray, "t 4"], sightings: dict[int, Sighting], small: bool, detail: Detail
) -> Shape | None:
    points = np.concatenate([_into(lattice[i], s.points, small, detail) for i, s in sightings.items()])
    solid = np.concatenate([s.solid for s in sightings.values()])
    return fit_shape(points, solid, detail.cell(small))


def _into(
    pose: Int64[np.ndarray, " 4"], points: Float64[np.ndarray, "n 3"], small: bool, detail: Detail
) -> Float64[np.ndarray, "n 3"]:
    c, s = math.cos(pose[3] * turn_of(small)), math.sin(pose[3] * turn_of(small))
    return (points - pose[:3] * (EGO_STEP * detail.step(small))) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def _moved(
    pose: Int64[np.ndarray, " 4"], sighting: Sighting, shape: Shape, small: bool, detail: Detail
) -> Int64[np.ndarray, " 4"]:
    """The pose nearby at which the shape says most of what the frame saw."""
    best, most = pose, -math.inf
    for axes in ((0, 1), (2,), (3,)):
        around = best
        offsets = np.array(np.meshgrid(*[np.arange(-2, 3) if axis < 2 else np.arange(-1, 2) for axis in axes]))
        for offset in offsets.reshape(len(axes), -1).T:
            tried = around.copy()
            tried[list(axes)] += offset
            held = shape.holds(_into(tried, sighting.points, small, detail))
            right = float((held & sighting.solid).sum() - (held & ~sighting.solid).sum())
            right -= 0.2 * math.sqrt(len(held)) * float(np.abs(tried - pose).sum()) / 4
            if right > most:
                best, most = tried, right
    return best


@dataclass(frozen=True)
class Worth:
    """What drawing a user does to a clip's labels."""

    hits: int  # observed voxels of its class that it covers
    misses: int  # observed voxels of other classes that it covers


def worth_of(clip: Occupancy, user: User) -> Worth:
    """Counted over the frames of the clip."""
    hits = misses = 0
    poses = user.world_from_object()
    for i in user.present.nonzero()[0].tolist():
        ego_from_object = invert(clip.world_from_ego[i].double()) @ poses[i]
        index = covered(clip.grid, ego_from_object, user.shape)
        looked = clip.observed[i].view(-1)[index]
        mine = clip.labels[i].view(-1)[index] == user.label
        hits += int((looked & mine).sum())
        misses += int((looked & ~mine).sum())
    return Worth(hits, misses)
