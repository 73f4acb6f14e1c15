"""Cars: saloons, hatchbacks, estates, SUVs, vans, taxis and police cars, x forward, wheels on z = 0."""

from dataclasses import dataclass, replace

import numpy as np

from worldloom.synth.road_users.coachwork import (
    CHASSIS,
    CHROME,
    GLASS,
    HEADLAMP,
    INDICATOR,
    PLATE,
    RIM,
    TAIL_LAMP,
    TRIM,
    axle_wheels,
    end_quad,
    loft,
    mirrored,
    paint,
    pane,
    shell,
    side_quad,
)
from worldloom.synth.shapes import box, slab
from worldloom.synth.world import Colour, Material, Part


@dataclass(frozen=True)
class CarBody:
    """Measures of a car, metres; places along it are shares of its length behind the nose."""

    length: float
    width: float  # without mirrors
    height: float
    windscreen: tuple[float, float]  # foot and upper edge
    rear_window: tuple[float, float]  # upper edge and foot
    belt: float  # height of the lower edge of the windows
    nose: float = 0.68  # height of the bonnet's front edge
    deck: float = 0.95  # height of the boot lid at the tail
    wheel: float = 0.32  # radius
    axles: tuple[float, float] = (0.19, 0.79)
    clearance: float = 0.2
    panes: tuple[tuple[float, float], ...] = ((0.08, 0.47), (0.51, 0.9))  # side windows, front to rear
    roof: float = 0.76  # half width of the roof as a share of the body's
    bed: bool = False  # an open load bed behind the cab


CAR_BODIES = {
    "hatchback": CarBody(4.05, 1.77, 1.48, (0.25, 0.42), (0.88, 0.97), 0.93, deck=0.9, axles=(0.19, 0.81)),
    "saloon": CarBody(4.75, 1.83, 1.45, (0.28, 0.43), (0.71, 0.86), 0.93, deck=0.98),
    "estate": CarBody(
        4.7, 1.83, 1.48, (0.27, 0.42), (0.92, 0.98), 0.93, panes=((0.06, 0.35), (0.38, 0.64), (0.67, 0.93))
    ),
    "suv": CarBody(
        4.65,
        1.9,
        1.74,
        (0.25, 0.38),
        (0.92, 0.98),
        1.08,
        nose=0.88,
        wheel=0.37,
        clearance=0.27,
        panes=((0.06, 0.37), (0.4, 0.68), (0.71, 0.93)),
        roof=0.78,
    ),
    "minivan": CarBody(
        4.9,
        1.92,
        1.8,
        (0.2, 0.39),
        (0.94, 0.985),
        1.03,
        nose=0.8,
        wheel=0.34,
        roof=0.8,
        panes=((0.08, 0.38), (0.41, 0.68), (0.71, 0.95)),
    ),
    "van": CarBody(
        5.25,
        1.95,
        2.05,
        (0.17, 0.3),
        (0.975, 0.995),
        1.18,
        nose=0.95,
        wheel=0.34,
        roof=0.86,
        axles=(0.17, 0.76),
        panes=((0.05, 0.26),),
    ),
}
PICKUP = CarBody(
    5.5,
    1.95,
    1.85,
    (0.26, 0.37),
    (0.585, 0.625),
    1.15,
    nose=0.98,
    deck=1.12,
    wheel=0.39,
    clearance=0.32,
    axles=(0.17, 0.79),
    panes=((0.1, 0.52), (0.57, 0.9)),
    roof=0.78,
    bed=True,
)
COLOURS: tuple[Colour, ...] = (
    (0.72, 0.72, 0.7),
    (0.03, 0.03, 0.035),
    (0.3, 0.31, 0.33),
    (0.12, 0.13, 0.15),
    (0.42, 0.03, 0.03),
    (0.04, 0.1, 0.32),
    (0.5, 0.52, 0.54),
    (0.06, 0.16, 0.1),
    (0.55, 0.42, 0.25),
    (0.2, 0.35, 0.55),
)
TAXI_YELLOW: Colour = (0.75, 0.5, 0.04)


