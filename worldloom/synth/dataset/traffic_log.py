"""Everybody's boxes in a town for minutes, and a map of what stands where."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.synth.sheet import Sheet

LOG = "traffic.npz"  # beside the clips of a town
CELL = 0.4  # metres of the map's cells
HIGHEST = 4.0  # metres; what is higher up stands in nobody's way
_KEYS = {
    "labels": "uint8 a", "standing": "bool a", "extents": "float32 a 3", "present": "bool a t",
    "poses": "float32 a t 3", "origin": "float64 2", "ground": "uint8 i j", "rise": "float16 i j",
}  # fmt: skip


@dataclass(frozen=True)
class TrafficLog:
    """Everybody in a town at 2 Hz, and the town from above, in its own frame."""

    labels: UInt8[Tensor, " a"]  # Occ3D classes
    standing: Bool[Tensor, " a"]  # for good
    extents: Float[Tensor, "a 3"]  # length, width, height in metres
    present: Bool[Tensor, "a t"]
    poses: Float[Tensor, "a t 3"]  # x, y, yaw of the box's middle; zeros where absent
    sheet: Sheet  # of the two maps
    ground: UInt8[Tensor, "i j"]  # Occ3D class of the ground
    rise: Float[Tensor, "i j"]  # metres by which what stands there, up to HIGHEST, is above the ground; 0 for nothing

    def save(self, path: Path) -> None:
        with atomic_path(path) as temporary:
            arrays = {
                name: getattr(self, name).numpy() for name in ("labels", "standing", "extents", "present", "poses")
            }
            origin = torch.tensor(self.sheet.origin, dtype=torch.float64).numpy()
            maps = {"origin": origin, "ground": self.ground.numpy(), "rise": self.rise.half().numpy()}
            save_npz(temporary, {**arrays, **maps})

    @staticmethod
    def load(path: Path) -> "TrafficLog":
        """Read what `save` wrote.

        Raises:
            InputError: another file, or a damaged one.
        """
        arrays = load_npz(path, _KEYS)
        x, y = arrays["origin"].tolist()
        height, width = arrays["ground"].shape
        return TrafficLog(
            torch.from_numpy(arrays["labels"]),
            torch.from_numpy(arrays["standing"]),
            torch.from_numpy(arrays["extents"]),
            torch.from_numpy(arrays["present"]),
            torch.from_numpy(arrays["poses"]),
            Sheet((x, y), CELL, (height, width)),
            torch.from_numpy(arrays["ground"]),
            torch.from_numpy(arrays["rise"]).float(),
        )
