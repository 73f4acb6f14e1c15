"""What a scene's panorama tells of the view from another place: its splats, and where they are not to be trusted."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldloom.geometry.equirect import sample_panorama
from worldloom.geometry.gaussians import Gaussians
from worldloom.geometry.panorama import Panorama
from worldloom.geometry.push_pull import filled_from_around
from worldloom.geometry.rigid import apply, invert
from worldloom.recon.panorama_splats import SKY_FACTOR
from worldloom.render.panorama import render_panorama
from worldloom.render.render import facing_axes

SOLID = 0.5  # alpha, and share of trusted splats in it, from which on a pixel is known
MOST_MAGNIFIED = 4.5  # times the solid angle that a splat has in its panorama: more of it was made up than was seen
_EDGE_ON = 0.03  # cosine from which on the front of a disc is seen


@dataclass(frozen=True)
class KnownView:
    """A panorama from another place, as far as it is known."""

    rgb: Float[Tensor, "3 h w"]  # [0, 1]; 0 where nothing is drawn
    known: Bool[Tensor, "h w"]
    distance: Float[Tensor, "h w"]  # metres; of the sky that of its shell

    def filled(self) -> Float[Tensor, "3 h w"]:
        """The picture with what is not known filled in from around it."""
        return filled_from_around(torch.where(self.known, self.rgb, 0.0), self.known)


def known_view(
    panorama: Panorama, gaussians: Gaussians, world_from_pano: Float[Tensor, "4 4"], height: int
) -> KnownView:
    """The view from a place near the panorama.

    A splat is trusted where its front is seen, about as large as in the panorama: what is stretched, seen from behind,
    or sky that was grown behind an edge stands for something that the panorama does not show.

    Args:
        panorama: of which `splats_from_panorama` made the splats, in the same world.
    """
    trust = trusted(panorama, gaussians, world_from_pano[:3, 3])
    drawn = render_panorama(gaussians, world_from_pano, height, features=trust[:, None])
    assert drawn.features is not None
    alpha = drawn.alpha.clamp(min=1e-3)
    known = (drawn.alpha > SOLID) & (drawn.features[0] / alpha > SOLID)
    return KnownView((drawn.rgb / alpha.clamp(min=SOLID)).clamp(0, 1), known, drawn.distance)


def trusted(panorama: Panorama, gaussians: Gaussians, eye: Float[Tensor, "3"]) -> Float[Tensor, " n"]:
    """How far each splat is to be trusted as seen from `eye`: 1 or 0, and between about MOST_MAGNIFIED."""
    centre = panorama.world_from_pano[:3, 3].to(gaussians.means)
    normal = facing_axes(gaussians, centre)
    shown, seen = centre - gaussians.means, eye - gaussians.means
    shown_away, seen_away = (offset.norm(dim=-1).clamp(min=1e-6) for offset in (shown, seen))
    shown_cosine = ((normal * shown).sum(-1) / shown_away).clamp(min=1e-3)
    seen_cosine = (normal * seen).sum(-1) / seen_away
    magnified = (seen_cosine.clamp(min=0) / seen_away**2) / (shown_cosine / shown_away**2)
    trust = (0.5 + (MOST_MAGNIFIED - magnified) / 3).clamp(0, 1) * (seen_cosine > _EDGE_ON)
    if not bool(panorama.sky.any()):
        return trust
    local = apply(invert(panorama.world_from_pano.to(gaussians.means)), gaussians.means)
    is_sky = sample_panorama(panorama.sky[None].float(), local[:, None], "nearest")[0, :, 0] > 0.5
    solid = panorama.distance[~panorama.sky]
    shell = SKY_FACTOR * float(solid.max() if len(solid) else panorama.distance.max())
    return torch.where(shown_away > 0.9 * shell, is_sky.to(trust), trust)
