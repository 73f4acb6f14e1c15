"""Rules that a world of solid things keeps, and how often a generated one breaks them.

The tolerances of shape and motion come from truth at the
same resolution (`Tolerances.from_truth`): rigid bodies flicker by a voxel when they are voxelised.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.occupancy import FREE, STATIC, Occupancy, among
from worldloom.geometry.rigid import apply, invert
from worldloom.geometry.warp_occupancy import warp_labels
from worldloom.occupancy.metrics.groups import OBSTACLES
from worldloom.occupancy.metrics.objects import TOP_SPEED, Seen, Track, expected, find_objects, follow_objects
from worldloom.occupancy.metrics.rectangles import rectangle_overlap
from worldloom.occupancy.metrics.static_world import flips

RULES = (
    "permanence",
    "no birth or death",
    "no teleport",
    "kinematics",
    "rigidity",
    "interpenetration",
    "support",
    "static constancy",
    "identity",
    "free space",
)
RIGID = 100  # voxels; of smaller things the flicker of one layer is a third of the volume


@dataclass(frozen=True)
class Tolerances:
    """How far truth itself goes. The defaults are the definitions' own numbers."""

    acceleration: float = 10.0  # m/s²
    sideways: float = 0.2  # |lateral| over whole speed
    volume: float = 0.3  # |log| of the ratio of two frames' volumes
    floating: float = 0.5  # metres above the ground
    overlap: float = 0.1  # of the smaller box
    constancy: float = 0.0  # static flip rate that truth has, to be taken off
    rim: float = 4.0  # metres from the border within which things come and go

    @staticmethod
    def from_truth(clips: Iterable[Occupancy], share: float = 0.005) -> "Tolerances":
        """The definitions' numbers, widened until truth breaks each rule in at most `share` of its chances."""
        clips = list(clips)
        base = Tolerances()
        seen = [_statistics(clip) for clip in clips]
        flip = [flips(clip).flip_rate for clip in clips if len(clip) > 1]

        def wide(name: str, least: float) -> float:
            values = np.concatenate([np.asarray(s[name], dtype=float) for s in seen]) if seen else np.zeros(0)
            values = values[np.isfinite(values)]
            return max(least, float(np.quantile(values, 1 - share)) * (1 + 1e-6)) if len(values) else least

        return replace(
            base,
            acceleration=wide("acceleration", base.acceleration),
            sideways=wide("sideways", base.sideways),
            volume=wide("volume", base.volume),
            floating=wide("floating", base.floating),
            overlap=wide("overlap", base.overlap),
            constancy=max([0.0, *(x for x in flip if math.isfinite(x))]),
        )


@dataclass(frozen=True)
class PhysicsScore:
    """Violations of each rule, and the chances to break it: object-frames in which it could be checked.

    An empty world breaks none: `movers` and `mover_voxels` belong beside it.
    """

    violations: Mapping[str, float]
    chances: Mapping[str, float]
    movers: int  # object-frames
    mover_voxels: int
    frames: int

    def rate(self, rule: str) -> float:
        """Violations per 100 chances; NaN without any."""
        chances = self.chances[rule]
        return 100 * self.violations[rule] / chances if chances else math.nan

    def __add__(self, other: "PhysicsScore") -> "PhysicsScore":
        """Pooled over clips."""
        return PhysicsScore(
            {rule: self.violations[rule] + other.violations[rule] for rule in RULES},
            {rule: self.chances[rule] + other.chances[rule] for rule in RULES},
            self.movers + other.movers,
            self.mover_voxels + other.mover_voxels,
            self.frames + other.frames,
        )


