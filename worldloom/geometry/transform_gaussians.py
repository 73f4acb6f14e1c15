"""Moving Gaussians rigidly from one frame to another, their view-dependent colour included."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.gaussians import Gaussians
from worldloom.geometry.harmonics import sh_basis
from worldloom.geometry.rigid import apply, quat_from_rotmat


def transform_gaussians(gaussians: Gaussians, b_from_a: Float[Tensor, "4 4"]) -> Gaussians:
    """Gaussians of frame a, in frame b: means move, quaternions turn, spherical harmonics turn with them.

    Raises:
        ValueError: if `b_from_a` is not rigid (a mirror or a scale would need other covariances).
    """
    matrix = b_from_a.to("cpu", torch.float64)
    rotation = matrix[:3, :3]
    if not torch.allclose(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64), atol=1e-4) or rotation.det() < 0:
        raise ValueError(f"expected a rigid transform, got the 3x3 part {rotation.tolist()}")
    harmonics = sh_rotation(rotation, gaussians.sh_degree).to(gaussians.sh)
    return Gaussians(
        means=apply(matrix.to(gaussians.means), gaussians.means),
        quats=multiply_quats(quat_from_rotmat(rotation).to(gaussians.quats), gaussians.quats),
        scales=gaussians.scales,
        opacities=gaussians.opacities,
        sh=rotate_sh(gaussians.sh, harmonics),
    )


def multiply_quats(left: Float[Tensor, "*#batch 4"], right: Float[Tensor, "*#batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Hamilton product of quaternions (w, x, y, z): the rotation `right`, then `left`."""
    w, x, y, z = left.unbind(-1)
    W, X, Y, Z = right.unbind(-1)
    product = [
        w * W - x * X - y * Y - z * Z,
        w * X + x * W + y * Z - z * Y,
        w * Y - x * Z + y * W + z * X,
        w * Z + x * Y - y * X + z * W,
    ]
    return torch.stack(product, dim=-1)


def rotate_sh(sh: Float[Tensor, "n k 3"], harmonics: Float[Tensor, "k k"]) -> Float[Tensor, "n k 3"]:
    """Coefficients turned by a matrix of `sh_rotation`."""
    # One 48 x 48 product over rows as they lie in memory is faster than small ones, zeros and all.
    all_channels = torch.kron(harmonics.contiguous(), torch.eye(3, dtype=harmonics.dtype, device=harmonics.device))
    return (sh.flatten(1) @ all_channels.mT).reshape(sh.shape)


def sh_rotation(rotation: Float[Tensor, "3 3"], degree: int) -> Float[Tensor, "k k"]:
    """The matrix D that turns spherical-harmonic coefficients with the object, k = (degree + 1)^2, float64.

    The turned colour is the old one seen from the direction turned back: basis(R d) @ (D c) = basis(d) @ c. As the
    harmonics are orthonormal and rotations keep each degree, D_mn is the integral of Y_m(R d) Y_n(d) over the sphere. A
    product of Gauss-Legendre nodes in z and even azimuths gives it exactly up to degree 3.
    """
    rotation = rotation.to("cpu", torch.float64)
    z, weight = (torch.from_numpy(values).repeat_interleave(8) for values in np.polynomial.legendre.leggauss(4))
    azimuth = (math.pi / 4 * torch.arange(8, dtype=torch.float64)).repeat(4)
    radius = (1 - z * z).sqrt()
    direction = torch.stack([radius * azimuth.cos(), radius * azimuth.sin(), z], dim=-1)
    weight = weight * (math.pi / 4)
    k = (degree + 1) ** 2
    turned, basis = sh_basis(direction @ rotation.mT, k), weight[:, None] * sh_basis(direction, k)
    bands = [slice(band**2, (band + 1) ** 2) for band in range(degree + 1)]
    blocks = [turned[:, band].mT @ basis[:, band] for band in bands]
    matrix = torch.block_diag(*blocks)
    # Turns by multiples of 90 degrees have exact zeros and ones; do not let rounding blur colours that only swap.
    return torch.where((matrix - matrix.round()).abs() < 1e-13, matrix.round(), matrix)
