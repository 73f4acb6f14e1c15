"""Depth of splats as seen by cameras, with only those pixels called valid that show one surface."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.camera import Camera
from worldloom.geometry.equirect import cubemap_cameras, rays
from worldloom.geometry.gaussians import Gaussians
from worldloom.geometry.rigid import rotmat_from_quat
from worldloom.render import render
from worldloom.render.render import facing_axes

NEAREST = 0.05  # metres; splats nearer to the eye than this are not looked at
MIN_ALPHA = 0.8  # of a pixel that shows something; less is a gap between splats
MIXED = 4.0  # a variance of inverse depth beyond what one splat covers means more than one surface
LEAK = 0.004  # light that may come from far behind: its relative variance, and so the relative error in depth
FLAT = 0.02  # a relative step in inverse depth that no plane has
STEEPEST = 0.03  # sine of the angle between ray and surface: what is seen more edge-on has no depth
FARTHEST = 1e4  # metres, where no sky says where the scene ends
DISC = 0.3  # shortest over middle axis, below which a splat has a normal


@dataclass(frozen=True)
class DepthViews:
    """What cameras with batch (v,) see of a scene."""

    cameras: Camera
    depth: Float[Tensor, "v h w"]  # z in the camera frame; meaningless where not valid
    plane: Float[Tensor, "v 3 h w"]  # of the surface, in world axes from the eye: plane . (x - eye) = 1
    valid: Bool[Tensor, "v h w"]  # one surface, nearer than what counts as open
    open: Bool[Tensor, "v h w"]  # sky, or what lies farther than `max_depth`: nothing stands before that
    rgb: Float[Tensor, "v 3 h w"]  # [0, 1]
    max_depth: float  # z in the camera frame, up to which the views were asked

    def __len__(self) -> int:
        return len(self.depth)


def cameras_around(eyes: Float[Tensor, "e 3"], size: int) -> Camera:
    """Six 90° views of `size` pixels from each eye, together the whole sphere; batch (6 e,)."""
    cube = cubemap_cameras(size)
    world_from_cam = cube.world_from_cam.repeat(len(eyes), 1, 1)
    world_from_cam[:, :3, 3] = eyes.to(world_from_cam).repeat_interleave(6, dim=0)
    return Camera(world_from_cam, cube.K.repeat(len(eyes), 1, 1), cube.size)


def spread_eyes(centres: Float[Tensor, "n 3"], num: int) -> Float[Tensor, "e 3"]:
    """The first of some places and those that lie farthest from all before them, at most `num` and 5 cm apart."""
    chosen: list[int] = [0]
    nearest = (centres - centres[0]).norm(dim=-1)
    while len(chosen) < num and nearest.max() > 0.05:
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (centres - centres[chosen[-1]]).norm(dim=-1))
    return centres[chosen]


def look_around(gaussians: Gaussians, centres: Float[Tensor, "n 3"], size: int = 512, num_eyes: int = 4) -> DepthViews:
    """What is seen all round from a few of the places where cameras stood, which are known to be free.

    The views reach twice as far as 90 % of what the first of them sees, the sky not counted: farther away a pixel is
    wider than any detail. Half-way a pixel is as wide as `voxel_size_for` says.

    Args:
        centres: places of cameras, the one that sees best first.
        size: pixels along the edges of a view.
        num_eyes: places to look from, spread as far as possible.
    Raises:
        InputError: nothing at all is seen from there.
    """
    eyes = spread_eyes(centres, num_eyes)
    first = depth_views(gaussians, cameras_around(eyes[:1], 128), sky_radius(gaussians, eyes[0]) or FARTHEST)
    length = rays(first.cameras).norm(dim=-1)
    distance, order = (first.depth * length)[first.valid].sort()
    if not len(distance):
        raise InputError("expected splats that show surfaces around the cameras, got nothing that can be seen")
    angle = (length**-3)[first.valid][order].cumsum(0)  # solid angle of a pixel of a flat image
    reach = distance[int((angle < 0.9 * angle[-1]).sum())].item()
    return depth_views(gaussians, cameras_around(eyes, size), 2 * reach)


def voxel_size_for(views: DepthViews) -> float:
    """Metres: a little more than a pixel's width half-way to the views' limit."""
    return 1.25 * 0.5 * views.max_depth / views.cameras.K[0, 0, 0].item()


def sky_radius(gaussians: Gaussians, eye: Float[Tensor, " 3"]) -> float | None:
    """A distance from `eye` between the scene and the shell of sky around it, or None where there is no shell.

    A shell is a hundredth of the splats or more, at least three times as far as all else, and thin.
    """
    distance = (gaussians.means - eye).norm(dim=-1).clamp(min=1e-3).sort().values
    share = len(distance) // 100
    if share == 0:
        return None
    inner = distance[share:-share]
    gap = share + int((inner[1:] / inner[:-1]).argmax())
    if distance[gap + 1] < 3 * distance[gap] or distance[-1] > 1.5 * distance[gap + 1]:
        return None
    return (distance[gap] * distance[gap + 1]).sqrt().item()


def depth_views(gaussians: Gaussians, cameras: Camera, max_depth: float) -> DepthViews:
    """Render every camera, and keep the pixels that show one surface.

    Inverse depth is blended, and not as that of each splat's mean but as that of its plane where the pixel's ray meets
    it: with n its normal and p = n . (mean - eye), the plane is (n / p) . x = 1, and inverse depth is the sum of
    w (n / p) . ray over the weights w of its colour. So the nearer of two neighbours is not preferred (as PGSR, Chen et
    al. 2024, whose quotient of sums this is not), and the last per mille of light from far behind moves nothing.

    A pixel on a silhouette blends two surfaces into a depth where nothing is. Two tests find it. The variance of
    inverse depth among its splats is beyond what the splats themselves extend; or inverse depth, which is linear in
    the pixel over any plane, takes a step that it does not take on the other side.

    Args:
        cameras: batch (v,).
        max_depth: metres along the optical axis; what lies farther counts as open.
    """
    parts = [_look(gaussians, cameras[i], max_depth) for i in range(len(cameras))]
    depth, plane, valid, opened, rgb = (torch.stack(images) for images in zip(*parts, strict=True))
    return DepthViews(cameras, depth, plane, valid, opened, rgb, max_depth)


def _look(gaussians: Gaussians, camera: Camera, max_depth: float) -> tuple[Tensor, ...]:
    """Depth, plane, valid, open and rgb of one camera."""
    eye, forward = camera.world_from_cam[:3, 3], camera.world_from_cam[:3, 2]
    everything = render(gaussians, camera)
    local = gaussians.means - eye
    z = local @ forward
    near = (z > NEAREST) & (z < max_depth)
    gaussians, local, z = gaussians[near], local[near], z[near]
    normals = facing_axes(gaussians, eye)
    offset = (normals * local).sum(-1)
    ordered = gaussians.scales.sort(dim=-1).values
    is_disc = (ordered[:, 0] < DISC * ordered[:, 1]) & (offset.abs() > STEEPEST * local.norm(dim=-1))
    planes = torch.where(is_disc[:, None], normals / torch.where(is_disc, offset, 1)[:, None], forward / z[:, None])
    extent = (forward @ rotmat_from_quat(gaussians.quats) * gaussians.scales).norm(dim=-1)
    features = torch.cat([planes, torch.stack([1 / z, z**-2, (extent / z**2).square()], -1)], -1)
    drawn = render(gaussians, camera, features=features)
    assert drawn.features is not None
    means = drawn.features / drawn.alpha.clamp(min=1e-6)
    inverse = (means[:3] * _world_rays(camera).permute(2, 0, 1)).sum(0)
    mean, square, own = means[3:]
    spread = (square - mean.square()).clamp(min=0)
    one = (spread < MIXED * own + LEAK * mean.square()) & (drawn.alpha > MIN_ALPHA) & (inverse > 1 / (2 * max_depth))
    valid = one & ~_has_step(inverse, one)
    opened = (drawn.alpha < 1 - MIN_ALPHA) & (everything.alpha > MIN_ALPHA)
    depth = 1 / torch.where(valid, inverse, 1)
    # As exact as depth: of the same inclination, and through the same point.
    plane = means[:3]
    return depth, plane, valid, opened, everything.rgb.clamp(0, 1)


def _world_rays(camera: Camera) -> Float[Tensor, "h w 3"]:
    return rays(camera) @ camera.world_from_cam[:3, :3].mT


def _has_step(inverse: Float[Tensor, "h w"], known: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """Pixels beside a jump: the second difference of inverse depth, in relation to it, is larger than `FLAT`."""
    inverse = torch.where(known, inverse, torch.nan)
    step = torch.zeros_like(known)
    for axis in (0, 1):
        num = inverse.shape[axis] - 2
        before, middle, after = (inverse.narrow(axis, i, num) for i in range(3))
        bent = (before + after - 2 * middle).abs() > FLAT * middle  # False beside what is not known
        step.narrow(axis, 1, num).logical_or_(bent)
    return step
