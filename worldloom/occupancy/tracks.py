"""Road users as tracks, found in nothing but labels: connected pieces, followed through the frames of a clip.

The ego's motion is known, so all pieces are brought into the world, where what stands stays in place. A piece is then
followed from frame to frame by its place and its shape; a track gathers what was seen of its shape in a frame of its
own. Labels have no identities: where two users touch they are one track, and where one is lost two tracks; both remain
voxels at their right place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch import Tensor

from worldloom.geometry.occupancy import MOVERS, Occupancy
from worldloom.geometry.rigid import apply, compose, rotz

_SMALL = (2, 6, 7)  # bicycle, motorcycle, pedestrian: their voxels must touch
_GAP = 3.01  # voxels; of larger users only parts may be in sight
_TOP_SPEED = {2: 12.0, 6: 30.0, 7: 4.0}  # m/s; 40 for the rest
_STILL = 0.5  # m; a shorter way between two frames gives no heading
_SAME_PLACE = 0.45  # m; a piece this near to where it was has not moved, if its shape fits
_STANDS = (0.2, 0.31)  # m; mean and nearly largest distance of a piece that lies on the shape without being moved
_FIT = 0.35  # m; a mean distance of points beyond this is no fit: nearly a voxel


@dataclass(frozen=True)
class Track:
    """One road user, or several that touch."""

    label: int
    world_from_object: Float[Tensor, "t 4 4"]  # middle of what was first seen, x along the heading; identity if absent
    present: Bool[Tensor, " t"]
    points: Float[Tensor, "n 3"]  # middles of voxels that were seen of it, in the object's frame
    body: Float[Tensor, "m 3"] | None = None  # middles of the cells that it fills; see `bodies`

    def __len__(self) -> int:
        return len(self.present)


def find_tracks(clip: Occupancy, classes: Sequence[int] = MOVERS) -> tuple[Track, ...]:
    """Follow the observed road users of a clip of t frames through it, frame by frame.

    Args:
        clip: labels t x y z, of Occ3D's classes.
    Returns:
        tracks that are present in at least one frame, the first seen first.
    """
    pieces = [_pieces(clip, i, classes) for i in range(len(clip))]
    open_tracks: list[_Growing] = []
    done: list[_Growing] = []
    for i, now in enumerate(pieces):
        ahead = pieces[i + 1] if i + 1 < len(pieces) else []
        for label in sorted({piece.label for piece in now} | {track.label for track in open_tracks}):
            tracks = [track for track in open_tracks if track.label == label]
            mine = [piece for piece in now if piece.label == label]
            later = [piece.middle for piece in ahead if piece.label == label]
            for track, piece, pose in _assigned(tracks, mine, later, i, clip.dt):
                track.extend(i, piece, pose)
                piece.taken = True
        for piece in now:
            if not piece.taken:
                open_tracks.append(_Growing(i, piece))
        lost = [track for track in open_tracks if i - track.frames[-1] >= 3]
        done += lost
        open_tracks = [track for track in open_tracks if i - track.frames[-1] < 3]
    found = sorted(done + open_tracks, key=lambda track: (track.frames[0], track.number))
    return tuple(track.finished(len(clip)) for track in found)


@dataclass
class _Piece:
    label: int
    points: Float64[np.ndarray, "n 3"]  # in the world
    middle: Float64[np.ndarray, " 3"]
    taken: bool = False


@dataclass
class _Growing:
    """A track while it is followed. Poses are (x, y, z, yaw) of the object's frame in the world."""

    first: int
    piece: _Piece
    number: int = 0
    label: int = field(init=False)
    frames: list[int] = field(init=False)
    poses: list[Float64[np.ndarray, " 4"]] = field(init=False)
    shape: Float64[np.ndarray, "n 3"] = field(init=False)  # in the object's frame
    seen: dict[tuple[int, int, int], int] = field(init=False)

    def __post_init__(self) -> None:
        self.label, self.frames = self.piece.label, [self.first]
        self.poses = [np.append(self.piece.middle, _long_axis(self.piece.points))]
        self.shape = _into(self.poses[0], self.piece.points)

    def predicted(self, frame: int) -> Float64[np.ndarray, " 4"]:
        """Where it would be if it went on as it did between its last two appearances."""
        last = self.poses[-1].copy()
        if len(self.poses) > 1:
            last[:3] += (
                (last[:3] - self.poses[-2][:3]) * (frame - self.frames[-1]) / (self.frames[-1] - self.frames[-2])
            )
        return last

    def extend(self, frame: int, piece: _Piece, pose: Float64[np.ndarray, " 4"]) -> None:
        """Seen again, at a pose; a way that is long enough tells where it is heading."""
        way = pose[:2] - self.poses[-1][:2]
        if np.hypot(*way) > _STILL:
            heading = math.atan2(way[1], way[0])
            turn = _wrap(heading - pose[3])
            if len(self.poses) == 1 or abs(turn) > math.pi / 2:  # the long axis has no front: now it is known
                self._turn(turn)
            pose = np.append(pose[:3], heading)
        self.frames.append(frame)
        self.poses.append(pose)
        if len(self.shape) < 4000:
            self.shape = _merged(self.shape, _into(pose, piece.points))

    def _turn(self, angle: float) -> None:
        """Let the object's x axis point elsewhere, at all its poses; the shape stays where it is in the world."""
        c, s = math.cos(angle), math.sin(angle)
        self.shape = self.shape @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
        for pose in self.poses:
            pose[3] = _wrap(pose[3] + angle)

    def finished(self, num_frames: int) -> Track:
        poses = np.stack(self.poses)
        world_from_object = torch.eye(4, dtype=torch.float64).repeat(num_frames, 1, 1)
        yaw, xyz = torch.from_numpy(poses[:, 3]), torch.from_numpy(poses[:, :3])
        world_from_object[self.frames] = compose(rotz(yaw), xyz)
        present = torch.zeros(num_frames, dtype=torch.bool)
        present[self.frames] = True
        return Track(self.label, world_from_object, present, torch.from_numpy(self.shape).float())


