"""A finished scenario as everything that exports need."""

from dataclasses import dataclass
from functools import cached_property

import torch

from worldloom.apps.batch.driving.future_file import load_future
from worldloom.apps.batch.folder import Batch
from worldloom.apps.batch.results import Result
from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES, Occupancy, Trajectory, compose
from worldloom.occupancy.metrics.planning import EgoBox
from worldloom.occupancy.road_surface import RoadSurface, road_surface

_EGO_HEIGHT = 1.6  # metres


@dataclass(frozen=True)
class ExportScene:
    """The present frame and those that were made."""

    name: str  # plain: letters, digits and -
    result: Result
    clip: Occupancy
    users: dict[str, Trajectory]
    ego: Trajectory  # the ego's box

    @cached_property
    def road(self) -> RoadSurface:
        """Where one can drive."""
        return road_surface(self.clip)


def load_scene(batch: Batch, result: Result) -> ExportScene:
    """Read a scenario's first future.

    Raises:
        InputError: the scenario kept no voxels, or its file is damaged.
    """
    if result.spec.keep == "none":
        raise InputError(f"{result.spec.title}: expected a scenario that keeps its future, got keep: none")
    with batch.store.fetched(f"{result.folder}/future.npz") as path:
        clip, users = load_future(path)
    named = {f"{OCC3D_CLASSES[user.label]}-{i}": user for i, user in enumerate(users)}
    return ExportScene(f"scenario-{result.shard[:16]}", result, clip, named, _ego_box(clip))


def _ego_box(clip: Occupancy) -> Trajectory:
    """The labels' frame hangs over the road by as much as the grid reaches below it, so the box begins at its floor."""
    box = EgoBox()
    floor = clip.grid.origin[2] + clip.grid.voxel_size
    ego_from_box = compose(torch.eye(3).double(), torch.tensor([box.ahead, 0.0, floor + _EGO_HEIGHT / 2]).double())
    return Trajectory(
        clip.world_from_ego.double() @ ego_from_box,
        torch.ones(len(clip), dtype=torch.bool),
        OCC3D_CLASSES.index("car"),
        (box.length, box.width, _EGO_HEIGHT),
        clip.dt,
    )
