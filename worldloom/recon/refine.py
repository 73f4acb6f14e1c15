"""Gaussians made to show what photos show: gradient descent through the rasterizer, with growth and removal."""

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from worldloom.errors import InputError
from worldloom.geometry.gaussians import Gaussians
from worldloom.ops.training import stoppable
from worldloom.recon.depth_splats import at_size, normals_from_depth
from worldloom.recon.image_metrics import ssim_map
from worldloom.recon.mesh.depth_views import sky_radius
from worldloom.recon.photo_depth import PhotoDepth
from worldloom.recon.photos import Photos
from worldloom.recon.trainable_splats import TrainableSplats
from worldloom.render import Rendering, render

CHECKPOINT = ".refine.pt"
SAVE_EVERY = 60.0  # seconds
RATE_OF_EXPOSURE = 1e-3
EXPOSURE_DECAY = 2.0  # weight of the squares of gains' logarithms and offsets: a gain of 1.1 costs 0.02


@dataclass(frozen=True)
class RefineConfig:
    """How long and how. Shares are of the whole run, so that a run of any length goes through the same stages."""

    minutes: float | None = None  # of time spent in refinement; or
    steps: int | None = None  # as many, and the same result for the same seed
    seed: int = 0
    sh_degree: int = 2
    most_splats: int = 150_000
    long_side: int = 1600  # pixels of the photos at the end
    levels: tuple[tuple[float, int], ...] = ((0.0, 4), (0.02, 2), (0.07, 1))  # from this share on, photos shrunk by
    bands: tuple[float, ...] = (0.3, 0.6)  # shares at which colour gets another band of harmonics
    grow: tuple[float, float] = (0.04, 0.6)  # shares between which Gaussians are divided
    grow_every: int = 100  # steps
    pull: float = 2.5e-4  # of pictures at a Gaussian's place, from which on it is divided
    least_opacity: float = 0.01
    structure: float = 0.2  # weight of 1 - SSIM; the rest is L1
    depth: tuple[float, float] = (0.2, 0.02)  # weight of relative inverse depth, at first and at last
    normal: float = 0.02
    normal_every: int = 4  # steps: blending normals takes time
    opaque: float = 0.002  # weight of mean opacity: what no photo needs fades and is removed
    stretch: float = 0.05  # weight of axes longer than `longest` times the middle one
    longest: float = 6.0
    exposure: float | None = (
        1.0  # weight of the squares of gains' logarithms and offsets; None: photos have no exposure
    )

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise InputError(f"expected minutes or steps, one of them, got {self.minutes} and {self.steps}")
        if self.minutes is not None and not (math.isfinite(self.minutes) and 0 < self.minutes <= 10_000):
            raise InputError(f"expected minutes in (0, 10000], got {self.minutes}")
        if self.steps is not None and self.steps < 1:
            raise InputError(f"expected at least one step, got {self.steps}")
        if self.sh_degree not in (0, 1, 2, 3):
            raise InputError(f"expected a degree of colour from 0 to 3, got {self.sh_degree}")


@dataclass(frozen=True)
class Refined:
    """What came of it."""

    gaussians: Gaussians
    gain: Float[Tensor, "v 3"]  # exposure of each photo: photo = gain * picture + offset
    offset: Float[Tensor, "v 3"]
    steps: int
    seconds: float


@dataclass(frozen=True)
class Progress:
    """What is told while it runs."""

    share: float  # of the run that is done
    steps: int
    seconds: float
    num_splats: int
    psnr: float  # of the last photos, dB, with their exposures
    gaussians: Callable[[], Gaussians] = field(repr=False)


