"""Where furniture may stand: a map of the floor that keeps walls, doors, windows and people's ways free."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage

from worldloom.geometry import compose
from worldloom.synth.rooms.floor_plan import Edge, FloorPlan, Opening, Point, Room
from worldloom.synth.rooms.openings import leaf_frame
from worldloom.synth.rooms.shell import edge_of, yaw_of
from worldloom.synth.shapes import Number, turned
from worldloom.synth.world import Thing

Point3 = tuple[Number, Number, Number]
Group = tuple[Thing, ...]  # things in one frame: the floor is z = 0, the front looks along +x
BODY = 0.3  # radius of a person
_CLEAR = 0.34  # what ways must have, so that the map's cells are not missed by a hair
_OVER_SILLS = 0.25  # how far a bed's head or a chair's back may reach up in front of a window
_STEP_OVER = 0.05  # rugs and thresholds


@dataclass
class Floor:
    """What stands where on the floor of a plan. It grows as things are placed."""

    plan: FloorPlan
    things: list[Thing] = field(default_factory=list)
    shut: list[tuple[Edge, Number, Number, Number, Number]] = field(default_factory=list)  # edge, u0, u1, z0, z1

    def __post_init__(self) -> None:
        bounds = np.array([room.bounds for room in self.plan.rooms])
        self.low = bounds[:, :2].min(0) - 0.5
        size = bounds[:, 2:].max(0) + 0.5 - self.low
        self.cell = 0.05 if size.prod() < 260 else 0.1
        self.shape = tuple(np.ceil(size / self.cell).astype(int).tolist())
        self.room_at = np.full(self.shape, -1)
        self.headroom = np.zeros(self.shape)
        x, y = self._centres()
        for i, room in enumerate(self.plan.rooms):
            inside = _inside(room.outline, x, y)
            self.room_at[inside] = i
            self.headroom[inside] = np.vectorize(room.headroom)(y[0])[None].repeat(len(x), 0)[inside]
            if room.gallery is not None:
                under = inside & (x < room.gallery.edge)
                self.headroom[under] = room.gallery.level - 0.24
        self.walls = self.room_at < 0  # and all that was there before the furniture
        self.stuff = np.zeros(self.shape, dtype=bool)
        self.keep = np.zeros(self.shape, dtype=bool)
        self.doors: list[Opening] = []
        for opening in self.plan.openings:
            self._open(opening)
        for room in self.plan.rooms:
            self._block_stairs(room)

    def _centres(self) -> tuple[Float[np.ndarray, "i j"], Float[np.ndarray, "i j"]]:
        x, y = (self.low[k] + (np.arange(self.shape[k]) + 0.5) * self.cell for k in range(2))
        return tuple(np.meshgrid(x, y, indexing="ij"))  # type: ignore[return-value]

    def _open(self, opening: Opening) -> None:
        """Let people through a door, keep its approaches free, and let its leaf stand where it stands."""
        wall = self.plan.wall
        for i in opening.rooms:
            found = edge_of(self.plan.rooms[i], opening, wall) if i >= 0 else None
            if found is None:
                continue
            edge, u = found
            half = opening.width / 2
            self.shut.append((edge, u - half - 0.08, u + half + 0.08, opening.bottom, opening.top + 0.08))
            if opening.kind != "window":
                deep = 0.55 if opening.kind == "blind door" else 0.85
                self.keep |= self._rectangle(edge, u - half, u + half, 0.0, deep)
        if opening.kind in ("window", "blind door"):
            return
        self.doors.append(opening)
        found = edge_of(self.plan.rooms[opening.rooms[0]], opening, wall)
        assert found is not None
        edge, u = found
        half = opening.width / 2 - 0.02
        passage = self._rectangle(edge, u - half, u + half, -wall, 0.0)
        self.walls &= ~passage
        self.headroom[passage] = opening.top
        if opening.kind == "door":
            (x, y), yaw, side = leaf_frame(opening, wall)
            long = opening.width - 0.05
            corners = [(0.0, 0.0), (long, 0.0), (long, side * 0.04), (0.0, side * 0.04)]
            leaf = [
                (x + a * math.cos(yaw) - b * math.sin(yaw), y + a * math.sin(yaw) + b * math.cos(yaw))
                for a, b in corners
            ]
            self.walls |= self._polygon(leaf)
            swept = self._within((x, y), long)
            n = (0, opening.swing) if opening.axis == 0 else (opening.swing, 0)
            cx, cy = self._centres()
            self.keep |= swept & ((cx - x) * n[0] + (cy - y) * n[1] > 0)

    def _block_stairs(self, room: Room) -> None:
        stairs = room.gallery
        if stairs is None:
            return
        x, y = self._centres()
        _, y0, _, y1 = room.bounds
        self.walls |= (x > stairs.edge - 0.05) & (x < stairs.foot) & (y > y1 - stairs.width) & (y < y1)
        self.keep |= (x >= stairs.foot) & (x < stairs.foot + 0.9) & (y > y1 - stairs.width) & (y < y1)
        for post in (y0 + 0.25, y1 - stairs.width - 0.1):
            self.walls |= (np.abs(x - stairs.edge + 0.15) < 0.1) & (np.abs(y - post) < 0.1)

    def area_of(self, i: int) -> float:
        """Cells of a room's whole floor."""
        return float((self.room_at == i).sum())

    def cell_of(self, point: Point) -> tuple[int, int]:
        """The cell that holds a point of the plan."""
        i, j = ((np.array(point) - self.low) / self.cell).astype(int).tolist()
        return i, j

    def _within(self, point: Point, radius: Number) -> Bool[np.ndarray, "i j"]:
        x, y = self._centres()
        return (x - point[0]) ** 2 + (y - point[1]) ** 2 < radius**2

    def _rectangle(self, edge: Edge, u0: Number, u1: Number, near: Number, far: Number) -> Bool[np.ndarray, "i j"]:
        return self._polygon([edge.point(u0, near), edge.point(u1, near), edge.point(u1, far), edge.point(u0, far)])

    @property
    def solid(self) -> Bool[np.ndarray, "i j"]:
        """Where nobody can walk."""
        return self.walls | self.stuff

    def _polygon(self, corners: Sequence[Point], grown: Number = 0.5) -> Bool[np.ndarray, "i j"]:
        """Cells whose middle is in a convex outline of either sense, grown by half a cell."""
        c = np.array(corners)
        out = np.zeros(self.shape, dtype=bool)
        first = np.maximum(((c.min(0) - self.low) / self.cell - 1).astype(int), 0)
        last = np.minimum(((c.max(0) - self.low) / self.cell + 2).astype(int), self.shape)
        if (last <= first).any():
            return out
        x, y = (self.low[k] + (np.arange(first[k], last[k]) + 0.5) * self.cell for k in range(2))
        area = sum(_cross(c[k - 1], c[k]) for k in range(len(c)))
        inside = np.ones((len(x), len(y)), dtype=bool)
        for k in range(len(c)):
            a, b = c[k - 1], c[k]
            length = max(1e-9, math.hypot(*(b - a)))
            away = ((b[0] - a[0]) * (y[None] - a[1]) - (b[1] - a[1]) * (x[:, None] - a[0])) / length
            inside &= away * np.sign(area) > -self.cell * grown
        out[first[0] : last[0], first[1] : last[1]] = inside
        return out

    def place(
        self,
        group: Group,
        at: Point,
        yaw: Number,
        front: Number = 0.0,
        elevation: Number = 0.0,
        share: bool = False,
        snug: bool = False,
    ) -> bool:
        """Set a group down if it neither meets anything nor blocks a way; True if it stands.

        Args:
            front: metres before it that stay free for who uses it.
            share: may stand where only people's use needs room, as chairs do.
            snug: is known to be clear of its wall, which the map's cells may not see.
        """
        feet = [f for f in (footprint(thing) for thing in group) if f is not None]
        c, s = math.cos(yaw), math.sin(yaw)

        def world(points: Float[np.ndarray, "k 2"]) -> list[Point]:
            return [(at[0] + c * px - s * py, at[1] + s * px + c * py) for px, py in points.tolist()]

        taken, core = np.zeros(self.shape, dtype=bool), np.zeros(self.shape, dtype=bool)
        for corners, top in feet:
            cells, inner = self._polygon(world(corners)), self._polygon(world(corners), grown=0.0)
            if (inner & ~self.walls & (self.headroom < top + 0.03)).any():
                return False
            taken |= cells
            core |= inner
        if (taken & (self.stuff if share else self.stuff | self.keep)).any():
            return False
        if ((core if snug else taken) & self.walls).any():
            return False
        ahead = np.zeros(self.shape, dtype=bool)
        if front > 0 and feet:
            every = np.concatenate([corners for corners, _ in feet])
            (x1, y0, y1) = (every[:, 0].max(), every[:, 1].min(), every[:, 1].max())
            ahead = self._polygon(world(np.array([(x1, y0), (x1 + front, y0), (x1 + front, y1), (x1, y1)])))
            if (ahead & self.solid).mean() > 0.15 * ahead.mean():
                return False
        if not self._walkable(taken):
            return False
        self.stuff |= taken
        self.keep |= ahead
        shift = compose(turned(yaw), torch.tensor([at[0], at[1], elevation]))
        self.things += [replace(thing, world_from_thing=shift @ thing.world_from_thing) for thing in group]
        return True

    def _walkable(self, taken: Bool[np.ndarray, "i j"]) -> bool:
        """Whether all doors are still joined to each other and to the middle of their rooms' free floor."""
        hit = np.unique(self.room_at[taken])
        for i in hit[hit >= 0].tolist():
            x0, y0, x1, y1 = self.plan.rooms[i].bounds
            a = np.maximum(((np.array([x0, y0]) - self.low) / self.cell - 8).astype(int), 0)
            b = ((np.array([x1, y1]) - self.low) / self.cell + 8).astype(int)
            window = (slice(a[0], b[0]), slice(a[1], b[1]))
            before = _largest(self._ways(self.solid[window], self.headroom[window]))
            main = _largest(self._ways((self.solid | taken)[window], self.headroom[window]))
            if main.sum() < max(1, min(0.8 * before.sum(), 0.2 * self.area_of(i))):
                return False
            for door in self.doors:
                if i in door.rooms:
                    k = ((np.array(door.at) - self.low) / self.cell).astype(int) - a
                    reach = int(0.25 / self.cell)
                    if not main[max(0, k[0] - reach) : k[0] + reach + 1, max(0, k[1] - reach) : k[1] + reach + 1].any():
                        return False
        return True

    def _ways(self, solid: Bool[np.ndarray, "i j"], headroom: Float[np.ndarray, "i j"]) -> Bool[np.ndarray, "i j"]:
        """Cells where the middle of a person can be."""
        return self._air(solid | (headroom < 1.85)) > _CLEAR

    def clearance(self) -> Float[np.ndarray, "i j"]:
        """Metres from every cell to the nearest thing that stands or hangs low."""
        return self._air(self.solid | (self.headroom < 1.95))

    def _air(self, closed: Bool[np.ndarray, "i j"]) -> Float[np.ndarray, "i j"]:
        free = ~np.pad(closed, 1, constant_values=True)
        distance = np.zeros(free.shape)
        ndimage.distance_transform_edt(free, distances=distance)
        return (distance[1:-1, 1:-1] - 0.5) * self.cell

    def along_wall(
        self,
        room: Room,
        group: Group,
        dice: random.Random,
        gap: Number = 0.02,
        front: Number = 0.0,
        tries: int = 24,
        corner: bool = False,
        yaw: Number = 0.0,
    ) -> bool:
        """Stand a group with its back to a wall, under windows only where it is low enough."""
        (x0, y0, _), (_, y1, top) = extent(group)
        edges = [e for e in room.edges if e.length > y1 - y0 + 0.04]
        for _ in range(tries if edges else 0):
            edge = dice.choices(edges, [e.length for e in edges])[0]
            low, high = y1 + 0.02, edge.length + y0 - 0.02
            if low > high:
                continue
            u = dice.choice((low, high)) if corner or dice.random() < 0.25 else dice.uniform(low, high)
            reach = (edge, u - y1, u - y0, 0.0, top)
            if self._meets((edge, u - y1, u - y0, 0.0, top - _OVER_SILLS)):
                continue
            at = edge.point(u, gap - x0)
            if self.place(group, at, yaw_of(edge) + math.pi / 2 + yaw, front, snug=True):
                self.shut.append(reach)
                return True
        return False

    def hang(
        self, room: Room, group: Group, dice: random.Random, height: Number, tries: int = 10, margin: Number = 0.06
    ) -> bool:
        """Fix a group to a free piece of wall; its origin (z = 0) comes to `height`, its back (x = 0) to the wall."""
        (_, y0, z0), (_, y1, z1) = extent(group)
        edges = [e for e in room.edges if e.length > y1 - y0 + 2 * margin]
        for _ in range(tries if edges else 0):
            edge = dice.choices(edges, [e.length for e in edges])[0]
            low, high = y1 + margin, edge.length + y0 - margin
            if low > high:
                continue
            u = dice.uniform(low, high)
            reach = (edge, u - y1 - margin, u - y0 + margin, height + z0 - margin, height + z1 + margin)
            ends = min(room.headroom(edge.point(v)[1]) for v in reach[1:3])
            if room.knee is not None and abs(edge.along[0]) > 0.5:
                ends = room.knee
            if height + z1 > ends - 0.05 or self._meets(reach) or self._behind_stairs(room, edge, reach):
                continue
            self.shut.append(reach)
            shift = compose(turned(yaw_of(edge) + math.pi / 2), torch.tensor([*edge.point(u, 0.002), height]))
            self.things += [replace(thing, world_from_thing=shift @ thing.world_from_thing) for thing in group]
            return True
        return False

    def fix(self, edge: Edge, u: Number, height: Number, thing: Thing, centred: bool = False) -> None:
        """Fix a thing to a wall without asking; built with x along the wall, or `centred` with its front along +x."""
        yaw = yaw_of(edge) + (math.pi / 2 if centred else 0.0)
        shift = compose(turned(yaw), torch.tensor([*edge.point(u, 0.002), height]))
        self.things.append(replace(thing, world_from_thing=shift @ thing.world_from_thing))

    def _behind_stairs(self, room: Room, edge: Edge, reach: tuple[Edge, Number, Number, Number, Number]) -> bool:
        stairs = room.gallery
        if stairs is None:
            return False
        xs = [edge.point(u)[0] for u in reach[1:3]]
        ys = [edge.point(u)[1] for u in reach[1:3]]
        near_flight = max(ys) > room.bounds[3] - stairs.width - 0.05 and min(xs) < stairs.foot
        crosses_floor = min(xs) < stairs.edge and reach[3] < stairs.level + 0.05 and reach[4] > stairs.level - 0.3
        return near_flight or crosses_floor

    def _meets(self, reach: tuple[Edge, Number, Number, Number, Number]) -> bool:
        edge, u0, u1, z0, z1 = reach
        return any(e == edge and a < u1 and u0 < b and c < z1 and z0 < d for e, a, b, c, d in self.shut)

    def anywhere(
        self,
        room: Room,
        group: Group,
        dice: random.Random,
        front: Number = 0.0,
        tries: int = 16,
        yaw: Number | None = None,
        middle: Number = 1.0,
        share: bool = False,
    ) -> bool:
        """Stand a group somewhere in a room; `middle` < 1 keeps it near the centre."""
        x0, y0, x1, y1 = room.bounds
        for _ in range(tries):
            turn = dice.choice((0, 1, 2, 3)) * math.pi / 2 if yaw is None else yaw
            a, b = (0.5 + middle * (dice.random() - 0.5) for _ in range(2))
            at = (x0 + a * (x1 - x0), y0 + b * (y1 - y0))
            if self.place(group, at, turn, front, share=share):
                return True
        return False