def score_physics(
    occupancy: Occupancy,
    tolerances: Tolerances = Tolerances(),
    ego_box: tuple[float, float, float] | None = None,
    objects: Sequence[Sequence[Seen]] | None = None,
) -> PhysicsScore:
    """Hold one clip against the rules.

    Args:
        occupancy: labels t x y z with `world_from_ego`.
        ego_box: length, width, and middle ahead of the ego origin, metres: obstacle voxels in it count as
            interpenetration.
        objects: what `find_objects` says of the clip, where that is known already.
    """
    objects = find_objects(occupancy) if objects is None else objects
    tracks = follow_objects(objects, occupancy.dt)
    checks: dict[str, list[bool]] = {rule: [] for rule in RULES}
    for track in tracks:
        checks["permanence"] += _missing(track, occupancy, tolerances)
        checks["no birth or death"] += _unexplained_ends(track, occupancy, tolerances)
        jumps = _jumps(track, occupancy.dt, tolerances)
        checks["no teleport"] += jumps
        sideways = zip(_sideways(track, occupancy.dt), jumps, strict=True)
        checks["kinematics"] += [share > tolerances.sideways for share, jump in sideways if share == share and not jump]
        pairs = list(itertools.pairwise(track.seen))
        growth = [_growth(a, b) for a, b in pairs if a.label == b.label]
        checks["rigidity"] += [ratio > tolerances.volume for ratio in growth if ratio == ratio]
        checks["identity"] += [a.label != b.label for a, b in pairs]
    for found in objects:
        checks["support"] += [thing.bottom > tolerances.floating for thing in found if thing.bottom == thing.bottom]
        for i, thing in enumerate(found):
            checks["interpenetration"].append(
                any(_box_overlap(thing, other) > tolerances.overlap for other in found[:i])
            )
    if ego_box is not None:
        checks["interpenetration"] += _ego_hits(occupancy, ego_box)
    bad = {rule: float(sum(results)) for rule, results in checks.items()}
    of = {rule: float(len(results)) for rule, results in checks.items()}
    agreement = flips(occupancy)
    excess = max(0.0, agreement.flip_rate - tolerances.constancy) if agreement.either else 0.0
    bad["static constancy"], of["static constancy"] = excess * agreement.either, float(agreement.either)
    bad["free space"], of["free space"] = _flashes(occupancy)
    voxels = sum(thing.volume for found in objects for thing in found)
    return PhysicsScore(bad, of, sum(map(len, objects)), voxels, len(occupancy))


def physics_score(score: PhysicsScore, shuffled: PhysicsScore, weights: Mapping[str, float] | None = None) -> float:
    """P = 1 - V / V_shuffled with V the weighted sum of rates: secondary to the table of rates.

    Args:
        shuffled: of the same clips with their frames in another order.
        weights: of each rule, 1 if not given.
    """
    weights = weights or dict.fromkeys(RULES, 1.0)

    def total(one: PhysicsScore) -> float:
        rates = {rule: one.rate(rule) for rule in weights}
        return sum(weights[rule] * rate for rule, rate in rates.items() if math.isfinite(rate))

    whole = total(shuffled)
    return 1 - total(score) / whole if whole > 0 else math.nan


def arrow_of_time(forward: Float[Tensor, " n"], backward: Float[Tensor, " n"]) -> float:
    """Share of clips that a model finds likelier forward than reversed; ties half, chance 0.5."""
    if len(forward) == 0:
        return math.nan
    return ((forward > backward).double() + 0.5 * (forward == backward).double()).mean().item()


def _statistics(clip: Occupancy) -> dict[str, list[float]]:
    """All that tolerances are made of, of one clip of truth."""
    objects = find_objects(clip)
    tracks = follow_objects(objects, clip.dt)
    pairs = [pair for track in tracks for pair in itertools.pairwise(track.seen)]
    return {
        "acceleration": [a for track in tracks for a in _accelerations(track, clip.dt)],
        "sideways": [value for track in tracks for value in _sideways(track, clip.dt)],
        "volume": [_growth(a, b) for a, b in pairs if a.label == b.label],
        "floating": [thing.bottom for found in objects for thing in found],
        "overlap": [_box_overlap(a, b) for found in objects for a, b in itertools.combinations(found, 2)],
    }


