"""A drive through a town's traffic: the ego's poses, and everyone around it."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, EgoPath, Trajectory
from worldloom.synth.road_users.catalogue import STANDING, metres_per_cycle
from worldloom.synth.towns.ground import Ground
from worldloom.synth.towns.town import StandingUser, Town
from worldloom.synth.traffic.demand import Member
from worldloom.synth.traffic.ego import Ego, ego_after, ego_footprint, ego_from_body
from worldloom.synth.traffic.footprints import overlap
from worldloom.synth.traffic.live_traffic import LiveTraffic, Moment
from worldloom.synth.traffic.motion import Box
from worldloom.synth.traffic.sumo import STEP

RANGE = 80.0  # metres from the ego's path in which users are told; nuScenes is scored up to 50
CHOICE = 20.0  # seconds of its drive by which an ego is chosen
_STILL = 0.15  # m/s; who is slower stands
_LONGEST = 25.0  # metres from a body's front to the middle of the trailer that it pulls, at most


@dataclass(frozen=True)
class RoadUser:
    """One moving road user over the frames of a drive."""

    id: str  # stable over the drive and over all re-simulations of it
    kind: str  # one of Occ3D's classes
    variant: int  # which `make_road_user`
    trajectory: Trajectory  # of the box centre
    velocity: Float[Tensor, "t 3"]  # of the box centre in the world, m/s; 0 where absent
    phase: Float[Tensor, " t"]  # of the legs, as `make_road_user` takes it: advances with the way travelled

    @property
    def extent(self) -> tuple[float, float, float]:
        """Length, width, height in metres."""
        return self.trajectory.extent


@dataclass(frozen=True)
class Drive:
    """Frames `dt` seconds apart of an ego that drives through a town, and of everyone within RANGE of its path."""

    seed: int
    start: float  # seconds of the first frame after the traffic's beginning
    dt: float
    world_from_ego: Float[Tensor, "t 4 4"]  # rear axle, on the ground, tilted with it
    speed: Float[Tensor, " t"]  # of the rear axle, m/s
    users: tuple[RoadUser, ...]
    fine: EgoPath  # the same way with all poses of the simulation, every STEP seconds; `resample_path` gives 20 Hz

    def __len__(self) -> int:
        return len(self.world_from_ego)

    @property
    def path(self) -> EgoPath:
        """The ego's poses, one for each frame."""
        return EgoPath(self.world_from_ego, self.dt)


def drive_town(
    town: Town, seconds: float | int = 20.0, seed: int = 0, dt: float | int = 0.5, density: float | int = 1.0
) -> Drive:
    """A car near the town's centre drives for `seconds` through traffic that SUMO moves.

    The seed decides the traffic and which of its cars is the ego. It is one that travels most of the time, with turns
    and stops where there are any.

    Args:
        dt: seconds between frames, a multiple of STEP.
        density: of the traffic; 1 is busy.
    Raises:
        InputError: seconds or density not positive, or dt not a positive multiple of STEP.
        MissingExtra: SUMO is not installed.
    """
    if not 0 < seconds < math.inf or not 0 < density <= 4:
        raise InputError(f"expected seconds > 0 and density in (0, 4], got {seconds} and {density}")
    every = stride_of(dt)
    with LiveTraffic(town, seed, density) as live:
        moments = [live.now, *live.advance(round(max(seconds, CHOICE) / STEP))]
        name = choose_ego(moments, live.traffic.members, town, seed)
        steps = round(seconds / STEP) // every * every
        egos = logged_egos(moments[: steps + 1], name)
        return record(town.ground, moments[: steps + 1], egos, name, live.traffic.members, seed, every)


def stride_of(dt: float | int) -> int:
    """How many steps of the simulation are between two frames.

    Raises:
        InputError: not a positive multiple of STEP.
    """
    every = round(dt / STEP) if math.isfinite(dt) else 0
    if every < 1 or abs(every * STEP - dt) > 1e-6:
        raise InputError(f"expected dt to be a positive multiple of {STEP} s, got {dt}")
    return every