def refine(
    gaussians: Gaussians,
    photos: Photos,
    config: RefineConfig,
    *,
    depth: PhotoDepth | None = None,
    folder: Path | None = None,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> Refined:
    """Fit Gaussians to photos: 0.8 L1 + 0.2 (1 - SSIM), one photo a step, from coarse to fine.

    Added to it are inverse depth and normals where `depth` is confident, a penalty on needles, and one on opacity. Each
    photo has a gain and an offset of its own for each colour, whose means over all photos stay 1 and 0, so that what
    differs from photo to photo does not become fog. Learning rates fall with the share of the run that is done.

    Args:
        depth: of the same photos, at any size.
        folder: for a checkpoint, from which the same call goes on. SIGINT, SIGTERM and whatever `tell` raises save
            before they end the run.
        tell: is called after each step, and may raise to end the run.
    Raises:
        InputError: no Gaussians, photos of which none has a valid pixel, or a checkpoint of another run.
        KeyboardInterrupt: after saving, where the run was stopped.
    """
    if not len(gaussians) or not len(photos):
        raise InputError(f"expected Gaussians and photos to refine, got {len(gaussians)} and {len(photos)}")
    if not bool(photos.valid.any()):
        raise InputError("expected photos with valid pixels, got none")
    if depth is not None and len(depth) != len(photos):
        raise InputError(f"expected a depth for each of {len(photos)} photos, got {len(depth)}")
    run = _Run(gaussians, photos, config, depth)
    checkpoint = None if folder is None else folder / CHECKPOINT
    if checkpoint is not None:
        run.load(checkpoint)
    started, before = time.monotonic(), run.seconds
    saved = started
    with stoppable() as stop:
        while (share := run.share()) < 1:
            run.step(share)
            run.seconds = before + time.monotonic() - started
            try:
                tell(run.progress())
                if stop.is_set and run.share() < 1:
                    raise KeyboardInterrupt
            except BaseException:
                if checkpoint is not None:
                    run.save(checkpoint)
                raise
            if checkpoint is not None and time.monotonic() - saved > SAVE_EVERY:
                run.save(checkpoint)
                saved = time.monotonic()
    return run.result()


@dataclass(frozen=True)
class _Level:
    """The photos at one size, and what is known of depth there."""

    photos: Photos
    depth: PhotoDepth | None
    normals: Float[Tensor, "v 3 h w"] | None  # world frame


class _Run:
    """A run in progress."""

    def __init__(self, gaussians: Gaussians, photos: Photos, config: RefineConfig, depth: PhotoDepth | None) -> None:
        self.config = config
        eyes = photos.cameras.world_from_cam[:, :3, 3]
        self.eyes, self.centre = eyes, eyes.mean(0)
        away = (gaussians.means - self.centre).norm(dim=-1)
        self.shell = sky_radius(gaussians, self.centre) or math.inf
        self.unit = float(_to_nearest(gaussians.means[away < self.shell], eyes).median().clamp(min=1e-6))
        self.splats = TrainableSplats(gaussians, config.sh_degree, self.unit)
        photos = photos.resized(config.long_side)
        self.focal = float(photos.cameras.K[:, 0, 0].median())
        self.levels = [_level(photos, shrink, depth) for _, shrink in config.levels]
        self.log_gain = nn.Parameter(torch.zeros(len(photos), 3))
        self.offset = nn.Parameter(torch.zeros(len(photos), 3))
        self.exposure = torch.optim.Adam([self.log_gain, self.offset], RATE_OF_EXPOSURE)
        self.steps, self.seconds = 0, 0.0
        self.errors: list[float] = []

    def share(self) -> float:
        """Of the run that is done."""
        if self.config.steps is not None:
            return self.steps / self.config.steps
        assert self.config.minutes is not None
        return self.seconds / (60 * self.config.minutes)

    def step(self, share: float) -> None:
        config = self.config
        level = self.levels[sum(share >= begin for begin, _ in config.levels) - 1]
        i = self._next_photo(len(level.photos))
        gaussians = self.splats.gaussians(min(config.sh_degree, sum(share >= begin for begin in config.bands)))
        with_normals = config.normal > 0 and level.normals is not None and self.steps % config.normal_every == 0
        drawn = render(gaussians, level.photos.cameras[i], normals=with_normals)
        exposed = config.exposure is not None and share >= config.exposure
        loss = self._photo_loss(drawn, level.photos, i, exposed)
        if level.depth is not None:
            loss = loss + self._depth_loss(drawn, level, i, share)
        opacity = gaussians.opacities
        loss = loss + config.opaque * opacity.mean()
        if self.steps % 8 == 0:
            longest, middle, _ = self.splats.values["log_scales"].sort(dim=-1, descending=True).values.unbind(-1)
            loss = loss + 8 * config.stretch * (longest - middle - math.log(config.longest)).clamp(min=0).mean()
        loss.backward()
        growing = config.grow[0] <= share < config.grow[1]
        if growing:
            self.splats.observe(drawn.info, level.photos.cameras.size)
        self.splats.step(_pace(share), _pace_of_place(share))
        if exposed:
            self._step_exposure()
        self.steps += 1
        if growing and self.steps % config.grow_every == 0:
            self._grow()

    def _next_photo(self, num: int) -> int:
        """Every photo once, in a new order for each round."""
        dice = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.steps // num)
        return int(torch.randperm(num, generator=dice)[self.steps % num])

    def _photo_loss(self, drawn: Rendering, photos: Photos, i: int, exposed: bool) -> Tensor:
        picture, photo, valid = drawn.rgb, photos.rgb[i], photos.valid[i]
        if exposed:
            picture = self.log_gain[i].exp()[:, None, None] * picture + self.offset[i][:, None, None]
        if not bool(valid.all()):
            # What the photo does not show is taken to be right; its neighbours' SSIM is right, too.
            picture = torch.where(valid, picture, photo)
        error = picture - photo
        with torch.no_grad():
            self.errors = [*self.errors[-31:], float(error.square().mean())]
        structure = 1 - ssim_map(picture, photo).mean()
        loss = (1 - self.config.structure) * error.abs().mean() + self.config.structure * structure
        if exposed:
            loss = loss + EXPOSURE_DECAY * (self.log_gain[i].square() + self.offset[i].square()).mean()
        return loss

    def _depth_loss(self, drawn: Rendering, level: _Level, i: int, share: float) -> Tensor:
        assert level.depth is not None
        config = self.config
        weight = torch.where(level.depth.far[i], 0, level.depth.confidence[i])
        total = weight.sum().clamp(min=1)
        # Relative to the known depth, so that near and far errors of one angle count alike.
        known = level.depth.depth[i]
        inverse = known / drawn.depth.clamp(min=1e-3 * self.unit)
        error = torch.where(drawn.alpha.detach() > 0.3, (inverse - 1).abs().clamp(max=1), 0)
        loss = config.depth[0] * (config.depth[1] / config.depth[0]) ** share * (weight * error).sum() / total
        if drawn.normal is not None and level.normals is not None:
            off = 1 - (drawn.normal * level.normals[i]).sum(0)
            loss = loss + config.normal_every * config.normal * (weight * off).sum() / total
        return loss

    def _step_exposure(self) -> None:
        self.exposure.step()
        self.exposure.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.log_gain -= self.log_gain.mean(0)
            self.offset -= self.offset.mean(0)

    def _grow(self) -> None:
        config, means = self.config, self.splats.values["means"].detach()
        pixel = _to_nearest(means, self.eyes) / self.focal
        fixed = (means - self.centre).norm(dim=-1) > self.shell
        self.splats.grow(pixel, fixed, config.pull, config.least_opacity, config.most_splats)

    def progress(self) -> Progress:
        error = sum(self.errors) / len(self.errors)
        return Progress(
            min(1.0, self.share()), self.steps, self.seconds, len(self.splats),
            -10 * math.log10(max(error, 1e-12)), self.snapshot,
        )  # fmt: skip

    def snapshot(self) -> Gaussians:
        with torch.no_grad():
            return self.splats.gaussians(self.config.sh_degree)

    def result(self) -> Refined:
        """Without what cannot be seen."""
        with torch.no_grad():
            gaussians = self.snapshot()
            gaussians = gaussians[gaussians.opacities > 1 / 255]
            gain = self.log_gain.exp().detach().clone()
        return Refined(gaussians, gain, self.offset.detach().clone(), self.steps, self.seconds)

    def save(self, path: Path) -> None:
        state = {
            "config": _comparable(self.config), "steps": self.steps, "seconds": self.seconds, "errors": self.errors,
            "splats": self.splats.state(), "log_gain": self.log_gain.detach(), "offset": self.offset.detach(),
            "exposure": self.exposure.state_dict(), "shell": self.shell, "photos": len(self.log_gain),
        }  # fmt: skip
        temporary = path.with_name(f"{path.name}.new")
        torch.save(state, temporary)
        os.replace(temporary, path)

    def load(self, path: Path) -> None:
        if not path.exists():
            return
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        if state["config"] != _comparable(self.config) or state["photos"] != len(self.log_gain):
            raise InputError(f"{path} holds another run: expected {_comparable(self.config)}, got {state['config']}")
        self.splats = TrainableSplats.from_state(state["splats"])
        self.steps, self.seconds, self.errors = state["steps"], state["seconds"], state["errors"]
        self.shell, self.unit = state["shell"], self.splats.unit
        with torch.no_grad():
            self.log_gain.copy_(state["log_gain"])
            self.offset.copy_(state["offset"])
        self.exposure.load_state_dict(state["exposure"])


def _comparable(config: RefineConfig) -> dict[str, Any]:
    """As it is read back: sequences are lists."""
    return {name: _listed(value) for name, value in asdict(config).items()}


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _level(photos: Photos, shrink: int, depth: PhotoDepth | None) -> _Level:
    small = photos.resized(max(32, max(photos.cameras.size) // shrink))
    if depth is None:
        return _Level(small, None, None)
    size = small.cameras.size
    values, cameras = at_size(depth.depth, small.cameras, size)
    far = at_size(depth.far.float(), cameras, size)[0] > 0.5
    confidence = at_size(depth.confidence, cameras, size)[0] * small.valid
    # Normals at the size of the depth: between nearest neighbours there is no slope.
    coarse = torch.stack([normals_from_depth(depth.depth[i], depth.cameras[i]) for i in range(len(depth))])
    world = torch.einsum("vij,vjhw->vihw", depth.cameras.world_from_cam[:, :3, :3], coarse)
    normals = nn.functional.interpolate(world, size, mode="bilinear", align_corners=False)
    return _Level(small, PhotoDepth(small.cameras, values, confidence, far), nn.functional.normalize(normals, dim=1))


def _to_nearest(points: Float[Tensor, "n 3"], eyes: Float[Tensor, "v 3"]) -> Float[Tensor, " n"]:
    return torch.cdist(points, eyes).amin(1)


def _pace(share: float) -> float:
    """1, and from two thirds on a cosine down to a tenth."""
    along = max(0.0, 3 * share - 2)
    return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, along)))


def _pace_of_place(share: float) -> float:
    """Falls a hundredfold, evenly in its logarithm (Kerbl et al. 2023)."""
    return 0.01 ** min(1.0, share)
