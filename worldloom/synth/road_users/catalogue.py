"""Every kind of road user and road-work thing by name and variant, on the ground under the middle of its box."""

from functools import cache

import torch

from worldloom.synth.road_users import (
    buses,
    construction_vehicles,
    heavy_vehicles,
    people,
    two_wheelers,
    vehicles,
    work_zone_things,
)
from worldloom.synth.road_users.coachwork import bounds, by_material
from worldloom.synth.shapes import moved
from worldloom.synth.world import Part, Thing

CAR_VARIANTS = vehicles.car_variants()
NUM_VARIANTS = {
    "car": len(CAR_VARIANTS),
    "bus": len(buses.BUSES),
    "truck": len(heavy_vehicles.TRUCKS) + 1,
    "trailer": len(heavy_vehicles.TRAILERS),
    "motorcycle": len(two_wheelers.MOTOR_BIKES),
    "bicycle": len(two_wheelers.CYCLES),
    "pedestrian": len(people.WALKERS),
    "construction_vehicle": len(construction_vehicles.MACHINES),
    "traffic_cone": work_zone_things.NUM_CONES,
    "barrier": work_zone_things.NUM_BARRIERS,
}
# Stand parked: nobody rides them.
RIDERLESS: dict[str, tuple[int, ...]] = {
    "motorcycle": tuple(i for i, bike in enumerate(two_wheelers.MOTOR_BIKES) if bike.rider is None),
    "bicycle": tuple(i for i, cycle in enumerate(two_wheelers.CYCLES) if cycle.rider is None),
}
TRACTORS = heavy_vehicles.TRACTORS  # variants of "truck" that draw a "trailer"
PHASES = 8  # poses in a cycle; a phase is rounded to the nearest
STANDING = -1.0  # a phase below zero: legs do not move


def make_road_user(kind: str, variant: int, phase: float | int = 0.0) -> Thing:
    """A road user about its own origin: on the ground z = 0 under the middle of its box, x forward.

    Things of equal arguments are one object: place them with `placed`, never change their tensors.

    A "trailer" is a semi-trailer alone, as nuScenes annotates it; the tractor that draws it is a "truck" of TRACTORS.
    They meet where the kingpin, `heavy_vehicles.KINGPIN` behind the front of the trailer's box, stands in the fifth
    wheel, `heavy_vehicles.FIFTH_WHEEL` ahead of the rear of the tractor's box, and turn against each other there.

    Args:
        kind: a key of NUM_VARIANTS.
        variant: 0 .. NUM_VARIANTS[kind] - 1.
        phase: of the walking or pedalling cycle, in [0, 1), taken modulo 1 and rounded to 1 / PHASES; below zero
            (STANDING) a pedestrian stands still. Nothing else depends on it.
    Raises:
        ValueError: no such kind or variant.
    """
    _check(kind, variant)
    return _cached(kind, variant, _step(kind, variant, phase))


def road_user_extent(kind: str, variant: int) -> tuple[float, float, float]:
    """Length, width and height of the box around it, metres; of a walker or cyclist, around the whole cycle."""
    _check(kind, variant)
    return _box(kind, variant)[1]


def metres_per_cycle(kind: str, variant: int) -> float:
    """How far a pedestrian or cyclist goes while the phase goes from 0 to 1; feet then do not slide."""
    _check(kind, variant)
    if kind == "pedestrian":
        return people.WALKERS[variant].stride
    return two_wheelers.METRES_PER_TURN


def nuscenes_category(kind: str, variant: int) -> str:
    """Its name among nuScenes' categories, such as "vehicle.bus.bendy" or "human.pedestrian.child"."""
    _check(kind, variant)
    match kind:
        case "bus":
            return "vehicle.bus.bendy" if buses.BUSES[variant].articulated else "vehicle.bus.rigid"
        case "pedestrian":
            return f"human.pedestrian.{people.WALKERS[variant].what}"
        case "construction_vehicle":
            return "vehicle.construction"
        case "traffic_cone":
            return "movable_object.trafficcone"
        case "barrier":
            return "movable_object.barrier"
        case _:
            return f"vehicle.{kind}"


def _check(kind: str, variant: int) -> None:
    if kind not in NUM_VARIANTS:
        raise ValueError(f"kind must be one of {', '.join(NUM_VARIANTS)}, got {kind!r}")
    if not 0 <= variant < NUM_VARIANTS[kind]:
        raise ValueError(f"variant of {kind} must be 0..{NUM_VARIANTS[kind] - 1}, got {variant}")


def _step(kind: str, variant: int, phase: float | int) -> int | None:
    if kind == "bicycle" and variant not in RIDERLESS[kind]:
        return round(max(phase, 0) * PHASES) % PHASES
    if kind == "pedestrian" and phase >= 0:
        return round(phase * PHASES) % PHASES
    return None


@cache
def _cached(kind: str, variant: int, step: int | None) -> Thing:
    parts = _parts(kind, variant, step)
    (x, y), _ = _box(kind, variant)
    ground = float(bounds(parts)[0][2])
    return Thing(kind, kind, tuple(moved(part, torch.eye(3), (-x, -y, -ground)) for part in parts))


@cache
def _box(kind: str, variant: int) -> tuple[tuple[float, float], tuple[float, float, float]]:
    """Middle (x, y) of the box over all phases in the maker's frame, and its size."""
    phases = [STANDING, *(step / PHASES for step in range(PHASES))]
    steps = dict.fromkeys(_step(kind, variant, phase) for phase in phases)
    boxes = [bounds(_parts(kind, variant, step)) for step in steps]
    low, high = torch.stack([b[0] for b in boxes]), torch.stack([b[1] for b in boxes])
    height = float((high[:, 2] - low[:, 2]).max())
    a, b = low.amin(0), high.amax(0)
    x, y = (0.5 * (a + b))[:2].tolist()
    length, width = (b - a)[:2].tolist()
    return (x, y), (length, width, height)


@cache
def _parts(kind: str, variant: int, step: int | None) -> tuple[Part, ...]:
    phase = None if step is None else step / PHASES
    match kind:
        case "car":
            fitted, body, colour = CAR_VARIANTS[variant]
            parts = vehicles.car(body, colour, fitted)
        case "bus":
            parts = buses.bus(buses.BUSES[variant])
        case "truck":
            trucks = heavy_vehicles.TRUCKS
            if variant < len(trucks):
                parts = heavy_vehicles.truck(trucks[variant])
            else:
                parts = vehicles.car(vehicles.PICKUP, vehicles.COLOURS[5])
        case "trailer":
            parts = heavy_vehicles.trailer(heavy_vehicles.TRAILERS[variant])
        case "motorcycle":
            parts = two_wheelers.motorcycle(two_wheelers.MOTOR_BIKES[variant])
        case "bicycle":
            parts = two_wheelers.bicycle(two_wheelers.CYCLES[variant], phase or 0.0)
        case "pedestrian":
            parts = people.walker(people.WALKERS[variant], phase)
        case "construction_vehicle":
            parts = construction_vehicles.machine(construction_vehicles.MACHINES[variant])
        case "traffic_cone":
            parts = work_zone_things.traffic_cone(variant)
        case _:
            parts = work_zone_things.barrier(variant)
    return by_material(parts)
