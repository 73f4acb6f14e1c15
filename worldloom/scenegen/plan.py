"""From a panorama to camera paths: proposed by families, checked, chosen by what they see."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import Agent, Camera, CameraPath, NavMesh, Panorama, apply, intrinsics, invert
from worldloom.scenegen.coverage import choose, count_views, coverage
from worldloom.scenegen.families import FAMILIES
from worldloom.scenegen.free_space import MAX_VOXELS
from worldloom.scenegen.motion import Guide, Motion, move
from worldloom.scenegen.place import SPARE, Place, Route, survey
from worldloom.scenegen.scene_path import ScenePath
from worldloom.scenegen.surface import Patches
from worldloom.scenegen.user_paths import checked_user_path

SHRINK = 2 / 3
NUM_SHRINKS = 3
SMOOTHINGS = (0.6, 0.3, 0.0)  # seconds; the first that leaves the path free is taken
NUM_VIEWS = 21  # of a path
BUDGET = 10 * NUM_VIEWS  # frames in all


@dataclass(frozen=True)
class Dropped:
    """A path that was proposed and is not free."""

    name: str
    family: str
    reason: str


@dataclass(frozen=True)
class Coverage:
    """What the planned paths see of what the panorama shows, and of the frontier behind which it shows nothing."""

    patches: Patches  # of the surface shown, then of the frontier; panorama's frame
    num_shown: int
    counts: Int[Tensor, "paths n"]  # views of each patch by each path

    @property
    def total(self) -> Int[Tensor, " n"]:
        return self.counts.sum(0)

    def shares(self, counts: Int[Tensor, " n"]) -> tuple[float, float]:
        """Shares seen at least twice: of the surface shown, of the frontier; NaN where there is none."""
        n, areas = self.num_shown, self.patches.areas
        return coverage(counts[:n], areas[:n]), coverage(counts[n:], areas[n:])


@dataclass(frozen=True)
class Plan:
    """Paths to take, those of the user first, then the best first; what was left out and why; what all of it sees."""

    paths: tuple[ScenePath, ...]
    spare: tuple[ScenePath, ...]  # free as well, but beyond the budget
    dropped: tuple[Dropped, ...]
    coverage: Coverage  # rows of counts as `paths`
    place: Place
    navmesh: NavMesh  # world
    notes: tuple[str, ...]  # what a user should know, one line each


def plan_paths(
    panorama: Panorama,
    families: Sequence[str] = tuple(FAMILIES),
    *,
    user: Sequence[CameraPath] = (),
    budget: int = BUDGET,
    num_views: int = NUM_VIEWS,
    seed: int = 0,
    agent: Agent | None = None,
    size: tuple[int, int] = (360, 640),
    fov: float = math.radians(80),
    max_voxels: int = MAX_VOXELS,
) -> Plan:
    """Camera paths from a panorama into what it shows to be free, as many as a budget of frames allows.

    Families propose routes (after WorldNav of HY-World 2.0). Each becomes a smooth motion that is checked at every
    5 cm: the camera keeps the agent's radius and 5 cm from surfaces and from the unknown behind them, and where the
    agent walks its whole body keeps the radius. What is not free is shortened to 2/3, up to three times, flights about
    their start and walks from their end; what still is not is dropped with the reason. Of the free paths those are
    taken, one after the other, that add most to what is seen twice of the surface shown and of the frontier of the
    unknown. Where no path is free and none was given, one path turns on the spot.

    Args:
        families: names in `FAMILIES`; may be empty if there are paths of the user.
        user: paths that are taken as they are, before all others.
        budget: frames of all paths together, those of the user among them.
        num_views: frames of each path, evenly spaced in time.
        size, fov: of the cameras; the horizontal field of view in radians.
    Raises:
        InputError: an unknown family, a budget too small for one path, a panorama whose distances are not finite, or
            paths of the user that are not free or not in our conventions.
    """
    unknown = [name for name in families if name not in FAMILIES]
    if unknown or not (families or user):
        raise InputError(f"expected families out of {', '.join(FAMILIES)}, got {', '.join(unknown) or 'none'}")
    if num_views < 2 or (budget < num_views and not user):
        raise InputError(f"expected at least 2 views a path and a budget for one path, got {num_views} and {budget}")
    place = survey(panorama, agent or Agent(), max_voxels)
    # A path that an earlier plan wrote has a name that this plan may give to another.
    ours = re.compile(rf"({'|'.join(FAMILIES)}|turn)-\d+")
    named = [replace(path, name=f"user-{path.name}") if ours.fullmatch(path.name) else path for path in user]
    given = [checked_user_path(place, path) for path in named]
    free, dropped = _free_paths(place, families, num_views, seed, size, fov)
    notes = _notes(place, free)
    if not free and not given:
        free = [_turning(place, num_views, size, fov)]
    patches = Patches.cat([place.shown, place.frontier])
    pano_from_world = invert(place.panorama.world_from_pano)

    def counted(path: ScenePath) -> Int[Tensor, " n"]:
        cameras = replace(path.cameras, world_from_cam=pano_from_world @ path.cameras.world_from_cam)
        return count_views(place.space, patches, cameras)

    nothing = torch.zeros(0, len(patches), dtype=torch.int64)
    seen = torch.stack([counted(path) for path in given]) if given else nothing
    counts = [counted(path) for path in free]
    left = max(0, budget - sum(len(path.cameras) for path in given))
    chosen = choose(counts, patches.areas, [num_views] * len(free), left, seen.sum(0))
    world_from_pano = place.panorama.world_from_pano
    return Plan(
        (*given, *(_with_clearance(place, free[i]) for i in chosen)),
        tuple(path for i, path in enumerate(free) if i not in chosen),
        tuple(dropped),
        Coverage(patches, len(place.shown), torch.cat([seen, *(counts[i][None] for i in chosen)])),
        place,
        replace(place.navmesh, vertices=apply(world_from_pano, place.navmesh.vertices)),
        tuple(notes),
    )


def _free_paths(
    place: Place, families: Sequence[str], num_views: int, seed: int, size: tuple[int, int], fov: float
) -> tuple[list[ScenePath], list[Dropped]]:
    """Paths that are free, yet without their clearance, and those that are not."""
    free, dropped = [], []
    for family in families:
        # Of the family's own, so that it does not depend on which others are asked for.
        generator = torch.Generator().manual_seed(1000 * seed + list(FAMILIES).index(family))
        for number, route in enumerate(FAMILIES[family](place, generator), 1):
            name = f"{family}-{number}"
            motion, note = _fitted(place, route)
            if motion is None:
                dropped.append(Dropped(name, family, note or ""))
            else:
                path = _filmed(place, name, family, motion, note, num_views, size, fov)
                free.append(replace(path, walks=route.walks))
    return free, dropped


def _filmed(
    place: Place,
    name: str,
    family: str,
    motion: Motion,
    note: str | None,
    num_views: int,
    size: tuple[int, int],
    fov: float,
) -> ScenePath:
    motion = motion.moved(place.panorama.world_from_pano)
    times = torch.linspace(0, motion.seconds, num_views)
    cameras = Camera(motion.at(times).poses, intrinsics(fov, size).expand(num_views, 3, 3).clone(), size)
    return ScenePath(name, family, cameras, times, motion.length, math.nan, note, motion)


def _turning(place: Place, num_views: int, size: tuple[int, int], fov: float) -> ScenePath:
    """Once round at the panorama's centre, where the camera has been before."""
    yaw = torch.linspace(0, 2 * math.pi, 73)
    motion = move(Guide(torch.zeros(73, 3), yaw, torch.zeros(73)), smoothing=0.0)
    return _filmed(place, "turn-1", "turn", motion, None, num_views, size, fov)


