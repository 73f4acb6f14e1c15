"""Do the frames of a moving camera agree with one another? No truth is asked: the cameras and the frames' own depth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.geometry.camera import Camera
from worldloom.geometry.epipolar import fundamental_matrix, sampson_error
from worldloom.geometry.equirect import rays
from worldloom.geometry.rigid import apply, invert
from worldloom.recon.keypoint_matches import keypoint_matches

SAME = 0.03  # of the depth: what two frames see this near to each other is one surface


@dataclass(frozen=True)
class Frames:
    """What cameras with batch (t,) see, one after the other."""

    cameras: Camera
    rgb: Float[Tensor, "t 3 h w"]  # [0, 1]
    depth: Float[Tensor, "t h w"]  # z, metres; meaningless where not solid
    solid: Bool[Tensor, "t h w"]  # there is a surface, and its depth is known

    def __post_init__(self) -> None:
        shape = (*self.cameras.batch, *self.cameras.size)
        if self.rgb.shape != (*shape[:1], 3, *shape[1:]) or not self.depth.shape == self.solid.shape == shape:
            raise ValueError(
                f"expected frames {shape}, got rgb {tuple(self.rgb.shape)}, depth {tuple(self.depth.shape)} and solid "
                f"{tuple(self.solid.shape)}"
            )

    def __len__(self) -> int:
        return len(self.depth)

    def points(self) -> Float[Tensor, "t h w 3"]:
        """Of the surfaces, in the world."""
        local = rays(self.cameras) * torch.where(self.solid, self.depth, 1.0)[..., None]
        return apply(self.cameras.world_from_cam, local.flatten(1, 2)).view_as(local)


@dataclass(frozen=True)
class FlowError:
    """How much colour changes along the exact flow of successive frames. Sums, so that several add up."""

    error: float = 0.0
    num_visible: int = 0
    num_solid: int = 0

    def __add__(self, other: "FlowError") -> "FlowError":
        return FlowError(
            self.error + other.error, self.num_visible + other.num_visible, self.num_solid + other.num_solid
        )

    @property
    def l1(self) -> float:
        """Mean |difference| of display values, [0, 1]; NaN where nothing is seen twice."""
        return self.error / self.num_visible if self.num_visible else math.nan

    @property
    def visible(self) -> float:
        """Share of the pixels with a surface that both frames of a pair see; NaN without any."""
        return self.num_visible / self.num_solid if self.num_solid else math.nan


def flow_error(frames: Frames) -> FlowError:
    """Colours warped by exact flow, compared where visible: from each frame to the next, and back.

    A pixel's depth and the two cameras say where its surface lies in the other frame. It is visible there if that
    frame's own depth agrees within SAME. Frames of one colour agree perfectly, whatever they show.
    """
    total = FlowError()
    for i in range(len(frames) - 1):
        total = total + _flow_error(frames, i, i + 1) + _flow_error(frames, i + 1, i)
    return total


def _flow_error(frames: Frames, here: int, there: int) -> FlowError:
    solid = frames.solid[here]
    local = rays(frames.cameras[here])[solid] * frames.depth[here][solid][:, None]
    there_from_here = invert(frames.cameras.world_from_cam[there]) @ frames.cameras.world_from_cam[here]
    points = apply(there_from_here, local)
    depth = points[:, 2]
    ahead = depth > 1e-6
    height, width = frames.cameras.size
    pixels = (points @ frames.cameras.K[there].mT)[:, :2] / torch.where(ahead, depth, 1.0)[:, None]
    inside = ahead & (pixels > 0.5).all(-1) & (pixels < pixels.new_tensor([width - 0.5, height - 0.5])).all(-1)
    # 1 / z is linear in the pixels of a plane, so that its interpolation is exact however the plane slants.
    other_solid = frames.solid[there]
    inverse = torch.where(other_solid, 1 / torch.where(other_solid, frames.depth[there], 1.0), 0.0)
    channels = torch.cat([frames.rgb[there], inverse[None], other_solid[None].to(inverse)])
    grid = 2 * pixels / pixels.new_tensor([width, height]) - 1
    seen = F.grid_sample(channels[None], grid[None, None], align_corners=False)[0, :, 0]
    visible = inside & (seen[4] > 0.999) & ((depth * seen[3] - 1).abs() < SAME)
    error = (seen[:3] - frames.rgb[here][:, solid]).abs().mean(0)[visible]
    return FlowError(float(error.double().sum()), int(visible.sum()), int(solid.sum()))


def sampson_errors(frames: Frames, pairs: Sequence[tuple[int, int]]) -> Float[Tensor, " n"]:
    """Pixels by which matches between frames miss the epipolar geometry of their cameras, of all pairs together.

    Of SIFT matches that nobody filtered. Frames without features have none, and no error.

    Raises:
        MissingExtra: pycolmap is not installed.
    """
    errors = []
    for (i, j), matches in zip(pairs, keypoint_matches(frames.rgb, pairs), strict=True):
        errors.append(sampson_error(fundamental_matrix(frames.cameras[i], frames.cameras[j]), *matches))
    return torch.cat(errors) if errors else torch.zeros(0, dtype=torch.float64)
