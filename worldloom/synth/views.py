"""Cameras of every kind as rays: what is seen through a point of the picture."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry import Camera, compose, direction_from_pixel, rotz
from worldloom.geometry.fisheye import Fisheye


@dataclass(frozen=True)
class PanoramaView:
    """An equirectangular camera of `height` x 2 `height` pixels; its centre column looks along `yaw`."""

    position: Float[Tensor, "3"]  # world, metres
    height: int
    yaw: float = 0.0  # radians from world +x, positive to the left
    tilt: tuple[float, float] = (0.0, 0.0)  # radians about its own x (left side up), then its y (front down)

    def __post_init__(self) -> None:
        if self.position.shape != (3,) or self.height < 1:
            raise InputError(
                f"expected a position (3,) and a height of at least 1, got {tuple(self.position.shape)}, {self.height}"
            )

    @property
    def size(self) -> tuple[int, int]:
        return self.height, 2 * self.height

    @property
    def world_from_pano(self) -> Float[Tensor, "4 4"]:
        turn = rotz(torch.tensor(self.yaw, dtype=self.position.dtype))
        if self.tilt == (0.0, 0.0):
            return compose(turn, self.position)
        (a, b), one = (
            (torch.tensor(angle, dtype=self.position.dtype) for angle in self.tilt),
            torch.ones_like(turn[2, 2]),
        )
        zero = torch.zeros_like(one)
        about_x = torch.stack([one, zero, zero, zero, a.cos(), -a.sin(), zero, a.sin(), a.cos()]).view(3, 3)
        about_y = torch.stack([b.cos(), zero, b.sin(), zero, one, zero, -b.sin(), zero, b.cos()]).view(3, 3)
        return compose(turn @ about_y @ about_x, self.position)


View = PanoramaView | Camera | Fisheye


def pixel_centres(view: View) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """(u, v) of every pixel's centre, row by row, float64."""
    height, width = view.size
    v, u = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) + 0.5, torch.arange(width, dtype=torch.float64) + 0.5, indexing="ij"
    )
    return u.flatten(), v.flatten()


def rays_through(
    view: View, u: Float[Tensor, " n"], v: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """World origins and unit directions through points of the picture, float64.

    Directions are zero where a fisheye lens shows nothing.

    Raises:
        InputError: for a batch of cameras; ask for one at a time.
    """
    if isinstance(view, PanoramaView):
        local, world_from_view = direction_from_pixel(u.double(), v.double(), view.height), view.world_from_pano
    else:
        if view.batch:
            raise InputError(f"expected a single camera, got a batch of {tuple(view.batch)}")
        world_from_view = view.world_from_cam
        if isinstance(view, Camera):
            K = view.K.double()
            y = (v.double() - K[1, 2]) / K[1, 1]
            x = (u.double() - K[0, 2] - K[0, 1] * y) / K[0, 0]
            local = torch.nn.functional.normalize(torch.stack([x, y, torch.ones_like(x)], -1), dim=-1)
        else:
            local = view.directions(torch.stack([u, v], -1).double())
    world_from_view = world_from_view.double()
    directions = local @ world_from_view[:3, :3].T
    return world_from_view[:3, 3].expand_as(directions), directions


def forward(view: Camera | Fisheye) -> Float[Tensor, "3"]:
    """The optical axis in the world, float64."""
    return view.world_from_cam[:3, 2].double()
