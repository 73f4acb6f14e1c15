"""Two views of one still world: where a point of the first may lie in the second, and how far off a match is."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.camera import Camera
from worldloom.geometry.rigid import invert


def fundamental_matrix(first: Camera, second: Camera) -> Float[Tensor, "*batch 3 3"]:
    """F with x'^T F x = 0 for the pixels x, x' = (u, v, 1) of one point in both views: F = K'^-T [t]x R K^-1.

    R and t are those of second_from_first (Hartley and Zisserman 2004, Eq. 9.2). float64; 0 where the cameras share
    their centre, for then every pixel is at home on every line.
    """
    second_from_first = invert(second.world_from_cam.double()) @ first.world_from_cam.double()
    x, y, z = second_from_first[..., :3, 3].unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    from_pixel = torch.linalg.inv(first.K.double())
    return torch.linalg.inv(second.K.double()).mT @ cross @ second_from_first[..., :3, :3] @ from_pixel


def sampson_error(
    fundamental: Float[Tensor, "3 3"], first: Float[Tensor, "n 2"], second: Float[Tensor, "n 2"]
) -> Float[Tensor, " n"]:
    """Pixels by which matches miss the epipolar geometry, to first order (Hartley and Zisserman 2004, Eq. 11.9).

    e = |x'^T F x| / sqrt((F x)_1^2 + (F x)_2^2 + (F^T x')_1^2 + (F^T x')_2^2), float64; NaN where F is 0.

    Args:
        first, second: the pixels x and x' of each match.
    """
    F = fundamental.double()
    x, x_there = (torch.nn.functional.pad(pixels.double(), (0, 1), value=1.0) for pixels in (first, second))
    line, line_back = x @ F.mT, x_there @ F  # F x and F^T x'
    slope = line[:, :2].square().sum(-1) + line_back[:, :2].square().sum(-1)
    return (x_there * line).sum(-1).abs() / slope.sqrt()
