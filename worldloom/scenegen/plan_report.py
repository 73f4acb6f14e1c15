"""What a plan sees and what it leaves unseen, as plain values for JSON."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from worldloom.geometry import apply
from worldloom.scenegen.coverage import ENOUGH
from worldloom.scenegen.plan import Coverage, Plan
from worldloom.scenegen.scene_path import ScenePath

CUBE = 2.0  # metres; what no path saw is told by cubes
MAX_CUBES = 12


def plan_report(plan: Plan) -> dict[str, Any]:
    """Coverage of all paths and of each, what was dropped, and the largest pieces that no path saw.

    "surface" is what the panorama shows within reach; "frontier" is where the unknown begins without a surface, which
    the panorama itself sees edge-on. Shares are of the area that at least two frames see from its front, not more
    edge-on than 15 degrees and not hidden; null where there is no area.
    """
    seen = plan.coverage
    surface, frontier = seen.patches.areas[: seen.num_shown].sum(), seen.patches.areas[seen.num_shown :].sum()
    rows = zip(plan.paths, seen.counts, _added(seen), strict=True)
    return {
        "paths": [{**_facts(path), "seen": _shares(seen, counts), "adds": adds} for path, counts, adds in rows],
        "seen": _shares(seen, seen.total),
        "surface_m2": round(surface.item(), 2),
        "frontier_m2": round(frontier.item(), 2),
        "unseen": _unseen(plan),
        "num_spare": len(plan.spare),
        "spare": [path.name for path in plan.spare],
        "dropped": [{"name": d.name, "family": d.family, "reason": d.reason} for d in plan.dropped],
        "walkable_m2": round(plan.place.ground.area, 2),
        "voxel_size_m": round(plan.place.space.grid.voxel_size, 4),
        "notes": list(plan.notes),
    }


def _facts(path: ScenePath) -> dict[str, Any]:
    return {
        "name": path.name,
        "family": path.family,
        "num_frames": len(path.cameras),
        "seconds": round(path.seconds, 3),
        "length_m": round(path.length, 3),
        "clearance_m": round(path.clearance, 3),
        "note": path.note,
    }


def _shares(seen: Coverage, counts: Int[Tensor, " n"]) -> dict[str, float | None]:
    surface, frontier = seen.shares(counts)
    return {"surface": _number(surface), "frontier": _number(frontier)}


def _added(seen: Coverage) -> list[dict[str, float | None]]:
    """What each path adds to those before it."""
    shares = [seen.shares(total) for total in seen.counts.cumsum(0)]
    before = [(0.0, 0.0), *shares[:-1]]
    return [
        {"surface": _number(a - c), "frontier": _number(b - d)} for (a, b), (c, d) in zip(shares, before, strict=False)
    ]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _unseen(plan: Plan) -> dict[str, Any]:
    """Square metres that no frame sees, or one alone, and the cubes that hold the most of what none sees."""
    seen = plan.coverage
    result: dict[str, Any] = {}
    kinds = torch.arange(len(seen.patches)) < seen.num_shown
    for name, kind in (("surface", kinds), ("frontier", ~kinds)):
        areas = seen.patches.areas * kind
        result[name] = {
            "never_m2": round(areas[seen.total == 0].sum().item(), 2),
            "too_few_m2": round(areas[seen.total < ENOUGH].sum().item(), 2),
            "largest": _cubes(plan, kind & (seen.total == 0)),
        }
    return result


def _cubes(plan: Plan, which: Bool[Tensor, " n"]) -> list[dict[str, Any]]:
    points, areas = plan.coverage.patches.points[which], plan.coverage.patches.areas[which]
    if not len(points):
        return []
    _, cube = torch.unique((points / CUBE).floor().long(), dim=0, return_inverse=True)
    num = int(cube.max()) + 1
    total = areas.new_zeros(num).index_add(0, cube, areas)
    middle = points.new_zeros(num, 3).index_add(0, cube, points * areas[:, None]) / total[:, None].clamp(min=1e-9)
    world = apply(plan.place.panorama.world_from_pano, middle)
    order = total.argsort(descending=True, stable=True)[:MAX_CUBES].tolist()
    return [{"middle": [round(v, 2) for v in world[i].tolist()], "m2": round(total[i].item(), 2)} for i in order]
