"""ScenarioNet: one pickle of plain data for each scenario, with a summary and a mapping, as MetaDrive reads them.

The keys are those of MetaDrive's `ScenarioDescription` (github.com/metadriverse/metadrive, Apache-2.0): NumPy arrays
and builtin containers only, so that restricted unpicklers take them; arrays over time all have the scenario's length,
and are zero where an object is not valid.
"""

import itertools
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from worldloom.errors import InputError
from worldloom.geometry.ego_path import Trajectory
from worldloom.geometry.io.atomic import atomic_path, safe_join
from worldloom.geometry.occupancy import OCC3D_CLASSES
from worldloom.geometry.rigid import yaw_from_rotmat

VERSION = "v1.0"
SUMMARY, MAPPING = "dataset_summary.pkl", "dataset_mapping.pkl"
EGO = "ego"
_TYPES = {"bicycle": "CYCLIST", "motorcycle": "CYCLIST", "pedestrian": "PEDESTRIAN"}
_VEHICLES = ("bus", "car", "construction_vehicle", "trailer", "truck")
_MOVED = 1.0  # metres; who goes farther counts as moving


@dataclass(frozen=True)
class Scenario:
    """What happens, and where the road is. All trajectories have the same frames, and boxes' middles as poses."""

    name: str  # letters, digits, - and _
    ego: Trajectory
    users: Mapping[str, Trajectory]
    road_edges: Sequence[Float[np.ndarray, "_ 2"]] = ()  # closed lines
    notes: Mapping[str, Any] = field(default_factory=dict)  # plain data for `metadata`


def save_scenarionet(folder: str | Path, scenarios: Sequence[Scenario], dataset: str = "worldloom") -> list[Path]:
    """Write a database: `sd_<dataset>_<version>_<name>.pkl` each, the summary and the mapping last.

    The ego is the track "ego". The road's edges are lines; its one lane is the way that the ego takes, for there is no
    other that is known. The same scenarios give the same bytes.

    Raises:
        InputError: no scenario, a name twice, or frames that do not fit together.
    """
    folder = Path(folder)
    names = [scenario.name for scenario in scenarios]
    if not names or len(set(names)) != len(names):
        raise InputError(f"expected scenarios, each with its own name, got {len(names)} with {len(set(names))}")
    summary: dict[str, Any] = {}
    paths = []
    for scenario in scenarios:
        content = description(scenario, dataset)
        name = f"sd_{dataset}_{VERSION}_{scenario.name}.pkl"
        paths.append(safe_join(folder, name))
        _save(paths[-1], content)
        summary[name] = content["metadata"]
    _save(folder / SUMMARY, summary)
    _save(folder / MAPPING, dict.fromkeys(summary, ""))
    return paths


def description(scenario: Scenario, dataset: str = "worldloom") -> dict[str, Any]:
    """The scenario as plain data.

    Raises:
        InputError: trajectories of other frames than the ego's, or a user called as the ego.
    """
    length = len(scenario.ego.present)
    for name, user in scenario.users.items():
        if len(user.present) != length or name == EGO:
            raise InputError(f"{scenario.name}: expected {length} frames of {name!r}, which is not the ego, got "
                             f"{len(user.present)}")  # fmt: skip
    tracks = {EGO: _track(EGO, scenario.ego, "VEHICLE")}
    for name, user in scenario.users.items():
        if bool(user.present.any()):
            tracks[name] = _track(name, user, _type(user.label))
    way = tracks[EGO]["state"]["position"][:, :2].astype(np.float32)
    features: dict[str, Any] = {"lane-ego": {"type": "LANE_SURFACE_STREET", "polyline": _drawn_out(way)}}
    for i, edge in enumerate(scenario.road_edges):
        line = np.concatenate([edge, edge[:1]]).astype(np.float32)
        features[f"edge-{i}"] = {"type": "ROAD_EDGE_BOUNDARY", "polyline": line}
    objects = {name: _object_summary(name, track) for name, track in tracks.items()}
    return {
        "id": scenario.name,
        "version": VERSION,
        "length": length,
        "tracks": tracks,
        "dynamic_map_states": {},
        "map_features": features,
        "metadata": {
            "ts": (scenario.ego.dt * np.arange(length)).astype(np.float32),
            "metadrive_processed": False,
            "coordinate": "metadrive",  # right-handed, metres, headings counter-clockwise
            "sdc_id": EGO,
            "dataset": dataset,
            "scenario_id": scenario.name,
            "sample_rate": scenario.ego.dt,
            "object_summary": objects,
            "number_summary": _number_summary(objects, len(features)),
            "notes": dict(scenario.notes),
        },
    }


