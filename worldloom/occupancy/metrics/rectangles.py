"""The area that two rectangles share."""

import math

Rectangle = tuple[float, float, float, float, float]  # x, y, yaw, length, width


def rectangle_overlap(one: Rectangle, other: Rectangle) -> float:
    """Shared area: one is clipped by each side of the other in turn (Sutherland and Hodgman 1974)."""
    polygon = _corners(one)
    x, y, yaw, length, width = other
    cos, sin = math.cos(yaw), math.sin(yaw)
    for (n_x, n_y), half in (
        ((cos, sin), length / 2),
        ((-cos, -sin), length / 2),
        ((-sin, cos), width / 2),
        ((sin, -cos), width / 2),
    ):
        polygon = _clipped(polygon, n_x, n_y, n_x * x + n_y * y + half)
        if not polygon:
            return 0.0
    shifted = [*polygon[1:], polygon[0]]
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(polygon, shifted, strict=True))) / 2


def _corners(rectangle: Rectangle) -> list[tuple[float, float]]:
    x, y, yaw, length, width = rectangle
    cos, sin = math.cos(yaw), math.sin(yaw)
    return [
        (x + cos * a * length / 2 - sin * b * width / 2, y + sin * a * length / 2 + cos * b * width / 2)
        for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))
    ]


def _clipped(polygon: list[tuple[float, float]], n_x: float, n_y: float, limit: float) -> list[tuple[float, float]]:
    """The part with n_x x + n_y y <= limit."""
    kept = []
    for a, b in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        over_a, over_b = n_x * a[0] + n_y * a[1] - limit, n_x * b[0] + n_y * b[1] - limit
        if over_a <= 0:
            kept.append(a)
        if (over_a < 0 < over_b) or (over_b < 0 < over_a):
            share = over_a / (over_a - over_b)
            kept.append((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
    return kept
