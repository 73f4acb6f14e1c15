"""Learned distance of a panorama: what is around a camera, from one picture and the camera's height."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.geometry.equirect import directions, solid_angles
from worldloom.geometry.panorama import Panorama
from worldloom.ops import load_config, load_weights, weights_path
from worldloom.ops.weights import MODEL
from worldloom.recon.edge_upsampling import resize_along_edges
from worldloom.recon.panorama_network import PLACES, PanoramaAnswer, PanoramaDepthConfig, PanoramaNetwork

NEAREST, FARTHEST = 0.05, 150.0  # camera heights
_SURE = 0.8  # of the floor: pixels that tell how high the camera is
_LOOK_DOWN = math.sin(math.radians(10))  # and only those so far under the horizon
_ENOUGH = 0.02  # share of the sphere that must be such floor
_GRAZING = math.sin(math.radians(1.5))  # nearer to the horizon nothing is anchored to the floor
_INDOORS = PLACES.index("indoors")


@dataclass(frozen=True)
class PanoramaEstimate:
    """What a panorama is thought to show, at its own size, in units of the camera's height."""

    log_distance: Float[Tensor, "h w"]  # of everything; where sky, of what would be there if it were none
    floor: Float[Tensor, "h w"]  # probability that this is the level ground under the camera
    sky: Bool[Tensor, "h w"]
    place: str  # the likeliest of PLACES
    floor_share: float  # of the sphere, that surely is floor well under the horizon
    scale: float  # what distances were multiplied by, so that the floor is 1 under the camera; 1 without floor

    @property
    def anchored(self) -> bool:
        """Whether the floor set the scale."""
        return self.floor_share >= _ENOUGH

    def distance(self) -> Float[Tensor, "h w"]:
        """Camera heights along the ray, with the floor as flat as it is said to be floor.

        Where sky they are those of what would be there if it were none: of leaves that were taken for sky, say.
        """
        plane, below = floor_plane(self.log_distance.shape[0])
        floor = torch.where(below, self.floor, 0.0)
        # An answer in between is either, not a ramp from one to the other.
        floor = torch.sigmoid(4 * torch.logit(floor, eps=1e-4)) if self.anchored else torch.zeros_like(floor)
        log = torch.lerp(self.log_distance, plane, floor)
        return log.exp().clamp(NEAREST, FARTHEST)


def _both_ways(network: PanoramaNetwork, rgb: Float[Tensor, "1 3 h w"]) -> PanoramaAnswer:
    """The mean of what it says of the picture and of its mirror image: it errs in each by itself."""
    seen, mirrored = network(rgb), network(rgb.flip(-1))
    return PanoramaAnswer(
        (seen.log_distance + mirrored.log_distance.flip(-1)) / 2,
        (seen.floor + mirrored.floor.flip(-1)) / 2,
        (seen.sky + mirrored.sky.flip(-1)) / 2,
        (seen.place + mirrored.place) / 2,
    )


def depth_weights(name_or_path: str | Path) -> Path:
    """The folder of weights called so: embedded as NAME-depth, a folder that holds depth/, or such a folder itself.

    Raises:
        InputError: there are none.
    """
    itself = Path(name_or_path).expanduser()
    if (itself / MODEL).is_file() and not (itself / "depth").is_dir():
        return itself
    return weights_path("worldloom.recon", name_or_path, "depth")


def floor_plane(height: int) -> tuple[Float[Tensor, "h w"], Bool[Tensor, "h w"]]:
    """Log distance to level ground in camera heights, and where it can be told; 1.5 degrees below the horizon on."""
    down = -directions(height)[..., 2]
    return -down.clamp(min=_GRAZING).log(), down > _GRAZING


class PanoramaDepth:
    """A network and what makes distances of its answers."""

    def __init__(self, network: PanoramaNetwork) -> None:
        self.network = network.eval()

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path = "small") -> "PanoramaDepth":
        """The weights called `name_or_path` (embedded as NAME-depth), or a folder that holds depth/ or them.

        Raises:
            InputError: there are none, or they are damaged or of another model.
        """
        folder = depth_weights(name_or_path)
        network = PanoramaNetwork(load_config(folder, PanoramaDepthConfig))
        load_weights(folder, network)
        return cls(network.to(memory_format=torch.channels_last))  # pyright: ignore[reportCallIssue]

    @torch.no_grad()
    def estimate(self, rgb: Float[Tensor, "3 h w"]) -> PanoramaEstimate:
        """What an upright panorama of display values in [0, 1] shows.

        Raises:
            InputError: it is not 1:2, or not finite.
        """
        height, width = rgb.shape[-2:]
        if width != 2 * height:
            raise InputError(f"panorama must be 1:2 (height:width), got {height}x{width}")
        if not bool(rgb.isfinite().all()):
            raise InputError("expected finite colours, got NaN or infinity")
        rows = self.network.config.height
        small = F.interpolate(rgb[None], (rows, 2 * rows), mode="bilinear", antialias=True, align_corners=False)
        answer = _both_ways(self.network, small.clamp(0, 1))
        open_air = 1 - answer.place.softmax(-1)[0, _INDOORS]
        maps = torch.cat([answer.log_distance, answer.floor.sigmoid(), open_air * answer.sky.sigmoid()])
        maps = torch.cat([resize_along_edges(maps[:1], rgb), resize_along_edges(maps[1:], rgb, None)])
        log_distance, floor, sky = maps
        share, scale = self._scale(log_distance, floor)
        return PanoramaEstimate(
            log_distance + math.log(scale), floor, sky > 0.5, PLACES[int(answer.place.argmax())], share, scale
        )

    def predict(self, rgb: Float[Tensor, "3 h w"], camera_height: float = 1.6) -> Panorama:
        """The panorama with distances in metres and sky, in its own frame (world_from_pano = identity).

        Args:
            rgb: display values in [0, 1] of a level camera.
            camera_height: metres over the ground; it sets the scale.
        Raises:
            InputError: not a finite panorama of 1:2, or a camera height that is not positive.
        """
        if not (math.isfinite(camera_height) and camera_height > 0):
            raise InputError(f"camera_height must be positive metres, got {camera_height}")
        estimate = self.estimate(rgb)
        return Panorama(rgb, camera_height * estimate.distance(), estimate.sky, torch.eye(4))

    def _scale(self, log_distance: Float[Tensor, "h w"], floor: Float[Tensor, "h w"]) -> tuple[float, float]:
        """The share of sure floor, and the factor that puts its median where level ground is."""
        height = len(floor)
        plane, _ = floor_plane(height)
        sure = (floor > _SURE) & (-directions(height)[..., 2] > _LOOK_DOWN)
        share = float((solid_angles(height) * sure).sum() / (4 * math.pi))
        return share, float((plane - log_distance)[sure].median().exp()) if share >= _ENOUGH else 1.0