def car(body: CarBody, colour: Colour, fitted: str = "") -> list[Part]:
    """A car; `fitted` with the roof sign of a "taxi" or the light bar of the "police"."""
    skin = paint(colour)
    half, length = body.width / 2, body.length
    at = lambda share: length / 2 - share * length  # noqa: E731 (a ruler along the car)
    axles = [at(share) for share in body.axles]
    parts = [
        _lower_body(body, skin),
        slab((axles[1] - 0.1, -0.62 * half, body.clearance), (axles[0] + 0.1, 0.62 * half, 0.62), CHASSIS),
        *axle_wheels(axles, half - 0.01, body.wheel, 0.22, RIM),
        *_greenhouse(body, skin),
        *_face(body),
        *_tail(body),
        *mirrored(_side(body, skin)),
    ]
    if body.bed:
        parts += _bed(body)
    if fitted == "taxi":
        sign = paint((0.85, 0.8, 0.6))
        parts.append(box((0.22, 0.5, 0.14), (at(0.5), 0, body.height + 0.07), sign))
    if fitted == "police":
        blue = Material("blue lamp", (0.03, 0.08, 0.6), roughness=0.15)
        parts += [
            box((0.26, 1.1, 0.05), (at(0.48), 0, body.height + 0.02), TRIM),
            *mirrored([box((0.24, 0.45, 0.1), (at(0.48), 0.3, body.height + 0.07), blue)]),
        ]
        stripe = paint((0.04, 0.1, 0.4))
        parts += mirrored([pane(side_quad(at(0.3), at(0.7), half, 0.45, 0.85), (0, 1), (0.3, 0.75), stripe)])
    return parts


def _lower_body(body: CarBody, skin: Material) -> Part:
    half, length = body.width / 2, body.length
    xs = np.array([0.0, 0.015, 0.07, body.windscreen[0], body.rear_window[1], 0.985, 1.0])
    deck = body.deck if body.rear_window[1] < 0.95 else body.belt
    tops = np.array(
        [0.55 * body.nose, 0.86 * body.nose, body.nose + 0.06, body.belt, max(deck, body.belt), deck, 0.8 * deck]
    )
    if body.bed:
        xs = np.array(
            [0.0, 0.015, 0.07, body.windscreen[0], body.rear_window[1] - 0.001, body.rear_window[1], 0.99, 1.0]
        )
        tops = np.array([0.7, 0.9, 1.04, body.belt / body.nose, body.belt / body.nose, 0.75, 0.75, 0.74]) * body.nose
    place = length / 2 - xs * length

    def half_width(x: float) -> float:
        from_end = min(length / 2 - x, x + length / 2) / length
        return half * (1 - 0.16 * max(0.0, 1 - from_end / 0.09) ** 2)

    def bottom(x: float) -> float:
        from_end = min(length / 2 - x, x + length / 2) / length
        return body.clearance + 0.12 * max(0.0, 1 - from_end / 0.1)

    return shell(
        (-length / 2, length / 2),
        half_width,
        bottom,
        lambda x: float(np.interp(x, place[::-1], tops[::-1])),
        skin,
        stations=[*place.tolist(), *(s * length * share for share in (0.41, 0.455, 0.485) for s in (-1, 1))],
        axles=[length / 2 - share * length for share in body.axles],
        arch=(body.wheel + 0.06, body.wheel),
        tumble=0.9,
    )


def _greenhouse(body: CarBody, skin: Material) -> list[Part]:
    """Pillars and roof of paint, with panes set on their faces."""
    half, length = body.width / 2, body.length
    foot, top = body.belt - 0.03, body.height - 0.05
    lower, upper = 0.89 * half, body.roof * half

    def ring(front: float, rear: float, y: float, z: float) -> np.ndarray:
        f, r = length / 2 - front * length, length / 2 - rear * length
        return np.array([(f, -y, z), (f, y, z), (r, y, z), (r, -y, z)])

    (w0, w1), (r0, r1) = body.windscreen, body.rear_window
    base, edge = ring(w0, r1, lower, foot), ring(w1, r0, upper, top)
    crown = ring(w1 + 0.03, r0 - 0.02, 0.82 * upper, body.height)
    faces = {
        name: np.stack([base[i], base[j], edge[j], edge[i]])
        for name, i, j in (("front", 0, 1), ("left", 1, 2), ("rear", 2, 3), ("right", 3, 0))
    }
    panes = [
        pane(faces["front"], (0.05, 0.95), (0.06, 0.94), GLASS),
        pane(faces["rear"], (0.08, 0.92), (0.15 if r1 < 0.95 else 0.3, 0.9), GLASS),
    ]
    for a, b in body.panes:
        panes.append(pane(faces["left"], (a, b), (0.1, 0.9), GLASS))
        panes.append(pane(faces["right"], (1 - b, 1 - a), (0.1, 0.9), GLASS))
    return [loft([base, edge, crown], skin), *panes]


