"""Camera paths on exact geometry: do they touch anything, and how much of the world do they see?

The planner knows one panorama of true distances. The answers come from rays against the whole mesh.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldloom.apps.bench.result import Row
from worldloom.geometry import Panorama
from worldloom.scenegen import Plan, ScenePath, plan_paths
from worldloom.scenegen.coverage import ENOUGH, in_picture
from worldloom.scenegen.free_space import REACH
from worldloom.scenegen.plan import NUM_VIEWS
from worldloom.scenegen.sight import faces
from worldloom.scenegen.surface import Patches
from worldloom.synth.cast import Caster
from worldloom.synth.scene_files import MAKERS, make_world
from worldloom.synth.views import PanoramaView, pixel_centres, rays_through

FIRST_SEED = 9000  # of the worlds: no figure here was tuned on them
NUM_FRAMES = 9 * NUM_VIEWS  # as many as the regular family alone can use

_STEP = 0.02  # metres between the points of a path that are looked at
_NUM_DIRECTIONS = 642  # around each of them
_AROUND, _BODY_STEP = 72, 0.1  # directions around a walker's axis, metres between the rings
_NUM_PATCHES = 30_000  # spread over the surface of a world that is about within reach
_LARGE = 2.0  # metres, of a face of which only a piece may be within reach
_AT_ONCE = 1 << 20  # rays
_TOUCHING = 1e-3  # of the distance, at which a line of sight has arrived


@dataclass(frozen=True)
class Truth:
    """One plan against the world it was made in."""

    collisions: tuple[str, ...]  # names of the paths, taken or spare, whose camera touches something
    contacts: tuple[frozenset[str], ...]  # for each path on foot, what the walker's body touches
    num_checked: int
    num_dropped: int
    clearance: float  # metres, the least from a camera on the way to a surface
    seen: float  # square metres of the world's surface that the frames of the paths taken see at least twice
    hidden_seen: float  # of these, what the panorama does not see
    regular_seen: float  # as `seen` and `hidden_seen`, of the regular family alone with as many frames
    regular_hidden_seen: float
    cpu_seconds: float  # for planning


def path_rows(quick: bool) -> list[Row]:
    """Collisions, clearance and coverage over several worlds of each kind."""
    kinds = MAKERS[:2] if quick else MAKERS
    seeds = range(FIRST_SEED, FIRST_SEED + (1 if quick else 4))
    truths = {f"{kind} {seed}": measured(kind, seed, 256 if quick else 512) for kind in kinds for seed in seeds}
    found = list(truths.values())
    ratios = [truth.seen / truth.regular_seen for truth in found]
    hidden = sum(truth.hidden_seen for truth in found) / sum(truth.regular_hidden_seen for truth in found)
    by_kind = {
        f"least of {kind}s": min(t.seen / t.regular_seen for name, t in truths.items() if name.startswith(kind))
        for kind in kinds
    }
    where = f"{len(found)} worlds ({', a '.join(kinds)}; {len(seeds)} seeds of each), one true panorama of each"
    num_checked, num_dropped = sum(t.num_checked for t in found), sum(t.num_dropped for t in found)
    contacts = [touched for truth in found for touched in truth.contacts]
    touching = [f"{name}: {path}" for name, truth in truths.items() for path in truth.collisions]
    rays = (
        f"{num_checked} free paths ({num_dropped} were dropped); every {100 * _STEP:g} cm {_NUM_DIRECTIONS} rays "
        "against the mesh: something is nearer to the camera than the agent's radius, or between two points"
    )
    return [
        Row(
            "path_collisions",
            len(touching),
            "paths",
            "<= 0",
            note=f"{where}; {rays}{'; ' if touching else ''}{', '.join(touching)}",
        ),
        Row(
            "walker_contacts",
            sum(bool(touched) for touched in contacts),
            "paths",
            "",
            {"but for grass": sum(bool(touched - {"grass"}) for touched in contacts)},
            f"of {len(contacts)} paths on foot, those on which rings of rays around the body, from a step's height to "
            f"the crown, meet something nearer than its radius: {', '.join(sorted(frozenset().union(*contacts)))}",
        ),
        Row("path_clearance_m", min(t.clearance for t in found), "m", note=f"least of all cameras on the way; {where}"),
        Row(
            "coverage_ratio",
            sum(ratios) / len(ratios),
            "x",
            ">= 1.3",
            {"regular alone": 1.0, **by_kind},
            f"mean over worlds; square metres of the mesh within {REACH:g} m seen at least twice by {NUM_FRAMES} "
            "frames, against as many of the regular family alone",
        ),
        Row(
            "coverage_ratio_hidden",
            hidden,
            "x",
            "",
            {"regular alone": 1.0},
            "as coverage_ratio, of what the panorama itself does not see; all worlds together",
        ),
        Row("plan_cpu_s", sum(t.cpu_seconds for t in found) / len(found), "s of CPU", note=f"mean; {where}"),
    ]


def measured(kind: str, seed: int, height: int) -> Truth:
    """Plan in a world from a panorama of true distances, and look at the outcome with rays against its mesh."""
    caster = Caster(make_world(kind, seed))
    panorama = true_panorama(caster, height)
    start = time.process_time()
    plan = plan_paths(panorama, budget=NUM_FRAMES, seed=seed)
    seconds = time.process_time() - start
    regular = plan_paths(panorama, ["regular"], budget=NUM_FRAMES, seed=seed)
    patches = surface_patches(caster, panorama)
    hidden = ~_visible(caster, panorama.world_from_pano[None, :3, 3], patches)[0]
    seen, regular_seen = (count_true_views(caster, patches, p.paths) >= ENOUGH for p in (plan, regular))
    paths = [*plan.paths, *plan.spare]
    clearances = [least_clearance(caster, path) for path in paths]
    return Truth(
        tuple(
            path.name
            for path, clearance in zip(paths, clearances, strict=True)
            if clearance < plan.place.agent.radius or crosses(caster, path)
        ),
        tuple(touched(caster, plan, path) for path in paths if path.walks),
        len(paths),
        len(plan.dropped),
        min(clearances),
        patches.areas[seen].sum().item(),
        patches.areas[seen & hidden].sum().item(),
        patches.areas[regular_seen].sum().item(),
        patches.areas[regular_seen & hidden].sum().item(),
        seconds,
    )


def true_panorama(caster: Caster, height: int) -> Panorama:
    """Exact distances from the world's best stand; grey, for no planner looks at colours."""
    view = PanoramaView(caster.world.stands[0], height)
    hits = caster.cast(*rays_through(view, *pixel_centres(view)))
    distance, sky = hits.distance.float().reshape(view.size), ~hits.found.reshape(view.size)
    return Panorama(torch.full((3, *view.size), 0.5), distance, sky, view.world_from_pano.float())