def _pieces(clip: Occupancy, frame: int, classes: Sequence[int]) -> list[_Piece]:
    labels, observed = clip.labels[frame].numpy(), clip.observed[frame].numpy()
    pieces = []
    for label in classes:
        mask = observed & (labels == label)
        if not mask.any():
            continue
        cells = np.argwhere(mask)
        pairs = KDTree(cells).query_pairs(1.01 if label in _SMALL else _GAP, p=np.inf, output_type="ndarray")
        links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (len(cells), len(cells)))
        count, number = connected_components(links, directed=False)
        centres = torch.from_numpy((cells + 0.5) * clip.grid.voxel_size + np.array(clip.grid.origin))
        world = apply(clip.world_from_ego[frame].double(), centres).numpy()
        for k in range(count):
            points = world[number == k]
            pieces.append(_Piece(label, points, (points.min(0) + points.max(0)) / 2))
    return pieces


def _assigned(
    tracks: list[_Growing], pieces: list[_Piece], later: list[Float64[np.ndarray, " 3"]], frame: int, dt: float
) -> list[tuple[_Growing, _Piece, Float64[np.ndarray, " 4"]]]:
    """Tracks with the pieces that continue them, and their poses."""
    if not tracks or not pieces:
        return []
    cost = np.full((len(tracks), len(pieces)), 1e3)
    poses: dict[tuple[int, int], Float64[np.ndarray, " 4"]] = {}
    for i, track in enumerate(tracks):
        steps = frame - track.frames[-1]
        reach = _TOP_SPEED.get(track.label, 40.0) * dt * steps + 0.5
        expected = track.predicted(frame)
        tree = KDTree(track.shape)
        known = len(track.poses) > 1
        for j, piece in enumerate(pieces):
            rough = piece.middle - (expected[:3] if known else track.poses[-1][:3])
            if np.hypot(*rough[:2]) > (3.0 + 2.0 * steps if known else reach) + 0.5 * _size(piece):
                continue
            pose, misfit = _fitted(track, tree, piece, expected)
            away = np.hypot(*(pose - expected)[:2])
            if known:
                limit = 1.5 + 4.0 * dt * dt * steps * steps  # hard braking, and the noise of two poses
                away = min(away, limit + 1) if away > limit else away
                bad = away > limit
            else:
                bad = away > reach
                if away > _SAME_PLACE and later:  # would it go on like this?
                    goal = pose[:2] + (pose[:2] - track.poses[-1][:2]) / steps
                    miss = min(float(np.hypot(*(middle[:2] - goal))) for middle in later)
                    away = min(away, 0.6 + miss + 0.02 * away)
            if not bad and misfit < 2 * _FIT:
                cost[i, j] = away + 2 * misfit
                poses[i, j] = pose
    rows, columns = linear_sum_assignment(cost)
    return [(tracks[i], pieces[j], poses[i, j]) for i, j in zip(rows, columns, strict=True) if (i, j) in poses]


