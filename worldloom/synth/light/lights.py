"""What shines in a world, in tables made for drawing samples: emissive triangles and the sky."""

from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float32, Int32

from worldloom.geometry.io.images import LUMINANCE
from worldloom.synth.cast import Caster
from worldloom.synth.light.columns import columns, picked, rows
from worldloom.synth.light.octahedron import cell_directions, cell_from_direction, direction_from_square
from worldloom.synth.skies.sky import Sky

_EMITTERS: WeakKeyDictionary[Caster, "Emitters"] = WeakKeyDictionary()
_SIDE = 256  # of the sky's table: cells of about 0.45 degrees


@dataclass(frozen=True)
class Emitters:
    """Emissive triangles, drawn with probability proportional to their power; their fronts shine."""

    corners: Float32[np.ndarray, "3 3 e"]  # (corner, xyz, triangle), relative to the caster's centre
    normals: Float32[np.ndarray, "3 e"]
    radiance: Float32[np.ndarray, "3 e"]
    urn: Int32[np.ndarray, " u"]  # numbers of triangles, each as often as it is drawn
    density: Float32[np.ndarray, " e"]  # per area, of points on them
    density_of_face: Float32[np.ndarray, " m"]  # the same for every face of the world; 0 where it does not shine

    def __len__(self) -> int:
        return len(self.density)

    def sample(
        self, u: Float32[np.ndarray, "3 n"]
    ) -> tuple[Float32[np.ndarray, "3 n"], Float32[np.ndarray, "3 n"], Float32[np.ndarray, "3 n"], np.ndarray]:
        """Points on emitters, their normals, radiances and densities per area."""
        which = self.urn[(u[0] * len(self.urn)).astype(np.int32)]
        root = np.sqrt(u[1])
        weights = (1 - root, root * (1 - u[2]), root * u[2])
        a, b, c = (w * picked(self.corners[k], which) for k, w in enumerate(weights))
        return a + b + c, picked(self.normals, which), picked(self.radiance, which), self.density[which]


@dataclass(frozen=True)
class SkyTable:
    """The sky's radiance by direction, on the cells of an octahedron."""

    radiance: Float32[np.ndarray, "3 n"]
    cumulative: Float32[np.ndarray, " n"]  # of the cells' shares of the luminous power
    share: Float32[np.ndarray, " n"]
    contrast: float  # largest over mean luminance; even skies are found well enough by chance

    def look(self, directions: Float32[np.ndarray, "3 n"]) -> Float32[np.ndarray, "3 n"]:
        """Radiance from unit directions."""
        return picked(self.radiance, cell_from_direction(directions, _SIDE)[0])

    def density(self, directions: Float32[np.ndarray, "3 n"]) -> Float32[np.ndarray, " n"]:
        """Per solid angle, of what `sample` draws."""
        cell, scale = cell_from_direction(directions, _SIDE)
        return self.share[cell] * scale * np.float32(_SIDE**2 / 4)

    def sample(self, u: Float32[np.ndarray, "3 n"]) -> Float32[np.ndarray, "3 n"]:
        """Unit directions, more of them where the sky is brighter."""
        cell = np.minimum(np.searchsorted(self.cumulative, u[0], side="right"), _SIDE**2 - 1)
        corner = np.stack([cell // _SIDE, cell % _SIDE]).astype(np.float32)
        return direction_from_square((corner + u[1:]) * np.float32(2 / _SIDE) - 1)[0]


@lru_cache(maxsize=4)
def sky_table(sky: Sky) -> SkyTable:
    """The table of a sky; the last few are kept, as one sky serves many frames."""
    directions, angles = cell_directions(_SIDE)
    radiance = sky.radiance(torch.from_numpy(rows(directions))).float().numpy()
    luminance = np.maximum(radiance @ np.array(LUMINANCE, np.float32), 0)
    # A thousandth of the mean everywhere keeps every direction possible.
    power = (luminance + max(float(luminance.mean()), 1e-6) * 1e-3) * angles
    share = (power / power.sum(dtype=np.float64)).astype(np.float32)
    contrast = float(luminance.max() / max(float(luminance.mean()), 1e-9))
    return SkyTable(columns(radiance), share.cumsum(dtype=np.float64).astype(np.float32), share, contrast)


def emitters(caster: Caster) -> Emitters:
    """All triangles of the caster's world whose material shines; kept as long as the caster, for its other views."""
    if caster not in _EMITTERS:
        _EMITTERS[caster] = _emitters(caster)
    return _EMITTERS[caster]


def _emitters(caster: Caster) -> Emitters:
    soup = caster.soup
    which = soup.shining
    corners = (soup.corners_of(which) - torch.from_numpy(caster.centre)).numpy()  # e 3 3
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1) / 2
    keep = area > 0
    which, corners, area = which[torch.from_numpy(keep)], corners[keep], area[keep]
    radiance = soup.emission[soup.material_of(which)].numpy().reshape(-1, 3)
    power = area * (radiance @ np.array(LUMINANCE, np.float32))
    urn = _urn(power)
    density = (np.bincount(urn, minlength=len(power)) / max(len(urn), 1) / area).astype(np.float32)
    density_of_face = np.zeros(soup.num_faces, np.float32)
    density_of_face[which.numpy()] = density
    return Emitters(
        np.ascontiguousarray(corners.transpose(1, 2, 0).astype(np.float32)),
        soup.normal_columns_of(which.numpy()),
        columns(radiance),
        urn,
        density,
        density_of_face,
    )


def _urn(power: np.ndarray) -> Int32[np.ndarray, " u"]:
    """Numbers, each about as often as its power says and at least once: a draw is one look, not a search."""
    if not len(power):
        return np.zeros(0, np.int32)
    tickets = np.maximum(np.rint(power / power.sum() * max(4096, 4 * len(power))), 1).astype(np.int64)
    return np.repeat(np.arange(len(power), dtype=np.int32), tickets)