def _in_view(occupancy: Occupancy, frame: int, xy: tuple[float, float], rim: float) -> bool:
    """Whether a place in the world is inside a frame, away from its border, with nothing unobserved around it."""
    grid, pose = occupancy.grid, occupancy.world_from_ego[frame].double()
    point = torch.tensor([[*xy, float(pose[2, 3])]], dtype=torch.float64)
    x, y, _ = apply(invert(pose), point)[0].tolist()
    i, j = (math.floor((at - low) / grid.voxel_size) for at, low in zip((x, y), grid.origin[:2], strict=True))
    margin = math.ceil(rim / grid.voxel_size)
    if not (margin <= i < grid.shape[0] - margin and margin <= j < grid.shape[1] - margin):
        return False
    around = occupancy.observed[frame, max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3]
    return bool(around.all())


def _missing(track: Track, occupancy: Occupancy, tolerances: Tolerances) -> list[bool]:
    """For each frame of a track's life in which it should be seen: whether it is not."""
    missing = [False] * len(track.seen)
    for a, b in itertools.pairwise(track.seen):
        for frame in range(a.frame + 1, b.frame):
            share = (frame - a.frame) / (b.frame - a.frame)
            x, y = (p + share * (q - p) for p, q in zip(a.centre[:2], b.centre[:2], strict=True))
            if not (a.crowded or b.crowded) and _in_view(occupancy, frame, (x, y), tolerances.rim):
                missing.append(True)
    return missing


def _unexplained_ends(track: Track, occupancy: Occupancy, tolerances: Tolerances) -> list[bool]:
    """For each sighting in plain sight: whether the track begins or ends there.

    What was expected outside the view, or in the shade, before or after, has come or left.
    """
    first, last = track.seen[0], track.seen[-1]
    plain = [s for s in track.seen if not (s.shaded or s.crowded) and s.rim > tolerances.rim]
    ends = 0
    if first.frame > 0 and first in plain:
        before = expected([replace(s, frame=-s.frame) for s in track.seen[1::-1]], 1 - first.frame)
        ends += _in_view(occupancy, first.frame - 1, before, tolerances.rim)
    if last.frame < len(occupancy) - 1 and last in plain:
        ends += _in_view(occupancy, last.frame + 1, expected(track.seen, last.frame + 1), tolerances.rim)
    return [True] * ends + [False] * max(0, len(plain) - ends)


def _velocities(track: Track, dt: float) -> list[tuple[float, float]]:
    velocities = []
    for a, b in itertools.pairwise(track.seen):
        seconds = dt * (b.frame - a.frame)
        velocities.append(((b.centre[0] - a.centre[0]) / seconds, (b.centre[1] - a.centre[1]) / seconds))
    return velocities


def _accelerations(track: Track, dt: float) -> list[float]:
    """Between neighbouring steps; NaN where the middle creeps because the thing is cut, or merges with another."""
    velocities = _velocities(track, dt)
    accelerations = []
    for i, (u, v) in enumerate(itertools.pairwise(velocities)):
        part = track.seen[i : i + 3]
        volumes = [s.volume for s in part]
        alone = not any(s.crowded for s in part)
        whole = alone and min(s.rim for s in part) > 4 and max(volumes) < 1.35 * min(volumes)
        accelerations.append(math.dist(v, u) / dt if whole else math.nan)
    return accelerations


def _jumps(track: Track, dt: float, tolerances: Tolerances) -> list[bool]:
    """Which steps of a track are faster, or change speed faster, than its class can."""
    velocities = _velocities(track, dt)
    limit = [TOP_SPEED[a.label] for a in track.seen[:-1]]
    jumps = [math.hypot(*v) > top for v, top in zip(velocities, limit, strict=True)]
    for i, a in enumerate(_accelerations(track, dt)):
        # A jump shows in the step there and in the one after; it is counted once.
        if a > tolerances.acceleration and not jumps[i]:
            jumps[i + 1] = True
    return [now and not before for before, now in itertools.pairwise([False, *jumps])]


