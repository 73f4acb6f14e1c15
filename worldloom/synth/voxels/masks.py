"""Which voxels of a frame its sensors know."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.geometry import GROUND, VoxelGrid, apply, invert
from worldloom.ops.voxel_rays import look_from_each
from worldloom.synth.sensors.rig import MountedCamera, Rig
from worldloom.synth.voxels.voxel_priority import RANK_OF_LABEL


@dataclass(frozen=True)
class MaskRules:
    """How far free space becomes known; measured on a genuine Occ3D-nuScenes label.

    There, free voxels are known almost only between the height of the LiDAR and things to the side: none lies under a
    beam that ends on the ground, nearly none far away, and every one of them is seen by a camera.
    """

    reach: float = 15.0  # metres; longer beams leave no free voxels behind
    elevation_deg: tuple[float, float] = (-6.0, 10.67)  # steeper beams neither
    eye_spacing: float = 8.0  # metres between the places on the drive from which beams are followed
    drive: float = 44.0  # metres of the drive, before and behind, that count
    # Occupied voxels that may stand between a camera and one it sees: leaves, glass, railings. Measured likewise.
    pierce: int = 4


_HIGHEST_FLAT = int(RANK_OF_LABEL[list(GROUND)].max())  # ranks of the ground's classes are 1 to this


class SensorMasks:
    """Sees frames of one grid; `ground_z` is the height of the ground under the ego in that grid."""

    def __init__(
        self,
        grid: VoxelGrid,
        ground_z: float,
        rig: Rig,
        rules: MaskRules = MaskRules(),
    ) -> None:
        self.grid, self.rules = grid, rules
        lift = torch.tensor([0.0, 0.0, ground_z])
        centres = grid.centres().reshape(-1, 3)
        self._in_view = [_in_view(centres - lift, camera) for camera in rig.cameras.values()]
        self._cameras = self._voxels(
            torch.stack([camera.ego_from_cam[:3, 3] + lift for camera in rig.cameras.values()])
        )

    def of(
        self, ranks: UInt8[Tensor, "x y z"], hit: Bool[Tensor, "x y z"], eyes: Float[Tensor, "k 3"]
    ) -> tuple[Bool[Tensor, "x y z"], Bool[Tensor, "x y z"]]:
        """What LiDAR and cameras know: voxels in which a beam ended, and the free ones that beams crossed in view.

        Args:
            ranks: the frame; rank 0 is free.
            hit: where beams ended.
            eyes: places of the LiDAR along the drive, in the frame that the grid is given in.
        Returns:
            the LiDAR's mask and the cameras', which is part of it.
        """
        occupied = ranks > 0
        met = occupied & hit
        crossed = self._crossed(occupied, met & (ranks > _HIGHEST_FLAT), eyes)
        camera = self.camera(occupied, met | crossed)
        return met | camera, camera

    def camera(self, occupied: Bool[Tensor, "x y z"], known: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
        """Those of the known voxels that some camera sees: in its view, and little enough occupied in between."""
        cells = known.flatten().nonzero()[:, 0]
        result = torch.zeros(known.numel(), dtype=torch.bool)
        in_view = [cells[in_view[cells]] for in_view in self._in_view]
        looks = look_from_each(occupied, self._cameras, in_view, pierce=self.rules.pierce)
        for at, seen in zip(in_view, looks, strict=True):
            result[at[seen]] = True
        return result.view_as(known)

    def _crossed(
        self, occupied: Bool[Tensor, "x y z"], targets: Bool[Tensor, "x y z"], eyes: Float[Tensor, "k 3"]
    ) -> Bool[Tensor, "x y z"]:
        """Free voxels between the eyes and those targets that they see within the rules' reach."""
        cells = targets.flatten().nonzero()[:, 0]
        x, y, z = self._centre(cells)
        reach2 = (self.rules.reach / self.grid.voxel_size) ** 2
        low, high = (math.sin(math.radians(angle)) for angle in self.rules.elevation_deg)
        places, in_reach = self._voxels(eyes), []
        for eye_x, eye_y, eye_z in places.float().tolist():
            across2 = (x - eye_x) ** 2 + (y - eye_y) ** 2
            near = (across2 < reach2).nonzero()[:, 0]
            up = z[near] - eye_z
            distance2 = across2[near] + up**2
            rise = up / distance2.sqrt()
            in_reach.append(cells[near[(distance2 < reach2) & (rise > low) & (rise < high)]])
        crossed = torch.zeros_like(occupied)
        look_from_each(occupied, places, in_reach, crossed)
        return crossed

    def _centre(self, cells: Tensor) -> list[Float[Tensor, " n"]]:
        """Centres of voxels given by their flat index, in voxels, axis by axis."""
        _, y, z = self.grid.shape
        return [at.float() + 0.5 for at in (cells // (y * z), cells // z % y, cells % z)]

    def _voxels(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        return (points.double() - torch.tensor(self.grid.origin, dtype=torch.float64)) / self.grid.voxel_size


def _in_view(points: Float[Tensor, "n 3"], camera: MountedCamera) -> Bool[Tensor, " n"]:
    """Whether points of the ego frame fall into a camera's picture."""
    x, y, z = (apply(invert(camera.ego_from_cam), points) @ camera.K.T).unbind(-1)
    height, width = camera.size
    return (z > 0.1) & (x >= 0) & (x < width * z) & (y >= 0) & (y < height * z)
