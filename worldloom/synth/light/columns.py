"""Many small vectors as the columns of one array: each coordinate lies in one piece, as fast arithmetic wants it."""

import numpy as np
from jaxtyping import Float32, Shaped


def dot(a: Float32[np.ndarray, "3 n"], b: Float32[np.ndarray, "3 n"]) -> Float32[np.ndarray, " n"]:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def picked(table: Shaped[np.ndarray, "*k m"], at: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, "*k n"]:
    """Columns of a table; several times as fast as indexing."""
    return table.take(at, -1)


def add_at(table: Float32[np.ndarray, "3 m"], at: Shaped[np.ndarray, " n"], values: Float32[np.ndarray, "3 n"]) -> None:
    """Add to columns of a table; `at` names none of them twice."""
    for row, value in zip(table, values, strict=True):
        row[at] += value


def rows(columns: Float32[np.ndarray, "3 n"]) -> Float32[np.ndarray, "n 3"]:
    return np.ascontiguousarray(columns.T)


def columns(rows: Shaped[np.ndarray, "n k"]) -> Shaped[np.ndarray, "k n"]:
    return np.ascontiguousarray(rows.T)
