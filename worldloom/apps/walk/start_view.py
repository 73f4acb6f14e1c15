"""Where a visit to a scene begins, as its report says."""

import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from worldloom.apps.run_folder import REPORT
from worldloom.apps.walk.passage import Place
from worldloom.errors import InputError
from worldloom.geometry.io.json_file import load_json
from worldloom.geometry.io.views import numbers

_UPRIGHT = math.cos(math.radians(5))


@dataclass(frozen=True)
class StartView:
    """Where a visitor stands at first, and the point that the mouse turns about."""

    eye: Place = (0.0, 0.0, 0.0)
    target: Place = (1.0, 0.0, 0.0)
    up: Place = (0.0, 0.0, 1.0)
    fov: float | None = None  # vertical, radians; that of the viewer if not told

    @property
    def upright(self) -> bool:
        """Whether z is up, nearly."""
        return self.up[2] > _UPRIGHT * math.hypot(*self.up)


def start_view_of(folder: Path) -> StartView | None:
    """The start_view of a result's report.json; None where it has none.

    Raises:
        InputError: it has one that is no view.
    """
    path = folder / REPORT
    told = load_json(path, dict).get("start_view") if path.is_file() else None
    if told is None:
        return None
    where = f"{path}: start_view"
    if not isinstance(told, dict):
        raise InputError(f"{where}: expected an object, got {type(told).__name__}")
    pose = numbers(told.get("world_from_cam"), (4, 4), f"{where}, world_from_cam")
    distance, fov = (numbers(told.get(key), (), f"{where}, {key}").item() for key in ("distance", "fov_vertical"))
    up = numbers(told.get("up"), (3,), f"{where}, up")
    if not (distance > 0 and 0 < fov < math.pi and up.norm() > 0):
        raise InputError(f"{where}: expected a distance, a field of view and up, got {distance}, {fov}, {up.tolist()}")
    eye, target = pose[:3, 3], pose[:3, 3] + distance * pose[:3, 2]
    return StartView(_place(eye), _place(target), _place(up), fov)


def _place(values: Tensor) -> Place:
    x, y, z = values.tolist()
    return x, y, z