def extent(group: Group) -> tuple[Point3, Point3]:
    """The corners of a group's bounding box, in its own frame."""
    lows, highs = zip(*(_bounds(thing) for thing in group), strict=True)
    low, high = np.min(lows, 0).tolist(), np.max(highs, 0).tolist()
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def footprint(thing: Thing) -> tuple[Float[np.ndarray, "4 2"], float] | None:
    """The rectangle on the floor that a thing takes up, and its top; None where people pass over or under it."""
    low, high = _bounds(thing)
    if high[2] < _STEP_OVER or low[2] > 2.0:
        return None
    # In the thing's own frame, so that what stands askew is not taken for more than it is.
    a = np.min([part.vertices.numpy().min(0) for part in thing.parts], 0)
    b = np.max([part.vertices.numpy().max(0) for part in thing.parts], 0)
    corners = np.array([[a[0], a[1]], [b[0], a[1]], [b[0], b[1]], [a[0], b[1]]])
    m = thing.world_from_thing.numpy()
    return corners @ m[:2, :2].T + m[:2, 3], float(high[2])


def _largest(free: Bool[np.ndarray, "i j"]) -> Bool[np.ndarray, "i j"]:
    """The largest connected part of the free cells."""
    labels = np.zeros(free.shape, dtype=np.int32)
    ndimage.label(free, output=labels)
    sizes = np.bincount(labels.ravel())
    return free if len(sizes) < 2 else labels == 1 + sizes[1:].argmax()


def _bounds(thing: Thing) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    m = thing.world_from_thing.numpy()
    points = np.concatenate([part.vertices.numpy() for part in thing.parts]) @ m[:3, :3].T + m[:3, 3]
    return points.min(0), points.max(0)


def _cross(a: Float[np.ndarray, " 2"], b: Float[np.ndarray, " 2"]) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def _inside(
    outline: Sequence[Point], x: Float[np.ndarray, "i j"], y: Float[np.ndarray, "i j"]
) -> Bool[np.ndarray, "i j"]:
    """Cells inside an outline, by the parity of crossings."""
    odd = np.zeros(x.shape, dtype=bool)
    for k in range(len(outline)):
        (ax, ay), (bx, by) = outline[k - 1], outline[k]
        if ay != by:
            odd ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return odd