def _track(name: str, user: Trajectory, kind: str) -> dict[str, Any]:
    valid = user.present.numpy().astype(bool)
    poses = user.world_from_actor.double()
    position = poses[:, :3, 3].numpy()
    velocity = np.zeros((len(valid), 2))
    both = valid[1:] & valid[:-1]
    velocity[1:][both] = (np.diff(position[:, :2], axis=0) / user.dt)[both]
    # The first velocity is that of the first step.
    starts = valid & ~np.concatenate([[False], valid[:-1]])
    for i in np.flatnonzero(starts).tolist():
        if i + 1 < len(valid) and valid[i + 1]:
            velocity[i] = velocity[i + 1]
    sides = zip(("length", "width", "height"), user.extent, strict=True)
    state = {
        "position": position,
        "heading": yaw_from_rotmat(poses[:, :3, :3]).numpy(),
        "velocity": velocity,
        **{key: np.full(len(valid), extent) for key, extent in sides},
    }
    cleared = {}
    for key, values in state.items():
        array = values.astype(np.float32)
        array[~valid] = 0
        cleared[key] = array
    return {
        "type": kind,
        "state": {**cleared, "valid": valid},
        "metadata": {"type": kind, "track_length": len(valid), "object_id": name, "class": OCC3D_CLASSES[user.label]},
    }


def _type(label: int) -> str:
    name = OCC3D_CLASSES[label]
    return _TYPES.get(name, "VEHICLE" if name in _VEHICLES else "OTHER")


def _drawn_out(way: Float[np.ndarray, "t 2"]) -> Float[np.ndarray, "n 2"]:
    """Points at most a metre apart; a lane of an ego that stands still gets a length of one."""
    points = [way[:1]]
    for start, end in itertools.pairwise(way):
        count = max(1, int(np.ceil(np.linalg.norm(end - start))))
        points.append(start + (end - start) * (np.arange(1, count + 1) / count)[:, None])
    line = np.concatenate(points).astype(np.float32)
    return line if np.linalg.norm(line[-1] - line[0]) > 0.1 else np.stack([line[0], line[0] + np.float32([1, 0])])


def _object_summary(name: str, track: dict[str, Any]) -> dict[str, Any]:
    valid, position = track["state"]["valid"], track["state"]["position"]
    seen = position[valid][:, :2].astype(np.float64)
    first = int(valid.argmax())
    gaps = np.flatnonzero(~valid[first:])
    return {
        "type": track["type"],
        "object_id": name,
        "track_length": len(valid),
        "moving_distance": float(np.linalg.norm(np.diff(seen, axis=0), axis=1).sum()),
        "valid_length": int(valid.sum()),
        "continuous_valid_length": int(gaps[0]) if len(gaps) else len(valid) - first,
    }


def _number_summary(objects: dict[str, dict[str, Any]], num_features: int) -> dict[str, Any]:
    kinds = sorted({one["type"] for one in objects.values()})
    moving = [one for one in objects.values() if one["moving_distance"] > _MOVED]
    return {
        "num_objects": len(objects),
        "object_types": kinds,
        "num_objects_each_type": {k: sum(one["type"] == k for one in objects.values()) for k in kinds},
        "num_moving_objects": len(moving),
        "num_moving_objects_each_type": {k: sum(one["type"] == k for one in moving) for k in kinds},
        "num_traffic_lights": 0,
        "num_traffic_light_types": [],
        "num_traffic_lights_each_step": {},
        "num_map_features": num_features,
        "map_height_diff": 0.0,
    }


def _save(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        pickle.dump(content, file, protocol=4)
