"""The traffic of a whole town for minutes, without voxels.

Minutes of a town hold thousands of moments that anybody in it might have lived through, at the price of one drive.
"""

import hashlib
import math
import random

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES
from worldloom.synth.dataset.scenes import KEYFRAME_SECONDS
from worldloom.synth.dataset.traffic_log import CELL, HIGHEST, TrafficLog
from worldloom.synth.sheet import Sheet
from worldloom.synth.soup import soup_from_things
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.drive import footprint_of, with_trailers
from worldloom.synth.traffic.live_traffic import LiveTraffic
from worldloom.synth.traffic.sumo import STEP
from worldloom.synth.voxels.surface_points import surface_points

_SPACING = 0.4  # metres between the points of surfaces
_FACES_AT_ONCE = 1 << 16
_DENSITY = (0.5, 1.5)
_STRIDE = round(KEYFRAME_SECONDS / STEP)


def log_traffic(town: Town, seed: int, seconds: float | int = 120.0) -> TrafficLog:
    """Let a town's traffic run; the seed decides it and how dense it is.

    Raises:
        InputError: not a positive number of seconds.
        MissingExtra: SUMO is not installed.
    """
    if not KEYFRAME_SECONDS <= seconds < math.inf:
        raise InputError(f"expected {KEYFRAME_SECONDS} s or more of traffic, got {seconds}")
    frames = 1 + round(seconds / KEYFRAME_SECONDS)
    digest = hashlib.sha256(f"{town.seed}/traffic/{seed}".encode()).hexdigest()
    sumo_seed = int(digest[:7], 16)
    density = random.Random(digest).uniform(*_DENSITY)
    with LiveTraffic(town, sumo_seed, density) as live:
        members = with_trailers(live.traffic.members)
        rows = []
        for frame in range(frames):
            if frame:
                live.advance(_STRIDE)
            rows.append(live.now.boxes(live.traffic.members))
    names = sorted({name for row in rows for name in row})
    n, m = len(names), len(town.standing)
    present = torch.ones(n + m, frames, dtype=torch.bool)
    poses = torch.zeros(n + m, frames, 3)
    place = {name: i for i, name in enumerate(names)}
    present[:n] = False
    for frame, row in enumerate(rows):
        for name, box in row.items():
            present[place[name], frame] = True
            poses[place[name], frame] = torch.tensor([box.x, box.y, box.yaw])
    footprints = torch.tensor([footprint_of(user) for user in town.standing]).reshape(-1, 5)
    poses[n:] = footprints[:, None, :3]
    kinds = [*(members[name].kind for name in names), *(user.kind for user in town.standing)]
    extents = [*(members[name].extent for name in names), *(user.extent for user in town.standing)]
    return TrafficLog(
        torch.tensor([OCC3D_CLASSES.index(kind) for kind in kinds], dtype=torch.uint8),
        torch.arange(n + m) >= n,
        torch.tensor(extents, dtype=torch.float32).reshape(-1, 3),
        present,
        poses,
        *_maps(town),
    )


def _maps(town: Town) -> tuple[Sheet, UInt8[Tensor, "i j"], Float[Tensor, "i j"]]:
    """What the ground is, and how high what stands on it is."""
    fine = town.ground.sheet
    height, width = (round(n * fine.cell / CELL) for n in fine.shape)
    sheet = Sheet(fine.origin, CELL, (height, width))
    centres = (torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), -1) + 0.5) * CELL
    centres = centres.double() + torch.tensor(fine.origin, dtype=torch.float64)
    ground = town.ground.label_at(centres).to(torch.uint8)
    return sheet, ground, _rise(town, sheet)


def _rise(town: Town, sheet: Sheet) -> Float[Tensor, "i j"]:
    """How high what stands in each cell is, from points all over the surfaces that begin below HIGHEST."""
    soup = soup_from_things(town.things)
    corners = soup.vertices[soup.faces.long()]
    lowest = corners.gather(1, corners[..., 2:].argmin(1, keepdim=True).expand(-1, -1, 3))[:, 0]
    begins = lowest[:, 2] - town.ground.height(lowest[:, :2])
    rise = torch.zeros(sheet.shape[0] * sheet.shape[1])
    for faces in soup.faces[begins < HIGHEST].split(_FACES_AT_ONCE):
        points = surface_points(soup.vertices, faces, _SPACING)[0].double()
        above = points[:, 2] - town.ground.height(points[:, :2])
        kept = (above > 0) & (above < HIGHEST)
        row, column = sheet.index(points[kept, :2])
        rise.scatter_reduce_(0, row * sheet.shape[1] + column, above[kept].float(), "amax")
    return rise.reshape(sheet.shape)
