"""Floor plans: rooms as outlines, and the doors and windows in their walls."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

Number = float | int
Point = tuple[Number, Number]
Rect = tuple[Number, Number, Number, Number]  # x0, y0, x1, y1
_DOORS_WIDE = 0.1  # of wall that stays on each side of a door


@dataclass(frozen=True)
class Edge:
    """One side of a room, with the room on its left."""

    start: Point
    end: Point

    @property
    def length(self) -> float:
        return abs(self.end[0] - self.start[0]) + abs(self.end[1] - self.start[1])

    @property
    def along(self) -> Point:
        """Unit direction; the inward normal is (-y, x) of it."""
        return ((self.end[0] - self.start[0]) / self.length, (self.end[1] - self.start[1]) / self.length)

    def point(self, u: Number, inward: Number = 0.0) -> Point:
        """The point u metres along the edge and `inward` metres into the room."""
        dx, dy = self.along
        return (self.start[0] + u * dx - inward * dy, self.start[1] + u * dy + inward * dx)

    def local(self, point: Point) -> Point:
        """(u, inward) of a point: the inverse of `point`."""
        dx, dy = self.along
        x, y = point[0] - self.start[0], point[1] - self.start[1]
        return (x * dx + y * dy, y * dx - x * dy)


@dataclass(frozen=True)
class Gallery:
    """An upper floor inside a high room, over x < edge, with a flight of stairs that runs along the wall at high y."""

    edge: Number
    level: Number
    steps: int
    going: Number  # depth of a step
    width: Number

    @property
    def foot(self) -> float:
        """x where the flight starts."""
        return self.edge + self.steps * self.going


@dataclass(frozen=True)
class Room:
    """A room: inner faces of its walls as a counter-clockwise outline of right angles, and what is overhead."""

    use: str
    outline: tuple[Point, ...]
    height: Number
    knee: Number | None = None  # height of the walls along x, under a roof whose ridge runs along x
    ridge: Number = 0.0  # y of that ridge
    gallery: Gallery | None = None

    @property
    def edges(self) -> tuple[Edge, ...]:
        after = (*self.outline[1:], self.outline[0])
        return tuple(Edge(a, b) for a, b in zip(self.outline, after, strict=True))

    @property
    def bounds(self) -> Rect:
        xs, ys = [p[0] for p in self.outline], [p[1] for p in self.outline]
        return (min(xs), min(ys), max(xs), max(ys))

    @property
    def area(self) -> float:
        after = (*self.outline[1:], self.outline[0])
        return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(self.outline, after, strict=True)) / 2

    def headroom(self, y: Number) -> float:
        """Height of the ceiling over a line of constant y."""
        if self.knee is None:
            return self.height
        _, low, _, high = self.bounds
        span = self.ridge - low if y < self.ridge else high - self.ridge
        return self.height - (self.height - self.knee) * abs(y - self.ridge) / span


@dataclass(frozen=True)
class Opening:
    """A door, doorway or window, by the middle of its foot on the middle line of the wall."""

    kind: str  # "doorway", "door", "window", or "blind door": one that leads nowhere and stays closed
    at: Point
    axis: int  # the wall runs along x (0) or y (1)
    width: Number
    bottom: Number
    top: Number
    rooms: tuple[int, int]  # the second is -1 where it leads outside
    angle: Number = 0.0  # of the leaf, in degrees; 0 is closed
    hinge: int = 1  # at the end towards +axis (1) or -axis (-1)
    swing: int = 1  # the leaf opens towards the positive (1) or negative (-1) side of the wall


@dataclass(frozen=True)
class FloorPlan:
    """Rooms and openings; walls between rooms have one thickness."""

    kind: str
    rooms: tuple[Room, ...]
    openings: tuple[Opening, ...]
    wall: Number = 0.14
    level: Number = 0.0  # height of the floor above the ground outside


KINDS = (
    *("flat", "flat", "flat", "flat", "flat", "living", "bedroom", "kitchen", "bathroom", "office", "studio"),
    *("attic", "corridor", "gallery", "stairwell", "gym", "museum", "factory", "lecture", "library"),
)


def kind_of(seed: int) -> str:
    """The kind of a seed's room: twenty seeds in a row show every kind, in shuffled order."""
    order = list(KINDS)
    random.Random(seed // len(order)).shuffle(order)
    return order[seed % len(order)]


def draw_plan(kind: str, dice: random.Random) -> FloorPlan:
    """A plan of one of KINDS."""
    wall = dice.uniform(0.1, 0.2)
    height = dice.uniform(2.35, 3.3)
    drawn = _ROOMS[kind](dice, wall, height)
    level = 0.25 if kind in ("gym", "factory", "museum", "lecture") else dice.choice((0.2, 0.4, 3.0, 6.0, 9.0))
    openings = [*_inner_doors(drawn, wall, dice), *_blind_doors(drawn, wall, dice)]
    openings += _windows(drawn, wall, dice, openings)
    return FloorPlan(kind, tuple(drawn), tuple(openings), wall, level)


def inset(outline: Sequence[Point], by: Number) -> tuple[Point, ...]:
    """A right-angled outline with all sides moved inwards (outwards where negative)."""
    points = []
    for i, (x, y) in enumerate(outline):
        for a, b in ((outline[i - 1], (x, y)), ((x, y), outline[(i + 1) % len(outline)])):
            dx, dy = Edge(a, b).along
            x, y = x - by * dy, y + by * dx
        points.append((x, y))
    return tuple(points)


def free_stretches(room: Room, others: Sequence[Room], wall: Number, edge: Edge) -> list[tuple[Number, Number]]:
    """The stretches (u0, u1) of a room's edge that have no other room behind them."""
    taken = [
        (u0, u1) for other in others if other is not room for e in other.edges for u0, u1 in [_shared(edge, e, wall)]
    ]
    return _without((0.0, edge.length), [t for t in taken if t[1] - t[0] > 0.01])


def _without(whole: tuple[Number, Number], taken: Sequence[tuple[Number, Number]]) -> list[tuple[Number, Number]]:
    free, start = [], whole[0]
    for u0, u1 in sorted(taken):
        if min(u0, whole[1]) > start + 0.01:
            free.append((start, min(u0, whole[1])))
        start = max(start, u1)
    if whole[1] > start + 0.01:
        free.append((start, whole[1]))
    return free


def _shared(edge: Edge, other: Edge, wall: Number) -> tuple[Number, Number]:
    """The stretch of `edge` that has `other` behind it, grown by the wall; empty (0, 0) where there is none."""
    (dx, dy), (ox, oy) = edge.along, other.along
    if abs(dx + ox) > 1e-6 or abs(dy + oy) > 1e-6:
        return (0.0, 0.0)
    (a, depth), (b, _) = edge.local(other.start), edge.local(other.end)
    if abs(depth + wall) > 0.02:
        return (0.0, 0.0)
    low, high = max(0.0, min(a, b) - wall), min(edge.length, max(a, b) + wall)
    return (low, high) if high > low else (0.0, 0.0)


# What rooms there are.


def _box(rect: Rect) -> tuple[Point, ...]:
    x0, y0, x1, y1 = rect
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def _split(rects: list[Rect], wanted: int, dice: random.Random, least: Number = 2.4) -> list[Rect]:
    """Cut the largest rectangle across its longer side, until there are enough."""
    rects = list(rects)
    while len(rects) < wanted:
        rects.sort(key=lambda r: (r[2] - r[0]) * (r[3] - r[1]))
        for k in range(len(rects) - 1, -1, -1):
            x0, y0, x1, y1 = rects[k]
            w, d = x1 - x0, y1 - y0
            if max(w, d) < 2 * least:
                continue
            share = dice.uniform(max(0.34, least / max(w, d)), min(0.66, 1 - least / max(w, d)))
            cut = (x0 + share * w) if w > d else (y0 + share * d)
            pair = ((x0, y0, cut, y1), (cut, y0, x1, y1)) if w > d else ((x0, y0, x1, cut), (x0, cut, x1, y1))
            rects[k : k + 1] = pair
            break
        else:
            break
    return rects


def _carve(rect: Rect, dice: random.Random, least: Number = 2.2) -> tuple[tuple[Point, ...], Rect] | None:
    """An L-shaped outline and the corner that was cut from it; None where the rectangle is too small."""
    x0, y0, x1, y1 = rect
    w, d = x1 - x0, y1 - y0
    if min(w, d) < 2 * least:
        return None
    a, b = dice.uniform(least, w - least), dice.uniform(least, d - least)
    if dice.random() < 0.5:
        return ((x0, y0), (x1, y0), (x1, y1 - b), (x1 - a, y1 - b), (x1 - a, y1), (x0, y1)), (x1 - a, y1 - b, x1, y1)
    return ((x0, y0), (x1, y0), (x1, y1), (x0 + a, y1), (x0 + a, y1 - b), (x0, y1 - b)), (x0, y1 - b, x0 + a, y1)


def _flat(dice: random.Random, wall: Number, height: Number) -> list[Room]:
    wanted = dice.choice((2, 3, 3, 4, 4, 5, 6))
    area = sum(dice.uniform(10, 19) for _ in range(wanted)) + 8
    w = dice.uniform(1.0, 1.6) * area**0.5
    d = area / w
    rects = _split([(0, 0, w, d)], wanted - 1, dice)
    rects.sort(key=lambda r: (r[2] - r[0]) * (r[3] - r[1]))
    carved = _carve(rects[-1], dice) if dice.random() < 0.6 else None
    if carved is not None:
        outlines = [_box(r) for r in (*rects[:-1], carved[1])] + [carved[0]]
    else:
        outlines = [_box(r) for r in _split(rects, wanted, dice)]
    rooms = [Room("", inset(o, wall / 2), height) for o in outlines]
    rooms.sort(key=lambda r: r.area)
    uses = ["living"]
    pairs = (["bathroom", "kitchen"], ["bathroom", "bedroom"], ["kitchen", "bedroom"], ["kitchen", "bathroom"])
    small = dice.choice(pairs if len(rooms) == 3 else pairs[:1] + pairs[3:])
    rest = ["bedroom", "bedroom", "office", "bedroom", "dining", "corridor"]
    if len(rooms) == 2:
        uses = [dice.choice(("bathroom", "kitchen", "bedroom")), "living"]
    else:
        middle = rest[: len(rooms) - 3] if dice.random() < 0.6 else dice.sample(rest[:5], len(rooms) - 3)
        uses = [*small, *middle, "living"]
    return [Room(use, r.outline, height) for use, r in zip(uses, rooms, strict=True)]


def _single(use: str, width: tuple[Number, Number], depth: tuple[Number, Number], bend: Number = 0.3):
    def rooms(dice: random.Random, wall: Number, height: Number) -> list[Room]:
        rect = (0.0, 0.0, dice.uniform(*width), dice.uniform(*depth))
        carved = _carve(rect, dice, 1.9) if dice.random() < bend else None
        outline = carved[0] if carved else _box(rect)
        tall = dice.uniform(3.2, 4.2) if use in ("living", "studio", "office") and dice.random() < 0.25 else height
        return [Room(use, inset(outline, wall / 2), tall)]

    return rooms


def _hall(use: str, width: tuple[Number, Number], depth: tuple[Number, Number], tall: tuple[Number, Number]):
    def rooms(dice: random.Random, wall: Number, height: Number) -> list[Room]:
        w, d = dice.uniform(*width), dice.uniform(*depth)
        drawn = [Room(use, inset(_box((0, 0, w, d)), wall / 2), dice.uniform(*tall))]
        if use in ("museum", "library", "factory") and dice.random() < 0.6:
            beside = {"museum": "museum", "library": "office", "factory": "office"}[use]
            side = dice.uniform(3.5, 6)
            rect = (w, 0.0, w + side, dice.uniform(0.5, 1) * d)
            tops = min(drawn[0].height, dice.uniform(2.8, 4.5))
            drawn.append(Room(beside, inset(_box(rect), wall / 2), tops))
        return drawn

    return rooms


def _attic(dice: random.Random, wall: Number, height: Number) -> list[Room]:
    w, d = dice.uniform(6, 10), dice.uniform(4.8, 7)
    rects = _split([(0, 0, w, d)], 1, dice)
    if w > 7:
        cut = dice.uniform(0.4, 0.6) * w
        rects = [(0, 0, cut, d), (cut, 0, w, d)]
    knee, top = dice.uniform(0.7, 1.5), dice.uniform(2.7, 4.2)
    uses = [dice.choice(("living", "bedroom", "office", "studio")), dice.choice(("bedroom", "office", "living"))]
    return [
        Room(use, inset(_box(rect), wall / 2), top, knee=knee, ridge=d / 2)
        for use, rect in zip(uses, rects, strict=False)
    ]


def _corridor(dice: random.Random, wall: Number, height: Number) -> list[Room]:
    length, width = dice.uniform(9, 20), dice.uniform(1.7, 2.8)
    drawn = [Room("corridor", inset(_box((0, 0, length, width)), wall / 2), height)]
    uses = ["office", "office", "bedroom", "bathroom", "kitchen", "living"]
    for low, high in ((width, width + dice.uniform(3.2, 4.5)), (-dice.uniform(3.2, 4.5), 0.0)):
        x = dice.uniform(0, 2.5)
        while x + 2.6 < length and len(drawn) < 5:
            room = dice.uniform(2.6, 4.5)
            x1 = min(length, x + room)
            if dice.random() < 0.6:
                drawn.append(Room(dice.choice(uses), inset(_box((x, low, x1, high)), wall / 2), height))
            x = x1 + (0 if dice.random() < 0.6 else dice.uniform(0.5, 2))
    return drawn


def _gallery(use: str):
    def rooms(dice: random.Random, wall: Number, height: Number) -> list[Room]:
        deep = dice.uniform(2.2, 3.4) if use == "loft" else dice.uniform(1.5, 2.0)
        steps = dice.choice((14, 15, 16))
        level = steps * dice.uniform(0.17, 0.19)
        stairs = Gallery(deep, level, steps, dice.uniform(0.24, 0.29), dice.uniform(0.85, 1.15))
        rest = dice.uniform(2.2, 4.5) if use == "loft" else dice.uniform(1.6, 2.4)
        w, d = stairs.foot + rest, dice.uniform(5, 7) if use == "loft" else dice.uniform(3.4, 5)
        high = level + dice.uniform(2.35, 2.9)
        drawn = [Room(use, inset(_box((0, 0, w, d)), wall / 2), high, gallery=stairs)]
        uses = dice.sample(("kitchen", "bedroom", "bathroom", "office"), 2)
        side = dice.uniform(2.6, 4.2)
        if dice.random() < 0.8:
            drawn.append(Room(uses[0], inset(_box((w, 0, w + side, d * dice.uniform(0.6, 1))), wall / 2), height))
        if dice.random() < 0.5:
            x = dice.uniform(0.3, 0.5) * w
            drawn.append(Room(uses[1], inset(_box((x, -dice.uniform(2.6, 3.8), w, 0)), wall / 2), height))
        return drawn

    return rooms


_ROOMS = {
    "flat": _flat,
    "living": _single("living", (4.2, 7.5), (3.8, 6)),
    "bedroom": _single("bedroom", (3.4, 5.5), (3.2, 4.8)),
    "kitchen": _single("kitchen", (3.0, 5.8), (2.9, 4.6), 0.2),
    "bathroom": _single("bathroom", (2.4, 4.2), (2.2, 3.6), 0.1),
    "office": _single("office", (4.5, 10), (4, 7)),
    "studio": _single("studio", (5, 8), (4.4, 6.5), 0.45),
    "attic": _attic,
    "corridor": _corridor,
    "gallery": _gallery("loft"),
    "stairwell": _gallery("stairwell"),
    "gym": _hall("gym", (20, 30), (12, 18), (5.5, 8)),
    "museum": _hall("museum", (10, 18), (8, 13), (4, 7)),
    "factory": _hall("factory", (14, 26), (10, 16), (4.5, 8)),
    "lecture": _hall("lecture", (10, 15), (9, 13), (4, 6)),
    "library": _hall("library", (9, 16), (8, 12), (3, 5.5)),
}


# Where rooms open.


def _inner_doors(rooms: Sequence[Room], wall: Number, dice: random.Random) -> list[Opening]:
    """Openings that join all rooms into one walk, the largest room first, and some more doors."""
    hub = max(range(len(rooms)), key=lambda i: (rooms[i].use in ("corridor", "living", "loft"), rooms[i].area))
    reached, doors, joined = [hub], [], set()
    grew = True
    while grew:
        grew = False
        for i in reached:
            for j in range(len(rooms)):
                if j not in reached:
                    door = _door_between(rooms, i, j, wall, dice, must=True)
                    if door is not None:
                        doors.append(door)
                        reached.append(j)
                        joined.add((min(i, j), max(i, j)))
                        grew = True
    for i in range(len(rooms)):
        for j in range(i + 1, len(rooms)):
            if (i, j) not in joined and dice.random() < 0.4:
                door = _door_between(rooms, i, j, wall, dice, must=False)
                if door is not None:
                    doors.append(door)
    return doors


def _door_between(
    rooms: Sequence[Room], i: int, j: int, wall: Number, dice: random.Random, must: bool
) -> Opening | None:
    a, b = rooms[i], rooms[j]
    best: tuple[Number, Edge, Number, Number] | None = None
    for edge in a.edges:
        for other in b.edges:
            u0, u1 = _overlap(edge, other, wall)
            if u1 - u0 > 1.0 and (best is None or u1 - u0 > best[0]):
                best = (u1 - u0, edge, u0, u1)
    if best is None:
        return None
    room_for, edge, u0, u1 = best
    top = min(dice.uniform(1.98, 2.15), a.height - 0.15, b.height - 0.15)
    private = {a.use, b.use} & {"bathroom", "bedroom", "office"}
    wide = must and not private and room_for > 2.0 and dice.random() < 0.5
    width = dice.uniform(1.4, min(2.6, room_for - 0.4)) if wide else min(dice.uniform(0.82, 1.0), room_for - 0.2)
    at_end = room_for - width > 0.5 and dice.random() < 0.6  # most doors are near a corner
    low, high = u0 + width / 2 + _DOORS_WIDE, u1 - width / 2 - _DOORS_WIDE
    u = dice.choice((low, high)) if at_end else dice.uniform(min(low, high), max(low, high))
    if a.knee is not None:
        ridge = edge.local((edge.start[0], a.ridge))[0]
        u = min(max(ridge, low), high)
    kind = "doorway" if wide or (must and dice.random() < 0.25) else "door"
    angle = dice.choice((dice.uniform(80, 100), dice.uniform(82, 92), dice.uniform(95, 112)))
    if not must:
        angle = dice.choice((0.0, 0.0, dice.uniform(12, 45)))
    axis = 0 if abs(edge.along[0]) > 0.5 else 1
    middle = edge.point(u, -wall / 2)
    ends_near = (u - u0 < u1 - u) == (edge.along[axis] > 0)  # the hinge is at the end near a corner
    return Opening(
        kind=kind,
        at=middle,
        axis=axis,
        width=width,
        bottom=0.0,
        top=max(top, 2.5 if wide and min(a.height, b.height) > 2.8 else top),
        rooms=(i, j),
        angle=angle,
        hinge=-1 if ends_near else 1,
        swing=dice.choice((-1, 1)),
    )


def _overlap(edge: Edge, other: Edge, wall: Number) -> tuple[Number, Number]:
    """As `_shared`, without the wall's thickness at the ends."""
    low, high = _shared(edge, other, wall)
    if high <= low:
        return (0.0, 0.0)
    a, b = sorted((edge.local(other.start)[0], edge.local(other.end)[0]))
    return (max(0.0, a), min(edge.length, b))


def _blind_doors(rooms: Sequence[Room], wall: Number, dice: random.Random) -> list[Opening]:
    """Closed doors in walls with nothing behind: front doors, cupboards, the other rooms of a corridor."""
    doors = []
    for i, room in enumerate(rooms):
        often = {"corridor": 0.95, "stairwell": 0.9}.get(room.use, 0.9 if len(rooms) == 1 else 0.15)
        wanted = dice.randint(3, 6) if room.use == "corridor" else 1
        for edge in room.edges:
            for u0, u1 in free_stretches(room, rooms, wall, edge):
                if wanted < 1 or u1 - u0 < 1.3 or dice.random() > often:
                    continue
                width = dice.uniform(0.82, 1.0) if room.height < 4 or dice.random() < 0.3 else dice.uniform(1.5, 2.2)
                if u1 - u0 < width + 0.4:
                    continue
                u = dice.uniform(u0 + width / 2 + 0.15, u1 - width / 2 - 0.15)
                at = edge.point(u, -wall / 2)
                if room.headroom(at[1]) < 2.3:
                    continue
                axis = 0 if abs(edge.along[0]) > 0.5 else 1
                top = min(dice.uniform(1.98, 2.15), room.height - 0.15)
                if _meets_flight(room, edge.point(u - width / 2), edge.point(u + width / 2)):
                    continue
                doors.append(Opening("blind door", at, axis, width, 0.0, top, (i, -1)))
                wanted -= 1
    return doors


def _meets_flight(room: Room, *points: Point) -> bool:
    """Whether any of the points lies behind the flight of stairs."""
    stairs = room.gallery
    high = room.bounds[3]
    return stairs is not None and any(
        y > high - stairs.width - 0.2 and stairs.edge - 0.8 < x < stairs.foot + 0.3 for x, y in points
    )


def _windows(rooms: Sequence[Room], wall: Number, dice: random.Random, doors: Sequence[Opening]) -> list[Opening]:
    windows = []
    for i, room in enumerate(rooms):
        hall = room.height > 3.9 and room.gallery is None
        style = _window_style(room, dice)
        share = {"bathroom": 0.5, "corridor": 0.3, "museum": 0.25, "lecture": 0.4, "gym": 0.7}.get(room.use, 0.48)
        for edge in room.edges:
            sloped = room.knee is not None and abs(edge.along[0]) > 0.5
            taken = [
                (u - d.width / 2 - 0.2, u + d.width / 2 + 0.2)
                for d in doors
                for u, depth in [edge.local(d.at)]
                if abs(depth + wall / 2) < 0.02 and style[0] < d.top + 0.1
            ]
            for u0, u1 in free_stretches(room, rooms, wall, edge):
                for v0, v1 in _without((u0 + 0.15, u1 - 0.15), taken):
                    if sloped or v1 - v0 < 0.8 or dice.random() > share:
                        continue
                    windows += _row_of_windows(i, room, edge, (v0, v1), wall, style, dice, hall)
    return windows


def _window_style(room: Room, dice: random.Random) -> tuple[Number, Number, Number]:
    """Sill, top and width that all windows of a room share."""
    head = room.height if room.gallery is None else room.gallery.level
    top = head - dice.uniform(0.12, 0.45)
    if room.use == "bathroom":
        return (dice.uniform(1.1, 1.4), min(top, 2.2), dice.uniform(0.5, 0.9))
    if room.height > 3.9 and room.gallery is None:
        low = dice.uniform(2.2, 0.5 * room.height + 0.6) if room.use in ("gym", "museum") else dice.uniform(0.8, 1.2)
        return (low, min(room.height - 0.5, low + dice.uniform(1.4, 4)), dice.uniform(1.5, 3.2))
    sill = dice.choice((0.03, dice.uniform(0.4, 0.6), *(dice.uniform(0.75, 1.05) for _ in range(5))))
    return (sill, min(top, 2.7), dice.uniform(0.7, 2.2))


def _row_of_windows(
    i: int,
    room: Room,
    edge: Edge,
    stretch: tuple[Number, Number],
    wall: Number,
    style: tuple[Number, Number, Number],
    dice: random.Random,
    hall: bool,
) -> list[Opening]:
    low, high = stretch
    sill, top, wide = style
    width = min(wide, high - low - 0.1)
    most = max(1, int((high - low) / (width + 0.5)))
    count = most if hall else min(most, dice.choice((1, 1, 2, 3)))
    row = []
    for k in range(count):
        u = low + (high - low) * (k + 0.5) / count
        at = edge.point(u, -wall / 2)
        ends = [room.headroom(edge.point(u + s * width / 2)[1]) for s in (-1, 1)]
        head = min(top, min(ends) - 0.15)
        if head - sill < 0.5 or _meets_flight(room, edge.point(u - width / 2), edge.point(u + width / 2)):
            continue
        axis = 0 if abs(edge.along[0]) > 0.5 else 1
        row.append(Opening("window", at, axis, width, sill, head, (i, -1)))
    return row
