"""OpenSCENARIO XML 1.2: everybody follows the way that is known of them, point by point in time.

A vehicle's place is that of its rear axle on the ground, as the standard (ASAM OpenSCENARIO XML, "Coordinate systems")
has it; the box's middle lies ahead of it. Headings are counter-clockwise from x, positions metres in the world of the
road network.
"""

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.ego_path import Trajectory
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.occupancy import OCC3D_CLASSES
from worldloom.geometry.rigid import yaw_from_rotmat

DATE = "2026-01-01T00:00:00"  # a fixed one: the same scenario gives the same bytes
_CATEGORIES = {  # of vehicles, as the standard names them; the others are pedestrians or objects
    "bicycle": "bicycle",
    "bus": "bus",
    "car": "car",
    "construction_vehicle": "truck",
    "motorcycle": "motorbike",
    "trailer": "trailer",
    "truck": "truck",
}
_REAR_AXLE = 0.29  # of a vehicle's length, from its middle back
EGO = "Ego"


def save_openscenario(
    path: str | Path,
    ego: Trajectory,
    users: Mapping[str, Trajectory],
    road_file: str | None = None,
    description: str = "",
) -> None:
    """Write an `.xosc`.

    Args:
        ego, users: boxes' middles as poses, over the same frames; who is never there is left out, and who is there for
            one frame alone stands.
        road_file: the OpenDRIVE file, relative to this one; a scenario without roads is one all the same.
    Raises:
        InputError: another suffix, or trajectories of different frames.
    """
    path = Path(path)
    if path.suffix.lower() != ".xosc":
        raise InputError(f"{path}: expected a name ending in .xosc")
    frames = len(ego.present)
    for name, user in users.items():
        if len(user.present) != frames or name == EGO:
            raise InputError(
                f"{path}: expected {frames} frames of others than the ego, got {len(user.present)} of {name!r}"
            )
    everybody = {EGO: ego, **{name: user for name, user in users.items() if bool(user.present.any())}}
    root = ET.Element("OpenSCENARIO")
    ET.SubElement(
        root, "FileHeader", revMajor="1", revMinor="2", date=DATE, description=description or path.stem,
        author="worldloom",
    )  # fmt: skip
    ET.SubElement(root, "CatalogLocations")
    network = ET.SubElement(root, "RoadNetwork")
    if road_file is not None:
        ET.SubElement(network, "LogicFile", filepath=road_file)
    entities = ET.SubElement(root, "Entities")
    for name, user in everybody.items():
        _entity(entities, name, user)
    board = ET.SubElement(root, "Storyboard")
    actions = ET.SubElement(ET.SubElement(board, "Init"), "Actions")
    for name, user in everybody.items():
        _start(actions, name, user)
    story = ET.SubElement(board, "Story", name="replay")
    act = ET.SubElement(story, "Act", name="replay")
    for name, user in everybody.items():
        if int(user.present.sum()) > 1:
            _replay(act, name, user)
    _at_time(ET.SubElement(act, "StartTrigger"), 0.0)
    _at_time(ET.SubElement(board, "StopTrigger"), (frames - 1) * ego.dt)
    ET.indent(root, " ")
    with atomic_path(path) as temporary:
        ET.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _entity(parent: ET.Element, name: str, user: Trajectory) -> None:
    kind = OCC3D_CLASSES[user.label]
    length, width, height = user.extent
    thing = ET.SubElement(parent, "ScenarioObject", name=name)
    if kind == "pedestrian":
        body = ET.SubElement(thing, "Pedestrian", name=kind, mass="80", pedestrianCategory="pedestrian")
    elif kind in _CATEGORIES:
        body = ET.SubElement(thing, "Vehicle", name=kind, vehicleCategory=_CATEGORIES[kind])
    else:
        body = ET.SubElement(thing, "MiscObject", name=kind, mass="10", miscObjectCategory="obstacle")
    box = ET.SubElement(body, "BoundingBox")
    ET.SubElement(box, "Center", x=_text(_ahead(user)), y="0", z=_text(height / 2))
    ET.SubElement(box, "Dimensions", width=_text(width), length=_text(length), height=_text(height))
    if kind in _CATEGORIES:
        ET.SubElement(body, "Performance", maxSpeed="70", maxAcceleration="10", maxDeceleration="10")
        axles = ET.SubElement(body, "Axles")
        wheel = {"wheelDiameter": "0.6", "trackWidth": _text(0.85 * width), "positionZ": "0.3"}
        front = _text(2 * _REAR_AXLE * length)
        ET.SubElement(axles, "FrontAxle", maxSteering="0.6", positionX=front, **wheel)
        ET.SubElement(axles, "RearAxle", maxSteering="0", positionX="0", **wheel)
    ET.SubElement(body, "Properties")


