"""What a scene shows from places beside its panorama, against truth: its splats alone, filled, and with a backdrop."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.apps.bench.result import Row
from worldloom.errors import MissingExtra
from worldloom.geometry import Panorama
from worldloom.geometry.equirect import directions, sample_panorama, solid_angles
from worldloom.geometry.rigid import apply, invert
from worldloom.recon.known_view import known_view
from worldloom.recon.panorama_backdrop import scene_splats
from worldloom.recon.panorama_splats import splats_from_panorama
from worldloom.recon.perceptual_distance import PerceptualDistance
from worldloom.recon.scene_distance import EMBEDDED, FLOOR, distance_of_panorama
from worldloom.render.panorama import render_panorama
from worldloom.synth.panoramas.panorama_files import world_panoramas
from worldloom.synth.panoramas.world_splits import WORLD_SPLITS

_BESIDE = 3  # places beside each panorama, 0.5 to 2 m away
_HEIGHT = 256
_EXACT, _ASSUMED = ", exact distance", ", assumed distance"
_HIDDEN = 1.1  # a surface this many times farther than what the panorama shows in its direction is hidden from it


def view_rows(quick: bool) -> list[Row]:
    """PSNR and ST-LPIPS off centre, by learned, assumed and exact distance; PSNR also of what nobody could see.

    Pictures are made at twice the size and averaged, as a camera's pixels are: thin things would flicker else.
    """
    seeds, height = WORLD_SPLITS["test"][: 1 if quick else 16], 64 if quick else _HEIGHT
    whole: dict[str, list[float]] = {}
    unseen: dict[str, list[float]] = {}
    looks: dict[str, list[float]] = {}
    perceptual = _perceptual()
    for seed in seeds:
        (centre, view, eye), *beside = world_panoramas(seed, 1, 2 * height, _BESIDE)
        learned, assumed = (distance_of_panorama(centre.rgb, eye, model).panorama for model in (EMBEDDED, FLOOR))
        exact = Panorama(centre.rgb, torch.where(centre.sky, 1000.0, centre.distance), centre.sky, torch.eye(4))
        given = (("", learned), (_ASSUMED, assumed), (_EXACT, exact))
        splats = {depth: (panorama, splats_from_panorama(panorama)) for depth, panorama in given}
        scene = scene_splats(learned)  # as a user gets it
        pose = view.world_from_pano.double()
        for other, another_view, _ in beside:
            centre_from_other = (invert(pose) @ another_view.world_from_pano.double()).float()
            truth = averaged(other.rgb)
            hidden = hidden_from(exact, centre_from_other, other.distance, other.sky)
            hidden = averaged(hidden[None].float())[0] > 0.5
            for depth, (panorama, gaussians) in splats.items():
                told = known_view(panorama, gaussians, centre_from_other, 2 * height)
                pictures = {"warp": told.rgb, "warp + fill": told.filled()}
                if depth == "":
                    pictures["scene"] = render_panorama(scene, centre_from_other, 2 * height).rgb
                for name, drawn in pictures.items():
                    picture = averaged(drawn)
                    error = (picture - truth).square().mean(0) * solid_angles(height)
                    whole.setdefault(name + depth, []).append(_psnr(error, torch.ones_like(hidden), height))
                    if bool(hidden.any()):
                        unseen.setdefault(name + depth, []).append(_psnr(error, hidden, height))
                    if perceptual is not None:
                        apart = perceptual(picture[None], truth[None])[0] * solid_angles(height)
                        looks.setdefault(name + depth, []).append(float(apart.sum() / (4 * math.pi)))
    places = f"{len(whole['warp'])} places 0.5 to 2 m off centre in {len(seeds)} worlds of the test split"
    note = f"{places}, {2 * height}x{height}, by solid angle"
    rows = []
    for metric, of, where in (("offcenter_psnr", whole, ""), ("offcenter_psnr_unseen", unseen, "what was hidden; ")):
        means = {name: statistics.mean(values) for name, values in of.items()}
        rows.append(Row(metric, means.pop("scene"), "dB", "", means, where + note))
    rows.append(_gain_row("offcenter_psnr_gain", whole, "dB", ">= 1.5", lambda ours, theirs: ours - theirs))
    if looks:
        means = {name: statistics.mean(values) for name, values in looks.items()}
        rows.append(Row("offcenter_stlpips", means.pop("scene"), "1", "", means, f"AlexNet; {note}"))
        rows.append(
            _gain_row("offcenter_stlpips_gain", looks, "%", ">= 20", lambda ours, theirs: 100 - 100 * ours / theirs)
        )
    return rows


def _gain_row(
    metric: str, of: Mapping[str, Sequence[float]], unit: str, goal: str, gain: Callable[[float, float], float]
) -> Row:
    """What a scene gains over filling by push and pull: with the same distance, and with others."""
    means = {name: statistics.mean(values) for name, values in of.items()}
    gains = {f"over {name}": gain(means["scene"], mean) for name, mean in means.items() if name != "scene"}
    return Row(metric, gains.pop("over warp + fill"), unit, goal, gains, "over warp + fill of the same distance")


def _perceptual() -> PerceptualDistance | None:
    try:
        return PerceptualDistance.from_package()
    except MissingExtra as error:
        print(f"left out: {error}")
        return None


def averaged(picture: Float[Tensor, "c h2 w2"]) -> Float[Tensor, "c h w"]:
    """At half the size, each pixel the mean of four."""
    return F.avg_pool2d(picture[None], 2)[0]


def hidden_from(
    panorama: Panorama,
    pano_from_other: Float[Tensor, "4 4"],
    distance: Float[Tensor, "h w"],
    sky: Bool[Tensor, "h w"],
) -> Bool[Tensor, "h w"]:
    """Pixels of another panorama whose surfaces this one does not see, as something stands before them."""
    height = distance.shape[0]
    points = apply(pano_from_other, (distance[..., None] * directions(height).float()).reshape(-1, 3))
    there = sample_panorama(panorama.distance[None], points[:, None], "nearest")[0, :, 0]
    return (points.norm(dim=-1) > _HIDDEN * there).reshape(height, -1) & ~sky


def _psnr(error: Float[Tensor, "h w"], where: Bool[Tensor, "h w"], height: int) -> float:
    """Of squared errors that are weighted by solid angle."""
    mean = error[where].sum() / solid_angles(height)[where].sum()
    return -10 * float(mean.clamp(min=1e-10).log10())