def _fitted(place: Place, route: Route) -> tuple[Motion | None, str | None]:
    """The longest free motion along a route, and why it is not all of it; None and the reason if there is none."""
    if move(route.guide, smoothing=0.0).seconds == 0:
        return None, "it neither moves nor turns"
    first_problem = problem = None
    for shrinks in range(NUM_SHRINKS + 1):
        share = SHRINK**shrinks
        guide = _cut(route.guide, share) if route.walks else _scaled(route.guide, share)
        for smoothing in SMOOTHINGS:
            motion = move(guide, smoothing)
            problem = _problem(place, motion, route.walks)
            if problem is None:
                note = f"{first_problem}; it was shortened to {share:.0%}" if shrinks else None
                return motion, note
        first_problem = first_problem or problem
    return None, f"{first_problem}, and so it is at {SHRINK**NUM_SHRINKS:.0%} of its length"


def _problem(place: Place, motion: Motion, walks: bool) -> str | None:
    """Where and why a motion is not free; None if it is."""
    radius = place.agent.radius + SPARE
    blocked = ~place.space.has_room(motion.points, radius)
    if walks:
        blocked |= place.ground.room_at(motion.points) < place.agent.radius
    if not blocked.any():
        return None
    i = int(blocked.nonzero()[0, 0])
    after = motion.points[: i + 1].diff(dim=0).norm(dim=-1).sum().item()
    what = "the body" if walks else "the camera"
    return f"after {after:.1f} m {what} has less than {radius:.2f} m of free space around it"


def _scaled(guide: Guide, share: float) -> Guide:
    return replace(guide, points=torch.lerp(guide.points[:1], guide.points, share))


def _cut(guide: Guide, share: float) -> Guide:
    """The first part of a guide, by the length of its way."""
    steps = guide.points.diff(dim=0).norm(dim=-1)
    along = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
    if share == 1 or along[-1] == 0:
        return guide
    end = share * along[-1]
    last = max(1, int((along <= end).nonzero().max()))
    return Guide(guide.points[: last + 1], guide.yaw[: last + 1], guide.pitch[: last + 1])


def _with_clearance(place: Place, path: ScenePath) -> ScenePath:
    centres = apply(invert(place.panorama.world_from_pano), path.cameras.world_from_cam[:, :3, 3])
    return replace(path, clearance=place.space.clearance(centres).min().item())


def _notes(place: Place, free: Sequence[ScenePath]) -> list[str]:
    notes = []
    if place.start is None:
        clear = place.space.clearance(torch.zeros(1, 3)).item()
        notes.append(
            f"the camera has {clear:.2f} m of free space around it, less than the agent's radius of "
            f"{place.agent.radius:g} m, and there is no more nearby"
        )
    if place.ground.start is None:
        notes.append("no walkable ground was found under the camera; there are no paths on foot")
    if not free:
        notes.append("no path of the planner is free")
    return notes