def _fitted(
    track: _Growing, tree: KDTree, piece: _Piece, expected: Float64[np.ndarray, " 4"]
) -> tuple[Float64[np.ndarray, " 4"], float]:
    """The pose near which the piece lies best on the shape that is known so far, and the mean distance left.

    Shifts alone (iterated closest points with a trimmed mean): what half a metre of way says of heading is more than
    what voxels say.
    """
    last = track.poses[-1]
    distance, _ = tree.query(_into(last, piece.points))
    if distance.mean() < _STANDS[0] and np.quantile(distance, 0.97) < _STANDS[1]:
        return last, float(distance.mean())  # it stands; a fit would follow the grid of voxels that slides under it
    starts = [expected, last, np.append(piece.middle, last[3])]
    best, least, left = starts[0], math.inf, math.inf
    for start in starts:
        pose, distance = start.copy(), np.zeros(1)
        for _ in range(5):
            local = _into(pose, piece.points)
            distance, nearest = tree.query(local)
            close = distance <= max(0.4, np.quantile(distance, 0.8))
            shift = (local - track.shape[nearest])[close].mean(0)
            c, s = math.cos(pose[3]), math.sin(pose[3])
            pose[:3] += np.array([c * shift[0] - s * shift[1], s * shift[0] + c * shift[1], shift[2]])
            if np.abs(shift).max() < 0.01:
                break
        misfit = float(np.sort(distance)[: max(1, int(0.8 * len(distance)))].mean())
        # Among equal fits the one that was expected: half a car fits anywhere along its side.
        rank = misfit + 0.03 * float(np.hypot(*(pose - expected)[:2]))
        if rank < least:
            best, least, left = pose, rank, misfit
    return best, left


def _into(pose: Float64[np.ndarray, " 4"], points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3"]:
    c, s = math.cos(pose[3]), math.sin(pose[3])
    return (points - pose[:3]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def _merged(shape: Float64[np.ndarray, "n 3"], more: Float64[np.ndarray, "m 3"]) -> Float64[np.ndarray, "k 3"]:
    """The points of a shape and those of another which are not in it yet, to half a voxel."""
    distance, _ = KDTree(shape).query(more)
    return np.concatenate([shape, more[distance > 0.2]])


def _long_axis(points: Float64[np.ndarray, "n 3"]) -> float:
    """Heading of the longest side in the plane, in (-pi / 2, pi / 2]; its front is not known."""
    spread = np.cov(points[:, :2].T) if len(points) > 2 else np.eye(2)
    _, axes = np.linalg.eigh(spread)
    return math.atan2(axes[1, 1], axes[0, 1]) if axes[0, 1] >= 0 else math.atan2(-axes[1, 1], -axes[0, 1])


def _size(piece: _Piece) -> float:
    return float(np.hypot(*(piece.points.max(0) - piece.points.min(0))[:2]))


def _wrap(angle: float) -> float:
    return math.remainder(angle, 2 * math.pi)