def _face(body: CarBody) -> list[Part]:
    """Grille, lamps, bumper and plate at the nose."""
    half, x, nose = body.width / 2, body.length / 2, body.nose
    front = end_quad(x - 0.005, -0.84 * half, 0.84 * half, body.clearance + 0.12, 0.56 * nose, front=True)
    upper = end_quad(x - 0.035, -0.84 * half, 0.84 * half, 0.55 * nose, 0.87 * nose, front=True)
    upper[:, 0] = [x, x, x - 0.015 * body.length, x - 0.015 * body.length]
    return [
        pane(front, (0.12, 0.88), (0.0, 0.35), TRIM),
        pane(front, (0.36, 0.64), (0.5, 0.95), PLATE, lift=0.02),
        pane(upper, (0.25, 0.75), (0.05, 0.85), TRIM),
        pane(upper, (0.46, 0.54), (0.3, 0.7), CHROME, lift=0.02),
        pane(upper, (-0.02, 0.23), (0.1, 0.95), HEADLAMP, lift=0.015),
        pane(upper, (0.77, 1.02), (0.1, 0.95), HEADLAMP, lift=0.015),
    ]


def _tail(body: CarBody) -> list[Part]:
    half, x = body.width / 2, -body.length / 2
    deck = (0.74 * body.nose if body.bed else body.deck if body.rear_window[1] < 0.95 else body.belt) * (
        1 if body.bed else 0.8
    )
    rear = end_quad(x, -0.82 * half, 0.82 * half, body.clearance + 0.14, deck, front=False)
    return [
        pane(rear, (-0.02, 0.2), (0.55, 0.98), TAIL_LAMP),
        pane(rear, (0.8, 1.02), (0.55, 0.98), TAIL_LAMP),
        pane(rear, (0.36, 0.64), (0.45, 0.72), PLATE),
        pane(rear, (0.0, 1.0), (0.0, 0.22), TRIM, lift=0.02),
    ]


def _side(body: CarBody, skin: Material) -> list[Part]:
    """Mirror, door handles, sill and indicator of the left side."""
    half, length = body.width / 2, body.length
    x = length / 2 - (body.windscreen[0] + 0.055) * length
    front, rear = (length / 2 - share * length for share in body.axles)
    sill = side_quad(
        front - body.wheel - 0.1, rear + body.wheel + 0.1, 0.972 * half, body.clearance, body.clearance + 0.1
    )
    handles = [0.47, 0.68] if len(body.panes) > 1 else [0.33]
    return [
        box((0.12, 0.2, 0.13), (x, half + 0.0, body.belt + 0.06), skin),
        box((0.05, 0.1, 0.03), (x + 0.02, 0.93 * half, body.belt + 0.01), TRIM),
        pane(sill, (0, 1), (0, 1), TRIM),
        pane(side_quad(front + 0.42, front + 0.5, 0.985 * half, 0.6, 0.66), (0, 1), (0, 1), INDICATOR),
        *(box((0.16, 0.03, 0.03), (length / 2 - share * length, half, body.belt - 0.12), CHROME) for share in handles),
        # The gap between the doors, and the one ahead of them.
        *(
            pane(
                side_quad(g, g - 0.015, 0.975 * half, body.clearance + 0.1, body.belt - 0.06),
                (0, 1),
                (0, 1),
                TRIM,
                0.02,
            )
            for g in (
                length / 2 - share * length for share in ((0.31, 0.52, 0.71) if len(handles) > 1 else (0.2, 0.36))
            )
        ),
    ]


def _bed(body: CarBody) -> list[Part]:
    """Walls around the load bed of a pickup, over a dark floor."""
    half, length = 0.9 * body.width / 2, body.length
    front = length / 2 - body.rear_window[1] * length - 0.05
    rear = -length / 2 + 0.02
    low, high = 0.73 * body.nose, body.deck
    return [
        slab((rear + 0.05, -half + 0.07, low), (front, half - 0.07, low + 0.03), TRIM),
        *mirrored([slab((rear, half - 0.07, low), (front, half, high), TRIM)]),
        slab((rear, -half, low), (rear + 0.06, half, high - 0.02), TRIM),
    ]


def car_variants() -> tuple[tuple[str, CarBody, Colour], ...]:
    """(what is fitted, body, colour) of every variant of `car`."""
    rows: list[tuple[str, CarBody, Colour]] = []
    for round_ in range(4):
        for i, body in enumerate(CAR_BODIES.values()):
            # Cars of a kind differ by a few centimetres, as makes do.
            stretch = 1 + 0.03 * (round_ - 1.5) / 1.5 * (1 if i % 2 else -1)
            rows.append(
                (
                    "",
                    replace(body, length=round(body.length * stretch, 3)),
                    COLOURS[(3 * i + 7 * round_) % len(COLOURS)],
                )
            )
    return (*rows, ("taxi", CAR_BODIES["saloon"], TAXI_YELLOW), ("police", CAR_BODIES["estate"], COLOURS[0]))