def _start(parent: ET.Element, name: str, user: Trajectory) -> None:
    private = ET.SubElement(parent, "Private", entityRef=name)
    first = int(user.present.int().argmax())
    teleport = ET.SubElement(ET.SubElement(private, "PrivateAction"), "TeleportAction")
    _position(teleport, user, first)
    longitudinal = ET.SubElement(ET.SubElement(private, "PrivateAction"), "LongitudinalAction")
    speed = ET.SubElement(longitudinal, "SpeedAction")
    ET.SubElement(speed, "SpeedActionDynamics", dynamicsShape="step", value="0", dynamicsDimension="time")
    target = ET.SubElement(speed, "SpeedActionTarget")
    ET.SubElement(target, "AbsoluteTargetSpeed", value=_text(_first_speed(user, first)))


def _replay(parent: ET.Element, name: str, user: Trajectory) -> None:
    group = ET.SubElement(parent, "ManeuverGroup", name=f"of {name}", maximumExecutionCount="1")
    ET.SubElement(ET.SubElement(group, "Actors", selectTriggeringEntities="false"), "EntityRef", entityRef=name)
    maneuver = ET.SubElement(group, "Maneuver", name=f"of {name}")
    event = ET.SubElement(maneuver, "Event", name=f"of {name}", priority="override", maximumExecutionCount="1")
    action = ET.SubElement(event, "Action", name=f"of {name}")
    routing = ET.SubElement(ET.SubElement(action, "PrivateAction"), "RoutingAction")
    follow = ET.SubElement(routing, "FollowTrajectoryAction")
    reference = ET.SubElement(follow, "TrajectoryRef")
    trajectory = ET.SubElement(reference, "Trajectory", name=f"of {name}", closed="false")
    line = ET.SubElement(ET.SubElement(trajectory, "Shape"), "Polyline")
    for frame in user.present.nonzero().flatten().tolist():
        vertex = ET.SubElement(line, "Vertex", time=_text(frame * user.dt))
        _position(vertex, user, frame)
    time = ET.SubElement(follow, "TimeReference")
    ET.SubElement(time, "Timing", domainAbsoluteRelative="absolute", scale="1", offset="0")
    ET.SubElement(follow, "TrajectoryFollowingMode", followingMode="position")
    _at_time(ET.SubElement(event, "StartTrigger"), 0.0)


def _at_time(trigger: ET.Element, seconds: float) -> None:
    group = ET.SubElement(trigger, "ConditionGroup")
    condition = ET.SubElement(group, "Condition", name="time", delay="0", conditionEdge="none")
    by_value = ET.SubElement(condition, "ByValueCondition")
    ET.SubElement(by_value, "SimulationTimeCondition", value=_text(seconds), rule="greaterOrEqual")


def _position(parent: ET.Element, user: Trajectory, frame: int) -> None:
    pose: Float[Tensor, "4 4"] = user.world_from_actor[frame].double()
    yaw = float(yaw_from_rotmat(pose[:3, :3]))
    x, y, z = pose[:3, 3].tolist()
    back = _ahead(user)
    where = {
        "x": _text(x - back * math.cos(yaw)),
        "y": _text(y - back * math.sin(yaw)),
        "z": _text(z - user.extent[2] / 2),
        "h": _text(yaw),
        "p": "0",
        "r": "0",
    }
    ET.SubElement(ET.SubElement(parent, "Position"), "WorldPosition", **where)


def _ahead(user: Trajectory) -> float:
    """Metres from the reference point forward to the box's middle."""
    return _REAR_AXLE * user.extent[0] if OCC3D_CLASSES[user.label] in _CATEGORIES else 0.0


def _first_speed(user: Trajectory, first: int) -> float:
    if first + 1 >= len(user.present) or not bool(user.present[first + 1]):
        return 0.0
    step = (user.world_from_actor[first + 1] - user.world_from_actor[first])[:2, 3].double()
    return float(step.norm()) / user.dt


def _text(number: float) -> str:
    return f"{number:.6g}" if abs(number) < 1e4 else f"{number:.4f}"
