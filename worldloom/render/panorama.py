"""Panoramas out of Gaussians: six faces of a cube with some margin, blended where they overlap."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import Camera, Gaussians, Panorama, cubemap_cameras, directions
from worldloom.render.render import render


@dataclass(frozen=True)
class PanoramaRendering:
    """An equirectangular image of Gaussians (1:2, centre column along +x, azimuth to the left)."""

    rgb: Float[Tensor, "3 h w"]  # premultiplied by alpha
    alpha: Float[Tensor, "h w"]
    distance: Float[Tensor, "h w"]  # expected metres from the centre: sum w r / sum w; 0 where alpha is 0
    world_from_pano: Float[Tensor, "4 4"]
    features: Float[Tensor, "f h w"] | None = None  # premultiplied by alpha

    def to_panorama(self, min_alpha: float = 0.5) -> Panorama:
        """As a panorama on black, with sky where less than `min_alpha` of the light is stopped."""
        return Panorama(self.rgb.clamp(0, 1), self.distance, self.alpha < min_alpha, self.world_from_pano)


def render_panorama(
    gaussians: Gaussians,
    world_from_pano: Float[Tensor, "4 4"],
    height: int,
    *,
    backend: str = "auto",
    antialiased: bool = False,
    features: Float[Tensor, "n f"] | None = None,
) -> PanoramaRendering:
    """Draw the whole sphere around a point, `height` x 2 `height` pixels.

    `features` are further values for each Gaussian to blend, as `render` takes them.

    Each face is a 90° view with a margin of 1/16 on every side. Neighbouring faces draw a splat a little differently:
    each projects it linearly to its own plane, which skews splats that are several degrees wide. A linear blend across
    both margins leaves no edge. The distance of a splat is that of its mean, which no face sees differently.
    """
    # A pixel at the centre of a face is then 2/pi of a panorama pixel wide, so bilinear sampling blurs little.
    inner = max(height, 4)
    margin = max(2, inner // 16)
    camera = _faces(inner, margin, world_from_pano)
    ranges = (gaussians.means - world_from_pano[:3, 3]).norm(dim=-1, keepdim=True)
    extra = ranges if features is None else torch.cat([ranges, features], -1)
    drawn = render(gaussians, camera, backend=backend, antialiased=antialiased, features=extra)
    assert drawn.features is not None
    faces = torch.cat([drawn.rgb, drawn.alpha[:, None], drawn.features], dim=1)
    sphere = _blend_faces(faces, directions(height).to(faces), inner, margin)
    rgb, alpha, weighted = sphere[:3], sphere[3], sphere[4]
    distance = torch.where(alpha > 0, weighted / torch.where(alpha > 0, alpha, 1), 0)
    return PanoramaRendering(rgb, alpha, distance, world_from_pano, None if features is None else sphere[5:])


def _faces(inner: int, margin: int, world_from_pano: Float[Tensor, "4 4"]) -> Camera:
    """The six cube cameras with `margin` more pixels on each side."""
    cube, full = cubemap_cameras(inner), inner + 2 * margin
    K = cube.K.clone()
    K[:, :2, 2] += margin
    pose = world_from_pano @ cube.world_from_cam.to(world_from_pano)
    return Camera(pose, K.to(world_from_pano), (full, full))


def _blend_faces(
    faces: Float[Tensor, "6 c s s"], pano_directions: Float[Tensor, "h w 3"], inner: int, margin: int
) -> Float[Tensor, "c h w"]:
    """Resample faces by direction; each one's weight falls to 0 across its margin and that of its neighbour."""
    full = inner + 2 * margin
    # In units of half a face: the edge of the 90° square is at 1. One pixel is kept for bilinear sampling.
    band = 2 * (margin - 1) / inner
    total = faces.new_zeros(faces.shape[1], *pano_directions.shape[:2])
    weights = faces.new_zeros(pano_directions.shape[:2])
    for face, pano_from_cam in zip(faces, cubemap_cameras(1).world_from_cam[:, :3, :3].to(faces), strict=True):
        local = pano_directions @ pano_from_cam
        ahead = local[..., 2] > 0.5 / math.sqrt(3)  # well before the corners of the margin, and never a division by 0
        xy = local[..., :2] / torch.where(ahead, local[..., 2], 1)[..., None]
        weight = ((1 + band - xy.abs().amax(-1)) / (2 * band)).clamp(0, 1) * ahead
        rows, columns = weight.nonzero(as_tuple=True)
        grid = xy[rows, columns] * (inner / full)
        values = torch.nn.functional.grid_sample(face[None], grid[None, None], align_corners=False)[0, :, 0]
        total[:, rows, columns] += weight[rows, columns] * values
        weights[rows, columns] += weight[rows, columns]
    return total / weights
