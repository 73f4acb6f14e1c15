"""Opens a data set with the official nuscenes-devkit and says what it found, as JSON in the last line.

Runs in an environment of its own (see test_devkit_parity.py); it imports nothing of worldloom.

    python devkit_check.py DATAROOT [PICTURE.png [LIDAR_PICTURE.png]]
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from nuscenes import NuScenes  # pyright: ignore[reportMissingImports]
from nuscenes.map_expansion import map_api  # pyright: ignore[reportMissingImports]
from nuscenes.utils.data_classes import LidarPointCloud  # pyright: ignore[reportMissingImports]
from nuscenes.utils.geometry_utils import points_in_box  # pyright: ignore[reportMissingImports]
from nuscenes.utils.splits import get_scenes_of_split  # pyright: ignore[reportMissingImports]
from pyquaternion import Quaternion  # pyright: ignore[reportMissingImports]


def check(root: Path) -> dict:
    nusc = NuScenes("v1.0-synth", str(root), verbose=True)
    nusc.list_scenes()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        nusc.list_categories()
        nusc.list_attributes()
    print("\n".join(printed.getvalue().splitlines()[:12]))
    found: dict = {table: len(getattr(nusc, table)) for table in nusc.table_names}
    found["splits"] = {
        name: get_scenes_of_split(name, nusc) for name in json.loads((root / "v1.0-synth/splits.json").read_text())
    }
    found["logs_with_maps"] = sum("map_token" in log for log in nusc.log)
    found |= check_boxes(nusc)
    found |= check_velocities(nusc, root)
    found |= check_lidar(nusc, root)
    found |= check_masks(nusc)
    found["maps"] = [check_map(root, log["location"]) for log in nusc.log]
    return found


def check_boxes(nusc: NuScenes) -> dict:
    """Every sample_data answers; boxes in the camera's frame project where get_sample_data says they are seen."""
    shown, behind, interpolated = {}, 0, 0
    for record in nusc.sample_data:
        _, boxes, K = nusc.get_sample_data(record["token"])
        shown[record["channel"]] = shown.get(record["channel"], 0) + len(boxes)
        if K is not None:
            behind += sum(box.center[2] < 0 and np.abs(box.corners()[2]).min() < 0 for box in boxes)
        interpolated += not record["is_key_frame"]
    return {"boxes_shown": shown, "boxes_behind_camera": behind, "sweeps": interpolated}


def check_velocities(nusc: NuScenes, root: Path) -> dict:
    """box_velocity and yaw against the exact tracks beside the tables."""
    worst, yaw_worst, place_worst, standing_worst, compared, unknown = 0.0, 0.0, 0.0, 0.0, 0, 0
    for scene in nusc.scene:
        path = root / "tracks" / f"{scene['name']}.npz"
        if not path.exists():
            continue
        tracks = np.load(path)
        frame_of = {int(t): i for i, t in enumerate(tracks["timestamps"])}
        row_of = {token: i for i, token in enumerate(tracks["tokens"].tolist())}
        for box in nusc.sample_annotation:
            sample = nusc.get("sample", box["sample_token"])
            if sample["scene_token"] != scene["token"]:
                continue
            velocity = nusc.box_velocity(box["token"])
            if box["instance_token"] not in row_of:  # it stands, and is in no track
                standing_worst = max(standing_worst, float(np.nan_to_num(np.abs(velocity)).max()))
                continue
            row, frame = row_of[box["instance_token"]], frame_of[sample["timestamp"]]
            place_worst = max(place_worst, float(np.abs(tracks["centres"][row, frame] - box["translation"]).max()))
            forward = Quaternion(box["rotation"]).rotation_matrix[:, 0]
            true = Quaternion(tracks["rotations"][row, frame]).rotation_matrix[:, 0]
            yaw_worst = max(yaw_worst, float(np.linalg.norm(forward - true)))
            if np.isnan(velocity).any():
                unknown += 1
                continue
            # Exact velocities are those over the steps that end at each time: they add up to the way.
            times = [
                nusc.get("sample", nusc.get("sample_annotation", t)["sample_token"])["timestamp"]
                for t in (box["prev"], box["next"])
                if t
            ]
            frames = sorted([frame, *(frame_of[t] for t in times)])
            mean = tracks["velocities"][row, frames[0] + 1 : frames[-1] + 1].mean(0)
            worst = max(worst, float(np.abs(velocity - mean)[:2].max()))  # kerbs are climbed in no time
            compared += 1
    return {
        "velocity_worst": worst,
        "velocities_compared": compared,
        "velocities_unknown": unknown,
        "standing_worst": standing_worst,
        "heading_worst": yaw_worst,
        "centre_worst": place_worst,
    }


