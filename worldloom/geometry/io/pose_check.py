"""Poses from outside: numbers that claim to be rigid transforms."""

from typing import Any

import numpy as np

from worldloom.errors import InputError

RIGID_TOLERANCE = 1e-3  # of rotation.T @ rotation against the identity; float32 files reach 1e-6


def check_rigid(b_from_a: np.ndarray, what: str) -> None:
    """Require finite 4x4 rigid transforms, shape (t, 4, 4); `what` begins the message.

    Raises:
        InputError: naming the first frame that is not finite, not a rotation and a translation, or is mirrored.
    """
    if b_from_a.ndim != 3 or b_from_a.shape[1:] != (4, 4):
        raise InputError(f"{what}: expected matrices (t, 4, 4), got {b_from_a.shape}")
    finite = np.isfinite(b_from_a).all((1, 2))
    if not finite.all():
        raise InputError(f"{what}: expected finite numbers, got NaN or infinity in frame {int((~finite).argmax())}")
    rotation = b_from_a[:, :3, :3].astype(np.float64)
    # Numbers far from a rotation may overflow in the product; they fail the comparison all the same.
    with np.errstate(over="ignore", invalid="ignore"):
        skew = np.abs(rotation.swapaxes(1, 2) @ rotation - np.eye(3)).max((1, 2), initial=0)
        mirrored = np.linalg.det(rotation) < 0
    last_row = np.abs(b_from_a[:, 3] - [0, 0, 0, 1]).max(1, initial=0)
    wrong = ~(skew < RIGID_TOLERANCE) | mirrored | (last_row > RIGID_TOLERANCE)
    if wrong.any():
        i = int(wrong.argmax())
        problem = (
            f"last row {b_from_a[i, 3].tolist()}"
            if last_row[i] > RIGID_TOLERANCE
            else f"a rotation off by {skew[i]:.2g}" + (" and mirrored" if mirrored[i] else "")
        )
        raise InputError(
            f"{what}: expected rigid transforms (4x4, rotation and translation), got {problem} in frame {i}"
        )


def matrix_from_record(record: Any, what: str) -> np.ndarray:
    """4x4 float64 of a JSON record {"translation": [x, y, z], "rotation": [w, x, y, z]}.

    Raises:
        InputError: fields missing, not numbers, not finite, or a quaternion whose length is not 1 within 1 %.
    """
    if not isinstance(record, dict):
        raise InputError(f"{what}: expected translation and rotation, got {type(record).__name__}")
    translation = numbers(record.get("translation"), (3,), f"{what}: translation")
    w, x, y, z = quat = numbers(record.get("rotation"), (4,), f"{what}: rotation (w, x, y, z)")
    length = float(np.sqrt(quat @ quat))
    if not abs(length - 1) < 0.01:
        raise InputError(f"{what}: expected a unit quaternion (w, x, y, z), got length {length:.4g}")
    w, x, y, z = quat / length
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = translation
    return matrix


def numbers(value: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """A JSON array as finite float64 of `shape`.

    Raises:
        InputError: another shape, or something that is not a finite number.
    """
    try:
        # bool and str would be taken for numbers by NumPy.
        array = np.array(value)
        fits = array.dtype.kind in "if" and array.shape == shape and np.isfinite(array).all()
    except (ValueError, TypeError, OverflowError):
        array, fits = np.empty(0), False
    if not fits:
        shown = repr(value)
        raise InputError(f"{what}: expected {' x '.join(map(str, shape))} finite numbers, got {shown[:80]}")
    return array.astype(np.float64)