def logged_egos(moments: Sequence[Moment], name: str) -> list[Ego]:
    """The ego in the place of one car, over moments that follow one another."""
    egos = [ego_from_body(moments[0].bodies[name])]
    for moment in moments[1:]:
        egos.append(ego_after(egos[-1], moment.bodies[name]))
    return egos


def choose_ego(moments: Sequence[Moment], members: dict[str, Member], town: Town, seed: int) -> str:
    """A car that travels, turns and stops among others, well inside the town, and touches nobody in CHOICE seconds."""
    dice = random.Random(f"ego {seed}")
    window = moments[: round(CHOICE / STEP) + 1]
    x0, y0, x1, y1 = town.roads.bounds
    sampled = window[::10]
    scores: dict[str, float] = {}
    for name in sorted(window[0].bodies):
        # Drawn for everyone, so that one car's draw does not depend on which others are in the running.
        wish_turn, wish_stop, luck = dice.random(), dice.random(), dice.random()
        if members[name].kind != "car" or any(name not in moment.bodies for moment in sampled):
            continue
        track = [moment.bodies[name] for moment in sampled]
        margin = min(min(b.x - x0, x1 - b.x, b.y - y0, y1 - b.y) for b in track)
        moving = sum(b.speed > 1.0 for b in track) / len(track)
        turned = max(abs(math.remainder(b.yaw - track[0].yaw, math.tau)) for b in track)
        near = sum(
            math.dist((b.x, b.y), (other.x, other.y)) < 40
            for moment, b in zip(sampled[::5], track[::5], strict=True)
            for other in moment.bodies.values()
        ) / len(sampled[::5])
        scores[name] = (
            4 * min(moving, 0.7)
            + 0.08 * min(near, 25)
            + min(margin, 60) / 60
            + wish_turn * (turned > 1.2)
            + wish_stop * (moving < 0.95)
            + luck
        )
    if not scores:
        raise InputError(
            "expected at least one car in the town's traffic, got none: too low a density, or no way round"
        )
    ranked = sorted(scores, key=lambda name: (-scores[name], name))
    return next((name for name in ranked if not _touches(window, name, members, town)), ranked[0])


def _touches(moments: Sequence[Moment], name: str, members: dict[str, Member], town: Town) -> bool:
    """Whether the ego in the place of this car overlaps anybody, moving or standing."""
    shown = with_trailers(members)
    standing = torch.tensor([footprint_of(user) for user in town.standing], dtype=torch.float64).reshape(-1, 5)
    for moment, ego in list(zip(moments, logged_egos(moments, name), strict=True))[::2]:
        mine = torch.tensor([ego_footprint(ego)], dtype=torch.float64)
        boxes = moment.boxes(members, _around([(ego.x, ego.y)], 25.0))
        moving = [(*box[:3], *shown[other].extent[:2]) for other, box in boxes.items() if other != name]
        others = torch.cat([torch.tensor(moving, dtype=torch.float64).reshape(-1, 5), standing])
        others = others[(others[:, :2] - mine[:, :2]).norm(dim=-1) < 20]
        if overlap(mine.expand(len(others), 5), others).any():
            return True
    return False


def footprint_of(user: StandingUser) -> tuple[float, float, float, float, float]:
    """(x, y, yaw, length, width) on the ground of a user that stands."""
    pose = user.world_from_user
    yaw = math.atan2(float(pose[1, 0]), float(pose[0, 0]))
    return float(pose[0, 3]), float(pose[1, 3]), yaw, user.extent[0], user.extent[1]


def with_trailers(members: dict[str, Member]) -> dict[str, Member]:
    """All members by id, trailers among them."""
    return {m.id: m for member in members.values() for m in (member, member.trailer) if m is not None}