def check_lidar(nusc: NuScenes, root: Path) -> dict:
    """Points of a class that lie in the boxes of that class, and the other way round."""
    if not hasattr(nusc, "lidarseg"):
        return {}
    names, told, inside, foreign, files = nusc.lidarseg_idx2name_mapping, 0, 0, 0, 0
    for record in nusc.lidarseg[:: max(1, len(nusc.lidarseg) // 20)]:
        data = nusc.get("sample_data", record["sample_data_token"])
        points = LidarPointCloud.from_file(str(root / data["filename"])).points[:3]
        labels = np.fromfile(root / record["filename"], dtype=np.uint8)
        assert len(labels) == points.shape[1], "one label for each point"
        files += 1
        _, boxes, _ = nusc.get_sample_data(data["token"])
        for box in boxes:
            annotation = nusc.get("sample_annotation", box.token)
            told += annotation["num_lidar_pts"]
            within = points_in_box(box, points, wlh_factor=1.02)
            own = np.array([names[i] == box.name for i in labels[within]], dtype=bool)
            ground = np.array([names[i].startswith("flat.") for i in labels[within]], dtype=bool)
            inside += int(own.sum())
            foreign += int((~own & ~ground).sum())
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        nusc.get_sample_lidarseg_stats(nusc.sample[0]["token"], sort_by="count")
    print(printed.getvalue())
    return {"lidar_files": files, "points_told": told, "points_inside": inside, "points_of_others_inside": foreign}


def check_masks(nusc: NuScenes) -> dict:
    """The ego drives where the mask says one can."""
    on = []
    for scene in nusc.scene:
        mask = nusc.get("map", nusc.get("log", scene["log_token"])["map_token"])["mask"]
        token = scene["first_sample_token"]
        while token:
            sample = nusc.get("sample", token)
            data = nusc.get("sample_data", sample["data"]["LIDAR_TOP"])
            x, y, _ = nusc.get("ego_pose", data["ego_pose_token"])["translation"]
            on.append(bool(mask.is_on_mask(x, y)[0]))
            token = sample["next"]
    return {"ego_on_mask": float(np.mean(on))}


def check_map(root: Path, location: str) -> dict:
    """NuScenesMap reads our expansion once it knows the name."""
    if not (root / "maps/expansion" / f"{location}.json").exists():
        return {"location": location}
    map_api.locations.append(location)
    nusc_map = map_api.NuScenesMap(str(root), location)
    layers = {name: len(getattr(nusc_map, name)) for name in nusc_map.non_geometric_layers}
    lane = nusc_map.lane[0]["token"]
    x, y, _ = nusc_map.discretize_lanes([lane], 1.0)[lane][1]
    return {
        "location": location,
        "layers": layers,
        "closest_lane_is_the_lane": nusc_map.get_closest_lane(x, y) == lane,
        "on_lane": nusc_map.record_on_point(x, y, "lane") == lane,
        "drivable": bool(nusc_map.record_on_point(x, y, "drivable_area")),
        "outgoing": len(nusc_map.get_outgoing_lane_ids(lane)),
    }


def draw(root: Path, picture: str, lidar_picture: str | None) -> None:
    nusc = NuScenes("v1.0-synth", str(root), verbose=False)
    sample = nusc.sample[min(10, len(nusc.sample) - 1)]
    cameras = [
        c
        for c in ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
        if c in sample["data"]
    ]
    if cameras:
        _, axes = plt.subplots(2, 3, figsize=(24, 9))
        for axis, camera in zip(axes.flat[: len(cameras)], cameras, strict=True):
            nusc.render_sample_data(sample["data"][camera], ax=axis, verbose=False)
        plt.tight_layout()
        plt.savefig(picture, dpi=60)
    if lidar_picture:
        nusc.render_sample_data(
            sample["data"]["LIDAR_TOP"],
            nsweeps=1,
            underlay_map=True,
            axes_limit=45,
            show_lidarseg=hasattr(nusc, "lidarseg"),
            verbose=False,
            out_path=lidar_picture,
        )


if __name__ == "__main__":
    root = Path(sys.argv[1])
    result = check(root)
    if len(sys.argv) > 2:
        draw(root, sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
    print(json.dumps(result, default=float))
