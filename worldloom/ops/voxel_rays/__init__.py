"""Looking through a voxel grid, and marking points in one: native CPU kernels and their torch twin.

All coordinates are in voxels: voxel i spans [i, i + 1) on each axis. Voxels are named by their flat index.
"""

import importlib
from collections.abc import Sequence
from types import ModuleType

from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from worldloom.errors import InputError, MissingExtra
from worldloom.ops.sparse.backend import native_module


def look(
    blocked: Bool[Tensor, "x y z"],
    eye: Float[Tensor, " 3"],
    cells: Int64[Tensor, " n"],
    crossed: Bool[Tensor, "x y z"] | None = None,
    pierce: int = 0,
    backend: str = "auto",
) -> Bool[Tensor, " n"]:
    """Which voxels an eye sees.

    A free voxel is looked at through its centre; a blocked one at the middle of the face that is turned most to the eye
    among those which border on a free voxel or on the outside of the grid, or through its centre if all faces on the
    eye's side are covered. It is seen if at most `pierce` blocked voxels lie between.
    The walk visits the voxels that the line passes through in their order (Amanatides and Woo 1987, "A Fast Voxel
    Traversal Algorithm for Ray Tracing"); through an edge it steps in x before y before z. The eye may stand outside
    the grid, where nothing blocks, and sees out of its own voxel even if that is blocked.

    Args:
        cells: flat indices (x * shape[1] + y) * shape[2] + z.
        crossed: where given, the free voxels through which the eye looks at those it sees are set in it: its own, and
            that before the face of a blocked one, too. The voxels looked at are not.
        pierce: how much stands in the way of no look: 0 for solid things, more for leaves and glass.
    Raises:
        InputError: if the eye is not finite, a cell lies outside, `crossed` has another shape, `pierce` is negative,
            or the backend is unknown.
        MissingExtra: if backend "native" was asked for and is not built.
    """
    return look_from_each(blocked, eye[None], [cells], crossed, pierce, backend)[0]


def look_from_each(
    blocked: Bool[Tensor, "x y z"],
    eyes: Float[Tensor, "k 3"],
    cells: Sequence[Int64[Tensor, " _"]],
    crossed: Bool[Tensor, "x y z"] | None = None,
    pierce: int = 0,
    backend: str = "auto",
) -> list[Bool[Tensor, " _"]]:
    """As `look` from several eyes, each at cells of its own; `crossed` is that of all.

    Raises:
        InputError: as `look`, or if there are not as many lists of cells as eyes.
        MissingExtra: as `look`.
    """
    if len(cells) != len(eyes):
        raise InputError(f"expected cells for each of {len(eyes)} eyes, got {len(cells)} lists")
    if not bool(eyes.isfinite().all()):
        raise InputError(f"expected finite eyes, got {eyes.tolist()}")
    for some in cells:
        if len(some) and not 0 <= int(some.min()) <= int(some.max()) < blocked.numel():
            raise InputError(f"expected cells of {blocked.numel()} voxels, got {int(some.min())}..{int(some.max())}")
    if crossed is not None and (crossed.shape != blocked.shape or not crossed.is_contiguous()):
        raise InputError(f"expected contiguous crossed of shape {tuple(blocked.shape)}, got {tuple(crossed.shape)}")
    if pierce < 0:
        raise InputError(f"expected pierce of at least 0, got {pierce}")
    return _engine(backend).look_from_each(blocked, eyes.double(), cells, crossed, pierce)


def mark_points(
    best: UInt8[Tensor, "x y z"],
    points: Float[Tensor, "n 3"],
    values: UInt8[Tensor, " n"],
    voxel_from_points: Float[Tensor, "3 4"],
    backend: str = "auto",
    flagged: tuple[UInt8[Tensor, "x y z"], Bool[Tensor, " n"]] | None = None,
) -> None:
    """Raise each voxel of `best`, in place, to the largest value among the points that the affine map puts into it.

    Args:
        flagged: a second grid and a flag for each point; voxels that get a point with a flag are set to 1 in it.
    Raises:
        InputError: if a grid is not contiguous, or the backend is unknown.
        MissingExtra: if backend "native" was asked for and is not built.
    """
    if not best.is_contiguous() or (flagged is not None and not flagged[0].is_contiguous()):
        raise InputError("expected a contiguous grid to mark points in")
    _engine(backend).mark_points(best, points.float(), values, voxel_from_points.double(), flagged)


def _engine(backend: str) -> ModuleType:
    if backend not in ("auto", "native", "torch"):
        raise InputError(f"expected backend auto, native or torch, got {backend!r}")
    if backend == "native" and native_module() is None:
        raise MissingExtra("backend native needs the compiled extension; pip install worldloom with a C++ compiler")
    name = "_torch" if backend == "torch" or native_module() is None else "_cpu"
    return importlib.import_module(f"worldloom.ops.voxel_rays.{name}")