def record(
    ground: Ground,
    moments: Sequence[Moment],
    egos: Sequence[Ego],
    ego_name: str,
    members: dict[str, Member],
    seed: int,
    every: int,
) -> Drive:
    """The noun of moments that were simulated, one frame for each `every` of them."""
    states = torch.tensor(egos, dtype=torch.float64)
    fine = stand_on(ground, states[:, :2], states[:, 2]).float()
    part = _around([(ego.x, ego.y) for ego in egos], RANGE)
    frames = [moment.boxes(members, part) for moment in moments[::every]]
    names = sorted({name for frame in frames for name in frame} - {ego_name})
    shown = with_trailers(members)
    users = []
    for name in names:
        user = _user(ground, shown[name], [frame.get(name) for frame in frames], states[:, :2], every * STEP)
        if user is not None:
            users.append(user)
    return Drive(
        seed,
        moments[0].step * STEP,
        every * STEP,
        fine[::every],
        states[::every, 3].float(),
        tuple(users),
        EgoPath(fine, STEP),
    )


def _around(places: Sequence[tuple[float, float]], reach: float) -> tuple[float, float, float, float]:
    """A part of the plane with all bodies whose boxes have their middles within `reach` of one of the places."""
    x, y = zip(*places, strict=True)
    reach += _LONGEST
    return min(x) - reach, min(y) - reach, max(x) + reach, max(y) + reach


def phase_of(member: Member, box: Box) -> float:
    """Phase in [0, 1) of legs after the way travelled, as `make_road_user` takes it; STANDING for who stands."""
    if member.kind == "pedestrian" and math.hypot(box.vx, box.vy) < _STILL:
        return STANDING
    return math.fmod(box.distance / metres_per_cycle(member.kind, member.variant), 1.0)


def stand_on(ground: Ground, xy: Float[Tensor, "n 2"], yaw: Float[Tensor, " n"]) -> Float[Tensor, "n 4 4"]:
    """Frames on the ground, kerbs included, tilted with its slope."""
    return ground.relief.world_from_ground(xy, yaw, ground.height(xy) - ground.relief.height(xy))


def poses_of(
    ground: Ground, members: Sequence[Member], where: Sequence[Box]
) -> tuple[Float[Tensor, "n 4 4"], Float[Tensor, "n 3"]]:
    """Box centres in the world, tilted with the ground, and their velocities, in float64."""
    plane = torch.tensor([tuple(box) for box in where], dtype=torch.float64).reshape(-1, 6)
    height = torch.tensor([member.extent[2] for member in members], dtype=torch.float64)
    frames = stand_on(ground, plane[:, :2], plane[:, 2])
    frames[:, :3, 3] += frames[:, :3, 2] * height[:, None] / 2
    climb = (ground.relief.gradient(plane[:, :2]) * plane[:, 3:5]).sum(-1, keepdim=True)
    return frames, torch.cat([plane[:, 3:5], climb], -1)


def _user(
    ground: Ground, member: Member, where: Sequence[Box | None], path: Float[Tensor, "m 2"], dt: float
) -> RoadUser | None:
    """One user over all frames; None if it never comes near the path."""
    seen = [i for i, box in enumerate(where) if box is not None]
    there = [box for box in where if box is not None]
    xy = torch.tensor([box[:2] for box in there], dtype=torch.float64)
    close = torch.cdist(xy, path).amin(-1) <= RANGE
    if not close.any():
        return None
    at = torch.tensor(seen)[close]
    poses, velocity = poses_of(ground, [member] * len(there), there)
    world_from_actor = torch.eye(4).repeat(len(where), 1, 1)
    world_from_actor[at] = poses[close].float()
    present = torch.zeros(len(where), dtype=torch.bool)
    present[at] = True
    velocities, phase = torch.zeros(len(where), 3), torch.zeros(len(where))
    velocities[at] = velocity[close].float()
    phase[at] = torch.tensor([phase_of(member, box) for box in there])[close]
    label = OCC3D_CLASSES.index(member.kind)
    trajectory = Trajectory(world_from_actor, present, label, member.extent, dt)
    return RoadUser(member.id, member.kind, member.variant, trajectory, velocities, phase)
