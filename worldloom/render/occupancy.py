"""Occupancy as splats: the visible faces of voxels, in class colours, lit so that their shape reads."""

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from worldloom.geometry import FREE, Camera, Gaussians, Occupancy, VoxelGrid, intrinsics, look_at, sh_from_rgb
from worldloom.geometry.occ3d_palette import OCC3D_COLOURS
from worldloom.geometry.transform_gaussians import transform_gaussians
from worldloom.render.render import render
from worldloom.render.rendering import Rendering

SKY = (0.90, 0.93, 0.97)
# Light on a face that looks to -x, +x, -y, +y, down, up: a high sun behind and to the left, and light from the sky.
FACE_LIGHT = ((0.80, 0.66), (0.62, 0.74), (0.45, 1.0))
OCCLUSION = 0.45  # how much darker a face is that looks into a corner with all eight cells around it occupied
# Standard deviations of a splat along its face and across it, in widths of its square. With less than 0.65 along, what
# lies behind a face shines through where four splats meet; with more, edges swell.
SPREAD, THICKNESS = 0.65, 0.05


def gaussians_from_occupancy(
    labels: UInt8[Tensor, "x y z"],
    grid: VoxelGrid,
    world_from_grid: Float[Tensor, "4 4"] | None = None,
    colours: Float[Tensor, "classes 3"] = OCC3D_COLOURS,
    free: int = FREE,
    detail: int = 1,
) -> Gaussians:
    """Flat, opaque splats on each face between an occupied voxel and a free cell.

    Faces at the sides and the top of the grid count as seen; those at its bottom do not: the ground has no underside.

    Args:
        labels: class ids; every label but `free` is drawn.
        grid: where the voxels lie in their own frame.
        world_from_grid: places that frame, usually world_from_ego; identity if not given.
        colours: of each class id, in [0, 1].
        detail: splats along an edge of a face; 1 for browsers, 2 or more for crisp edges near the camera.
    """
    if tuple(labels.shape) != grid.shape:
        raise ValueError(f"labels must have the grid's shape {grid.shape}, got {tuple(labels.shape)}")
    occupied = labels != free
    if occupied.any() and int(labels[occupied].max()) >= len(colours):
        raise ValueError(f"need a colour for label {int(labels[occupied].max())}, got {len(colours)} colours")
    if detail < 1:
        raise ValueError(f"detail must be 1 or more, got {detail}")
    # Cells outside: free at the sides and the top, solid below.
    padded = torch.nn.functional.pad(occupied, (1, 1, 1, 1, 1, 1))
    padded[:, :, 0] = True
    colours = colours.to(labels.device)
    parts = [_faces(labels, padded, axis, side, grid, colours, detail) for axis in range(3) for side in (0, 1)]
    gaussians = Gaussians.cat(parts)
    return gaussians if world_from_grid is None else transform_gaussians(gaussians, world_from_grid)


def render_occupancy(
    occupancy: Occupancy,
    frame: int,
    camera: Camera,
    *,
    backend: str = "auto",
    background: tuple[float, float, float] = SKY,
    detail: int = 2,
) -> Rendering:
    """Draw one frame of a clip, in the world, as cameras see it; see `chase_camera` for one that follows the ego.

    Args:
        detail: see `gaussians_from_occupancy`.
    """
    if occupancy.labels.ndim != 4:
        raise ValueError(f"need one clip with labels t x y z, got {tuple(occupancy.labels.shape)}")
    labels, grid, pose = occupancy.labels[frame], occupancy.grid, occupancy.world_from_ego[frame]
    gaussians = gaussians_from_occupancy(labels, grid, pose, free=len(occupancy.classes) - 1, detail=detail)
    behind = torch.tensor(background, device=gaussians.means.device)
    return render(gaussians, camera, backend=backend, background=behind)


def chase_camera(
    world_from_ego: Float[Tensor, "*batch 4 4"],
    size: tuple[int, int],
    *,
    behind: float = 13.0,
    above: float = 13.0,
    ahead: float = 10.0,
    fov: float = 1.2,
) -> Camera:
    """Cameras that follow the ego: `behind` and `above` its origin, looking at the ground `ahead` of it (metres).

    Args:
        size: (height, width) in pixels.
        fov: horizontal field of view, radians.
    """
    eye = world_from_ego.new_tensor([-behind, 0, above])
    target = world_from_ego.new_tensor([ahead, 0, 0])
    ego_from_cam = look_at(eye, target)
    K = intrinsics(fov, size).to(world_from_ego)
    return Camera(world_from_ego @ ego_from_cam, K.expand(*world_from_ego.shape[:-2], 3, 3).clone(), size)


def _faces(
    labels: UInt8[Tensor, "x y z"],
    padded: Bool[Tensor, "x+2 y+2 z+2"],
    axis: int,
    side: int,
    grid: VoxelGrid,
    colours: Float[Tensor, "classes 3"],
    detail: int,
) -> Gaussians:
    """The faces that look along `axis`, to its negative (side 0) or positive (side 1) end."""
    front = padded.narrow(axis, 2 * side, labels.shape[axis])  # the layer of cells in front, for each cell
    inner = [slice(1, -1) if other != axis else slice(None) for other in range(3)]
    core = padded[1:-1, 1:-1, 1:-1]
    cells = (core & ~front[tuple(inner)]).nonzero()
    # Of the eight cells around the one in front, in the plane of the face: how many shut out light?
    across = [other for other in range(3) if other != axis]
    layer = front.movedim(axis, 2)  # padded across, so that cell (i, j) is at (i + 1, j + 1)
    i, j, k = (cells[:, other] for other in (*across, axis))
    around = torch.stack([layer[i + di, j + dj, k] for di in range(3) for dj in range(3) if (di, dj) != (1, 1)])
    light = FACE_LIGHT[axis][side] * (1 - OCCLUSION * around.float().mean(0))

    x, y, z = cells.unbind(-1)
    rgb = colours[labels[x, y, z].long()] * light[:, None]
    # The squares of a face; the splats' own thickness stays inside the voxel.
    steps = ((torch.arange(detail, device=labels.device) + 0.5) / detail).tolist()
    depth = THICKNESS / detail
    ends = [steps, steps, steps]
    ends[axis] = [1 - depth if side else depth]
    offsets = torch.cartesian_prod(*(torch.tensor(end, device=labels.device) for end in ends))
    means = (cells[:, None] + offsets).flatten(0, 1) * grid.voxel_size + torch.tensor(grid.origin, device=labels.device)
    scales = torch.full((3,), SPREAD / detail * grid.voxel_size, device=labels.device)
    scales[axis] = depth * grid.voxel_size
    n = len(means)
    quats = torch.tensor([1.0, 0, 0, 0], device=labels.device).expand(n, 4).clone()
    ones = torch.ones(n, device=labels.device)
    return Gaussians(
        means, quats, scales.expand(n, 3).clone(), ones, sh_from_rgb(rgb.repeat_interleave(len(offsets), 0))
    )
