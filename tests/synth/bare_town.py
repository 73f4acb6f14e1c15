"""A flat town of a few things, made without SUMO, and a straight drive through it."""

from collections.abc import Sequence

import torch

from worldloom.geometry import OCC3D_CLASSES, EgoPath
from worldloom.synth.relief import Relief
from worldloom.synth.shapes import box
from worldloom.synth.skies.sky import Sky
from worldloom.synth.towns.ground import Ground, Sheet
from worldloom.synth.towns.town import StandingUser, Town
from worldloom.synth.traffic.drive import Drive, RoadUser
from worldloom.synth.world import Material, Thing, World

GREY = Material("grey", (0.5, 0.5, 0.5))
ROAD, SIDEWALK = (OCC3D_CLASSES.index(name) for name in ("driveable_surface", "sidewalk"))


def bare_town(things: Sequence[Thing] = (), standing: Sequence[StandingUser] = ()) -> Town:
    """Road everywhere, but sidewalk (level with it) where y > 6 m."""
    sheet = Sheet((-80.0, -80.0), 0.2, (800, 800))
    labels = torch.full(sheet.shape, ROAD, dtype=torch.uint8)
    labels[:, 430:] = SIDEWALK
    flat = Relief(torch.zeros(1), torch.zeros(1, 2), torch.zeros(1))
    fine = Sheet((-80.0, -80.0), 160.0, (1, 1))
    nothing = torch.zeros(1, 1, dtype=torch.uint8)
    ground = Ground(sheet, fine, labels, torch.zeros(sheet.shape, dtype=torch.bool), nothing, nothing, flat)
    floor = Thing(
        "ground",
        "driveable_surface",
        (box((160, 160, 1.0), (0, 0, -0.5), GREY),),
        semantic_at=lambda points: ground.label_at(points[:, :2]),
    )
    # What voxels need of a town; its roads and shapes stay out.
    town = object.__new__(Town)
    world = World("town", 0, (floor, *things), Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3), exposure=1.3)
    for name, value in {
        "seed": 0,
        "ground": ground,
        "things": tuple(things),
        "parked": tuple(standing),
        "work_zones": (),
        "world": lambda: world,
    }.items():
        object.__setattr__(town, name, value)
    return town


def straight_drive(users: tuple[RoadUser, ...] = (), frames: int = 3, speed: float = 4.0, dt: float = 0.5) -> Drive:
    """Along +x from the origin."""
    poses = torch.eye(4).repeat(frames, 1, 1)
    poses[:, 0, 3] = torch.arange(frames) * speed * dt
    return Drive(5, 0.0, dt, poses, torch.full((frames,), speed), users, EgoPath(poses, dt))


def block(size: tuple[float, float, float], centre: tuple[float, float, float], semantic: str = "manmade") -> Thing:
    """A box as a thing."""
    return Thing(semantic, semantic, (box(size, centre, GREY),))
