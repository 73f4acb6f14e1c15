"""A drive as moving pictures: first what was seen, then what is to come."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry import EgoPath, Gaussians, Occupancy, interpolate_poses, invert, transform_gaussians
from worldloom.geometry.occ3d_palette import OCC3D_COLOURS
from worldloom.render.birdseye import EMPTY, RECOVERED_COLOUR, render_bev
from worldloom.render.caption import Rgb, caption, contact_sheet, legend
from worldloom.render.ego_marks import ego_splats, ground_height, path_splats
from worldloom.render.occupancy import SKY, chase_camera, gaussians_from_occupancy
from worldloom.render.render import render

PAST_COLOUR: Rgb = (0.42, 0.47, 0.54)
FUTURE_COLOUR: Rgb = (1.0, 0.62, 0.0)
NOT_OBSERVED: Rgb = (0.81, 0.815, 0.825)  # an empty column of the map, dimmed
NEAR = 12.0  # metres from the chase camera; what stands between it and the ego, such as a tree, is cut away
AROUND = 3.0  # metres around the ego; a frame that holds nothing there has left what was ever seen


def perspective_film(
    clip: Occupancy, num_past: int, size: tuple[int, int] = (360, 640), per_step: int = 1
) -> Iterator[Float[Tensor, "3 h w"]]:
    """Pictures from behind and above the ego, with its path on the ground and past or future in words and colour.

    Between two frames of the clip the camera moves on evenly, while the world stays as the earlier one shows it.

    Args:
        clip: labels t x y z, the past and then the future.
        num_past: frames of the past, at least one; the last of them is now.
        size: (height, width) in pixels.
        per_step: pictures for each frame; the last frame has one.
    """
    for i in range(len(clip)):
        yield from views_from_behind(clip, num_past, i, size, per_step if i + 1 < len(clip) else 1)


def birdseye_film(
    clip: Occupancy, num_past: int, height: int = 480, recovered: EgoPath | None = None
) -> Iterator[Float[Tensor, "3 h w"]]:
    """One map for each frame, the ego in its middle and driving up, with its whole path and a legend beside it.

    Args:
        clip: labels t x y z on Occ3D's classes, the past and then the future.
        num_past: frames of the past, at least one; the last of them is now.
        height: of the pictures in pixels; their width is 4/3 of it.
        recovered: the path that the voxels tell (`measured_path`), in the world of the clip, drawn into the other.
    """
    names = class_legend(clip, (height, height // 3), recovered is not None)
    for i in range(len(clip)):
        yield torch.cat([view_from_above(clip, num_past, i, height, recovered), names], dim=2)


def drive_sheet(
    clip: Occupancy, num_past: int, columns: int = 4, width: int = 480, recovered: EgoPath | None = None
) -> Float[Tensor, "3 h w"]:
    """The drive at a glance: `columns` moments from now to the end, from behind the ego and from above.

    Args:
        clip, num_past, recovered: as for the films.
        width: of one moment in pixels.
    """
    now, last = num_past - 1, len(clip) - 1
    moments = sorted({round(now + (last - now) * i / max(1, columns - 1)) for i in range(columns)})
    pictures = []
    for i in moments:
        (behind,) = views_from_behind(clip, num_past, i, (9 * width // 16, width))
        pictures.append(torch.cat([behind, view_from_above(clip, num_past, i, width, recovered)], dim=1))
    sheet = contact_sheet(pictures, len(pictures))
    return torch.cat([sheet, class_legend(clip, (sheet.shape[1], width // 3), recovered is not None)], dim=2)


def views_from_behind(
    clip: Occupancy, num_past: int, i: int, size: tuple[int, int], per_step: int = 1
) -> list[Float[Tensor, "3 h w"]]:
    """The pictures of frame `i` in `perspective_film`."""
    clip = _from_now(clip, num_past)
    ground = ground_height(clip.labels[:num_past], clip.grid)
    poses = clip.world_from_ego[i : i + 1]
    if per_step > 1:
        knots = torch.tensor([0.0, 1.0], dtype=torch.float64)
        poses = interpolate_poses(clip.world_from_ego[i : i + 2], knots, torch.arange(per_step).double() / per_step)
    world = gaussians_from_occupancy(clip.labels[i], clip.grid, clip.world_from_ego[i], free=len(clip.classes) - 1)
    path, ego = path_splats(clip.world_from_ego, ground), ego_splats(ground)
    pictures = []
    for pose in poses:
        scene = Gaussians.cat([world, path, transform_gaussians(ego, pose)])
        camera = chase_camera(pose, size)
        with torch.no_grad():
            picture = render(scene, camera, background=torch.tensor(SKY), near=NEAR).rgb
        pictures.append(_labelled(picture, clip, num_past, i))
    return pictures


def view_from_above(
    clip: Occupancy, num_past: int, i: int, height: int, recovered: EgoPath | None = None
) -> Float[Tensor, "3 h w"]:
    """The map of frame `i` in `birdseye_film`, square and without the legend; what nobody looked at is dimmed."""
    found = None
    if recovered is not None:
        ego_from_world = invert(clip.world_from_ego[i].double())
        found = (ego_from_world @ recovered.world_from_ego.double())[:, :2, 3].float()
    clip = _from_now(clip, num_past)
    path = (invert(clip.world_from_ego[i]) @ clip.world_from_ego)[:, :2, 3]
    picture = render_bev(
        clip.labels[i], clip.grid, (height, height), path=path, recovered=found, observed=clip.observed[i]
    )
    return _labelled(picture, clip, num_past, i)


def class_legend(clip: Occupancy, size: tuple[int, int], recovered: bool = False) -> Float[Tensor, "3 h w"]:
    """Colours and names of the classes that the clip holds, on a panel of `size` (height, width)."""
    counts = torch.bincount(clip.labels.flatten(), minlength=len(clip.classes))
    present = counts[:-1].nonzero()[:, 0].tolist()
    colours = [(red, green, blue) for red, green, blue in OCC3D_COLOURS[present].tolist()]
    names = [*(clip.classes[label] for label in present), "seen, empty", "not observed"]
    colours += [EMPTY, NOT_OBSERVED]
    if recovered:
        names, colours = [*names, "path in the voxels"], [*colours, RECOVERED_COLOUR]
    return legend(names, colours, size)


def _from_now(clip: Occupancy, num_past: int) -> Occupancy:
    """The clip in the frame of its present ego, where float32 has digits to spare."""
    if clip.labels.ndim != 4 or not 1 <= num_past <= len(clip):
        raise ValueError(f"need one clip t x y z and 1 <= num_past <= t, got {tuple(clip.labels.shape)} and {num_past}")
    poses = clip.world_from_ego.double()
    return replace(clip, world_from_ego=(invert(poses[num_past - 1]) @ poses).float())


def _labelled(picture: Float[Tensor, "3 h w"], clip: Occupancy, num_past: int, i: int) -> Float[Tensor, "3 h w"]:
    seconds = (i + 1 - num_past) * clip.dt
    when = "now" if i == num_past - 1 else f"{'past' if i < num_past else 'future'}  {seconds:+.1f} s"
    beyond = "" if _seen_around_ego(clip, i) else "   beyond all that was seen"
    return caption(picture, when + beyond, PAST_COLOUR if i < num_past else FUTURE_COLOUR)


def _seen_around_ego(clip: Occupancy, i: int) -> bool:
    reach = AROUND / clip.grid.voxel_size
    around = []
    for axis in range(2):
        ego = -clip.grid.origin[axis] / clip.grid.voxel_size
        around.append(slice(max(0, int(ego - reach)), max(0, int(ego + reach) + 1)))
    known = clip.observed[i][tuple(around)] | (clip.labels[i][tuple(around)] != len(clip.classes) - 1)
    return bool(known.any())
