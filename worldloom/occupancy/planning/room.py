"""Where there is room to drive: how far every place around the ego is from the edge of the road."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from worldloom.geometry.occupancy import DRIVEABLE, GROUND, STANDING
from worldloom.occupancy.static_map import StaticMap

_BAND = (0.3, 2.0)  # metres above the ground in which something is in the way of a car


@dataclass(frozen=True)
class Room:
    """Metres to the nearest known place where one must not drive, negative there; the ego is in the middle."""

    distance: Float[Tensor, "p p"]
    pixel: float  # metres

    def at(self, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n"]:
        """The distance at places of the ego's frame, smooth between pixels; outside that of the border."""
        half = self.distance.shape[0] * self.pixel / 2
        # grid_sample's last axis is (column, row): y is our column.
        where = (xy.reshape(1, 1, -1, 2) / half).flip(-1).to(self.distance.dtype)
        read = torch.nn.functional.grid_sample(
            self.distance[None, None], where, padding_mode="border", align_corners=False
        )
        return read.reshape(xy.shape[:-1])


def room_from_mask(astray: Bool[Tensor, "p p"], pixel: float) -> Room:
    """The room that a mask of forbidden pixels leaves."""
    if not bool(astray.any()):
        return Room(torch.full(astray.shape, astray.shape[0] * pixel), pixel)
    free = ndimage.distance_transform_edt(~astray.numpy(), sampling=pixel)
    within = ndimage.distance_transform_edt(astray.numpy(), sampling=pixel)
    # A pixel's centre is half a pixel from its own edge.
    half = pixel / 2
    distance = torch.where(astray, half - torch.from_numpy(within), torch.from_numpy(free) - half)
    return Room(distance.float(), pixel)


def room_from_map(static: StaticMap) -> Room:
    """The room that a map leaves which lies in the ego's present frame, as that of `StaticMap.of` does.

    Forbidden is ground of other kinds, and what stands at the height of a car; what nobody saw is not.
    """
    grid = static.grid
    layers = torch.arange(grid.shape[2])
    ground = torch.isin(static.labels, torch.tensor(GROUND, dtype=torch.uint8)) & static.known
    road = ((static.labels == DRIVEABLE) & static.known).any(2)
    floor = torch.where(ground, layers, grid.shape[2]).amin(2)
    # Where no ground is seen it is as high as under the ego.
    middle = [round(-origin / grid.voxel_size) for origin in grid.origin[:2]]
    under = floor[middle[0] - 5 : middle[0] + 6, middle[1] - 5 : middle[1] + 6]
    under = under[under < grid.shape[2]]
    usual = int(under.median()) if len(under) else 0
    floor = torch.where(floor < grid.shape[2], floor, usual)[..., None]
    low, high = (round(height / grid.voxel_size) for height in _BAND)
    stands = torch.isin(static.labels, torch.tensor(STANDING, dtype=torch.uint8)) & static.known
    blocked = (stands & (layers > floor + low) & (layers <= floor + high)).any(2)
    astray = (ground.any(2) & ~road) | blocked
    half = min(*middle, grid.shape[0] - middle[0], grid.shape[1] - middle[1])
    window = astray[middle[0] - half : middle[0] + half, middle[1] - half : middle[1] + half]
    return room_from_mask(window, grid.voxel_size)
