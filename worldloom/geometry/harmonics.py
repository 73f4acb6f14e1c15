"""Real spherical harmonics up to degree 3, with the signs of the 3D Gaussian Splatting files."""

import torch
from jaxtyping import Float
from torch import Tensor


def sh_basis(direction: Float[Tensor, "*batch 3"], k: int) -> Float[Tensor, "*batch k"]:
    """The first k = 1, 4, 9 or 16 real spherical harmonics at unit directions.

    Ordered by degree l, then order m = -l..l; odd m carry the Condon-Shortley sign, as in Kerbl et al. 2023.
    """
    x, y, z = direction.unbind(-1)
    basis = [torch.full_like(x, 0.28209479177387814)]
    if k > 1:
        basis += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if k > 4:
        xx, yy, zz = x * x, y * y, z * z
        basis += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.9461746957575601 * zz - 0.31539156525252005,
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (xx - yy),
        ]
        if k > 9:
            basis += [
                -0.5900435899266435 * y * (3 * xx - yy),
                2.890611442640554 * x * y * z,
                y * (0.4570457994644658 - 2.285228997322329 * zz),
                z * (1.865881662950577 * zz - 1.119528997770346),
                x * (0.4570457994644658 - 2.285228997322329 * zz),
                1.445305721320277 * z * (xx - yy),
                -0.5900435899266435 * x * (xx - 3 * yy),
            ]
    return torch.stack(basis, dim=-1)