def _sideways(track: Track, dt: float) -> list[float]:
    """Lateral over whole speed of each step of long things that move faster than 2 m/s; NaN of others."""
    shares = []
    for (a, b), (v_x, v_y) in zip(itertools.pairwise(track.seen), _velocities(track, dt), strict=True):
        speed = math.hypot(v_x, v_y)
        straight = abs(math.remainder(a.yaw - b.yaw, math.pi)) < math.radians(15)
        clear = min(a.rim, b.rim) > 4 and not (a.shaded or b.shaded or a.crowded or b.crowded)
        if speed > 2 and min(a.length, b.length) > 1.5 * max(a.width, b.width) and straight and clear:
            middle = a.yaw + math.remainder(b.yaw - a.yaw, math.pi) / 2
            shares.append(abs(v_y * math.cos(middle) - v_x * math.sin(middle)) / speed)
        else:
            shares.append(math.nan)
    return shares


def _growth(a: Seen, b: Seen) -> float:
    """|log of the ratio of volumes|; NaN for the small, and where border, shade or neighbour may have cut or joined."""
    if (
        min(a.volume, b.volume) < RIGID
        or a.shaded
        or b.shaded
        or a.crowded
        or b.crowded
        or min(a.rim, b.rim) < 4
        or b.frame != a.frame + 1
    ):
        return math.nan
    return abs(math.log(b.volume / a.volume))


def _box_overlap(a: Seen, b: Seen) -> float:
    """Area that the fitted boxes share, over that of the smaller."""
    smaller = min(s.box[3] * s.box[4] for s in (a, b))
    near = math.dist(a.box[:2], b.box[:2]) < (math.hypot(*a.box[3:]) + math.hypot(*b.box[3:])) / 2
    return rectangle_overlap(a.box, b.box) / smaller if near and smaller > 0 else 0.0


def _ego_hits(occupancy: Occupancy, ego_box: tuple[float, float, float]) -> list[bool]:
    """Whether obstacle voxels stand in the ego's own box, above the ground and below its roof, frame by frame."""
    length, width, ahead = ego_box
    grid = occupancy.grid
    centres = grid.centres()
    inside = ((centres[..., 0] - ahead).abs() < length / 2) & (centres[..., 1].abs() < width / 2)
    inside &= (centres[..., 2] > grid.origin[2] + 1.5 * grid.voxel_size) & (centres[..., 2] < grid.origin[2] + 2.0)
    return [bool((among(labels, OBSTACLES) & inside).any()) for labels in occupancy.labels]


def _flashes(occupancy: Occupancy) -> tuple[float, float]:
    """Static voxels that stand where the frames before and after saw free space, and static voxels in all.

    A beam went through that place before and after: nothing that stays can have been there.
    """
    flashes = chances = 0.0
    poses = occupancy.world_from_ego.double()
    for frame in range(1, len(occupancy) - 1):
        static = among(occupancy.labels[frame], STATIC) & occupancy.observed[frame]
        free = torch.ones_like(static)
        for other in (frame - 1, frame + 1):
            free &= _surely_free(occupancy, other, invert(poses[frame]) @ poses[other])
        flashes += float((static & free).sum())
        chances += float(static.sum())
    return flashes, chances


def _surely_free(occupancy: Occupancy, frame: int, dst_from_src: Float[Tensor, "4 4"]) -> Bool[Tensor, "x y z"]:
    """Voxels of the destination that a frame saw free, with free or unlooked-at neighbours: rounding is no flash."""
    full = (occupancy.labels[frame] != FREE).float()[None, None]
    clear = torch.nn.functional.max_pool3d(full, 3, stride=1, padding=1)[0, 0] == 0
    sure = (clear & occupancy.observed[frame]).to(torch.uint8)
    moved, inside = warp_labels(sure, dst_from_src, occupancy.grid, fill=0)
    return (moved == 1) & inside
