"""One door for splat files: the suffix chooses the format."""

from pathlib import Path

from worldloom.errors import InputError
from worldloom.geometry.gaussians import Gaussians
from worldloom.geometry.io.dot_splat import load_dot_splat, save_dot_splat
from worldloom.geometry.io.gltf_splats import load_gltf_splats, save_gltf_splats
from worldloom.geometry.io.ply import load_ply, save_ply
from worldloom.geometry.io.spz import load_spz, save_spz

_LOADERS = {".ply": load_ply, ".splat": load_dot_splat, ".spz": load_spz, ".glb": load_gltf_splats}
_SAVERS = {".ply": save_ply, ".splat": save_dot_splat, ".spz": save_spz, ".glb": save_gltf_splats}


def load_gaussians(path: str | Path, drop_invalid: bool = False) -> Gaussians:
    """Gaussians of a .ply, .splat, .spz or .glb file, in our world frame.

    See `load_ply`, `load_dot_splat`, `load_spz` and `load_gltf_splats`.

    Args:
        path: the suffix names the format.
        drop_invalid: leave out Gaussians that cannot be drawn (NaN, zero size) instead of raising.
    Raises:
        InputError: another suffix, not such a file, or values that cannot be drawn.
    """
    return _LOADERS[_suffix(path)](path, drop_invalid)


def save_gaussians(path: str | Path, gaussians: Gaussians) -> None:
    """Write Gaussians as .ply (exact), .spz (a tenth of the size), .splat (no view-dependent colour) or .glb (glTF).

    The file appears under its name only when it is whole.

    Raises:
        InputError: another suffix, a folder that does not exist, or values that cannot be drawn.
    """
    _SAVERS[_suffix(path)](path, gaussians)


def _suffix(path: str | Path) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in _LOADERS:
        raise InputError(f"{path}: expected a file ending in {', '.join(_LOADERS)}, got {suffix or 'no suffix'!r}")
    return suffix