def crosses(caster: Caster, path: ScenePath) -> bool:
    """Whether any surface stands between two points of a path that follow each other."""
    points = _points(path)
    steps = points.diff(dim=0)
    lengths = steps.norm(dim=-1)
    moving = lengths > 1e-9
    unit = steps[moving] / lengths[moving, None]
    return bool(caster.blocked(points[:-1][moving], unit, lengths[moving].float()).any())


def least_clearance(caster: Caster, path: ScenePath) -> float:
    """Metres between the camera and the nearest surface on its way; inf where there is none in any direction."""
    least, sphere = math.inf, _sphere(_NUM_DIRECTIONS)
    for points in _points(path).split(_AT_ONCE // _NUM_DIRECTIONS):
        hits = caster.cast(points.repeat_interleave(_NUM_DIRECTIONS, dim=0), sphere.repeat(len(points), 1))
        if hits.found.any():
            least = min(least, hits.distance[hits.found].min().item())
    return least


def touched(caster: Caster, plan: Plan, path: ScenePath) -> frozenset[str]:
    """What of the world comes nearer than the agent's radius to the axis of a walker, between step and crown."""
    agent = plan.place.agent
    turn = 2 * math.pi * torch.arange(_AROUND, dtype=torch.float64) / _AROUND
    ring = torch.stack([turn.cos(), turn.sin(), torch.zeros_like(turn)], dim=-1)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    # The ground's height is known to a few centimetres: a ring at the very step would meet the step.
    above = torch.arange(agent.step + _BODY_STEP, agent.height, _BODY_STEP, dtype=torch.float64)
    feet = _points(path) - plan.place.eye * up
    found: set[str] = set()
    for axis in (feet[:, None] + above[:, None] * up).reshape(-1, 3).split(_AT_ONCE // _AROUND):
        hits = caster.cast(axis.repeat_interleave(_AROUND, dim=0), ring.repeat(len(axis), 1))
        near = hits.found & (hits.distance < agent.radius)
        found |= {caster.world.things[i].semantic for i in caster.soup.thing_of(hits.face[near]).unique().tolist()}
    return frozenset(found)


def count_true_views(caster: Caster, patches: Patches, paths: Sequence[ScenePath]) -> Int[Tensor, " n"]:
    """In how many frames of all paths each patch is seen: from its front, in the picture, and not hidden."""
    counts = torch.zeros(len(patches), dtype=torch.int64)
    for path in paths:
        cameras = path.cameras
        inside = in_picture(cameras, patches.points)
        counts += _visible(caster, cameras.world_from_cam[:, :3, 3], patches, inside).sum(0)
    return counts


def surface_patches(caster: Caster, panorama: Panorama) -> Patches:
    """Places spread evenly at random over all faces within `REACH` of the panorama, hidden ones as well."""
    soup = caster.soup.first
    centre = panorama.world_from_pano[:3, 3].double()
    corners, normals = _pieces_near(soup.vertices[soup.faces.long()], soup.planes[:, :3], centre)
    areas = 0.5 * torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1)
    generator = torch.Generator().manual_seed(0)
    cumulative = areas.cumsum(0)
    face = torch.searchsorted(cumulative, torch.rand(_NUM_PATCHES, generator=generator).double() * cumulative[-1])
    face = face.clamp(max=len(areas) - 1)
    a, b = torch.rand(2, _NUM_PATCHES, generator=generator).double()
    folded = a + b > 1
    a, b = torch.where(folded, 1 - a, a), torch.where(folded, 1 - b, b)
    weights = torch.stack([1 - a - b, a, b], dim=-1)
    points = (weights[..., None] * corners[face]).sum(1)
    patches = Patches(
        points.float(), normals[face].float(), torch.full((_NUM_PATCHES,), cumulative[-1].item() / _NUM_PATCHES)
    )
    return patches[((points - centre).norm(dim=-1) < REACH).nonzero()[:, 0]]


def _pieces_near(
    corners: Float[Tensor, "m 3 3"], normals: Float[Tensor, "m 3"], centre: Float[Tensor, "3"]
) -> tuple[Float[Tensor, "k 3 3"], Float[Tensor, "k 3"]]:
    """Faces that may lie within `REACH`, in pieces no longer than `_LARGE`: open country has faces of a kilometre."""
    while True:
        longest = (corners - corners.roll(1, dims=1)).norm(dim=-1).amax(-1)
        near = (corners - centre).norm(dim=-1).amin(-1) < REACH + longest
        corners, normals, large = corners[near], normals[near], longest[near] > _LARGE
        if not large.any():
            return corners, normals
        a, b, c = corners[large].unbind(1)
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        corners = torch.cat([corners[~large], *(torch.stack(quarter, dim=1) for quarter in quarters)])
        normals = torch.cat([normals[~large], *[normals[large]] * 4])


def _visible(
    caster: Caster, eyes: Float[Tensor, "v 3"], patches: Patches, inside: Bool[Tensor, "v n"] | None = None
) -> Bool[Tensor, "v n"]:
    seen = faces(eyes, patches)
    if inside is not None:
        seen &= inside
    eye, patch = seen.nonzero(as_tuple=True)
    origins, targets = eyes[eye].double(), patches.points[patch].double()
    lengths = (targets - origins).norm(dim=-1)
    unit = (targets - origins) / lengths[:, None]
    seen[eye, patch] = ~caster.blocked(origins, unit, (lengths * (1 - _TOUCHING) - 1e-3).float())
    return seen


def _points(path: ScenePath) -> Float[Tensor, "n 3"]:
    """The way of a path, float64, at most `_STEP` between two points."""
    assert path.motion is not None
    knots = path.motion.points.double()
    parts = [knots[:1]]
    for start, end in pairwise(knots):
        count = max(1, math.ceil((end - start).norm().item() / _STEP))
        parts.append(torch.lerp(start, end, (torch.arange(count, dtype=torch.float64)[:, None] + 1) / count))
    return torch.cat(parts)


def _sphere(num: int) -> Float[Tensor, "num 3"]:
    """Directions about evenly spread: a Fibonacci lattice."""
    i = torch.arange(num, dtype=torch.float64)
    z = 1 - (2 * i + 1) / num
    turn = math.pi * (1 + math.sqrt(5)) * i
    return torch.stack([turn.cos() * (1 - z * z).sqrt(), turn.sin() * (1 - z * z).sqrt(), z], dim=-1)
