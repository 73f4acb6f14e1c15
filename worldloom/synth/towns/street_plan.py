"""Plans of towns: which places are joined by which streets, and what lies across each street."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay

from worldloom.errors import InputError

KINDS = ("grid", "spider", "random")
Points = Float64[np.ndarray, "_ 2"]


@dataclass(frozen=True)
class Strip:
    """One lane's worth of a street: what it is for, and how wide it is."""

    use: str  # "walk", "verge", "park", "bike", "drive" or "median"
    width: float


@dataclass(frozen=True)
class Street:
    """A street between two nodes. Its axis runs from the first to the second; traffic keeps to the right."""

    nodes: tuple[int, int]
    axis: Points
    rank: int  # 3 is an avenue, 2 a street, 1 a lane, 4 the ring of a roundabout: who has right of way
    speed: float
    right: tuple[Strip, ...]  # from the right edge to the axis, along the axis
    left: tuple[Strip, ...]  # the same for the way back


@dataclass(frozen=True)
class StreetPlan:
    """Nodes and the streets between them, on a flat sheet."""

    kind: str
    nodes: Points
    streets: tuple[Street, ...]
    roundabouts: tuple[tuple[int, ...], ...]  # nodes of each ring, counter-clockwise


def make_street_plan(seed: int, kind: str, size: float) -> StreetPlan:
    """A plan of one of KINDS that fills a square of `size` metres about the origin."""
    rng = np.random.default_rng((seed, KINDS.index(kind), 0x9127))
    bones = {"grid": _grid, "spider": _spider, "random": _random}[kind](rng, size)
    bones = _bent(_thinned(bones, rng, 0.12 if kind == "grid" else 0.08), rng, size)
    return _with_roundabouts(_dressed(bones, rng), rng)


@dataclass(frozen=True)
class _Bones:
    kind: str
    nodes: Points
    pairs: list[tuple[int, int]]
    axes: list[Points]
    lines: list[int]  # streets on one line share their cross-section
    outer: set[int]  # lines that are never one-way, so that every place can be reached from every other


def _grid(rng: np.random.Generator, size: float) -> _Bones:
    def lines() -> np.ndarray:
        steps = rng.uniform(75, 135, max(2, round(size / 105)))
        at = np.concatenate([[0.0], np.cumsum(steps)])
        return at * size / at[-1] - size / 2

    xs, ys = lines(), lines()
    nodes = np.stack(np.meshgrid(xs, ys, indexing="ij"), -1).reshape(-1, 2)
    pairs, on = [], []
    for i in range(len(xs)):
        for j in range(len(ys)):
            if i + 1 < len(xs):
                pairs.append((i * len(ys) + j, (i + 1) * len(ys) + j))
                on.append(j)
            if j + 1 < len(ys):
                pairs.append((i * len(ys) + j, i * len(ys) + j + 1))
                on.append(len(ys) + i)
    outer = {0, len(ys) - 1, len(ys), len(ys) + len(xs) - 1}
    return _Bones("grid", nodes, pairs, [_line(nodes[a], nodes[b]) for a, b in pairs], on, outer)


def _spider(rng: np.random.Generator, size: float) -> _Bones:
    arms = int(rng.integers(5, 8))
    circles = max(2, round(size / 2 / 82))
    radii = np.linspace(rng.uniform(48, 62), size / 2, circles) + np.concatenate(
        [[0.0], rng.uniform(-12, 12, circles - 2), [0.0]]
    )
    angles = 2 * math.pi * (np.arange(arms) + rng.uniform(-0.16, 0.16, arms) + rng.uniform()) / arms
    nodes = np.concatenate([r * np.stack([np.cos(angles), np.sin(angles)], -1) for r in radii])
    pairs, axes, on = [], [], []
    for ring in range(circles):
        for arm in range(arms):
            a, b = ring * arms + arm, ring * arms + (arm + 1) % arms
            turn = (angles[(arm + 1) % arms] - angles[arm]) % (2 * math.pi)
            along = angles[arm] + turn * np.linspace(0, 1, max(3, round(radii[ring] * turn / 8)))
            pairs.append((a, b))
            axes.append(radii[ring] * np.stack([np.cos(along), np.sin(along)], -1))
            on.append(ring)
            if ring + 1 < circles:
                pairs.append((a, a + arms))
                axes.append(_line(nodes[a], nodes[a + arms]))
                on.append(circles + arm)
    return _Bones("spider", nodes, pairs, axes, on, set(range(circles)))


def _random(rng: np.random.Generator, size: float) -> _Bones:
    """Scattered places, joined to their neighbours where roads meet at wide enough angles."""
    for _ in range(100):  # a small town may come out as one street without an end
        points, pairs = _core(*_scattered(rng, size))
        if pairs:
            break
    else:
        raise InputError(f"expected a town with room for a block, got one of {size:g} m")
    axes = []
    for a, b in pairs:
        line = _line(points[a], points[b])
        across = np.array([-(line[-1] - line[0])[1], (line[-1] - line[0])[0]])
        bulge = np.sin(np.linspace(0, math.pi, len(line)))[:, None]
        axes.append(line + bulge * across * rng.uniform(-0.07, 0.07))
    return _Bones("random", points, pairs, axes, _through_roads(points, pairs, rng), set())


def _scattered(rng: np.random.Generator, size: float) -> tuple[Points, list[tuple[int, int]]]:
    """Places, and which of them are joined."""
    apart = 82.0
    nodes: list[np.ndarray] = []
    for candidate in rng.uniform(-size / 2, size / 2, (400, 2)):
        if all(np.hypot(*(candidate - other)) > apart for other in nodes):
            nodes.append(candidate)
    points = np.array(nodes)
    if len(points) < 4:
        return points, []
    edges = sorted({tuple(sorted((int(t[k - 1]), int(t[k])))) for t in Delaunay(points).simplices for k in range(3)})
    length = {edge: float(np.hypot(*(points[edge[1]] - points[edge[0]]))) for edge in edges}
    bearings: list[list[float]] = [[] for _ in points]
    pairs: list[tuple[int, int]] = []
    for a, b in sorted(edges, key=lambda edge: (length[edge], edge)):
        if length[a, b] > 2.2 * apart:
            continue
        at_a = math.atan2(*(points[b] - points[a])[::-1])
        free = [
            all(abs(math.remainder(bearing - other, 2 * math.pi)) > math.radians(62) for other in bearings[node])
            for node, bearing in ((a, at_a), (b, at_a + math.pi))
        ]
        if all(free):
            pairs.append((a, b))
            bearings[a].append(at_a)
            bearings[b].append(at_a + math.pi)
    return points, pairs


def _core(points: Points, pairs: list[tuple[int, int]]) -> tuple[Points, list[tuple[int, int]]]:
    """The largest connected part of a graph, without dead ends."""
    while True:
        degree = np.bincount(np.array(pairs, np.int64).ravel(), minlength=len(points))
        kept = [(a, b) for a, b in pairs if degree[a] > 1 and degree[b] > 1]
        if len(kept) == len(pairs):
            break
        pairs = kept
    if not pairs:
        return points[:0], []
    _, part = connected_components(_graph(pairs, len(points)), directed=False)
    main = np.bincount(part[[a for a, _ in pairs]]).argmax()
    kept = [(a, b) for a, b in pairs if part[a] == main]
    used = sorted({node for pair in kept for node in pair})
    number = {node: i for i, node in enumerate(used)}
    return points[used], [(number[a], number[b]) for a, b in kept]


def _through_roads(points: Points, pairs: list[tuple[int, int]], rng: np.random.Generator) -> list[int]:
    """Numbers of lines: at each node, the two streets that run on most nearly straight are one line."""
    line = list(range(len(pairs)))

    def root(i: int) -> int:
        while line[i] != i:
            i = line[i]
        return i

    for node in range(len(points)):
        ends = [(i, a if b == node else b) for i, (a, b) in enumerate(pairs) if node in (a, b)]
        best, straightest = None, math.cos(math.radians(140))
        for i, (first, u) in enumerate(ends):
            for second, v in ends[i + 1 :]:
                p, q = points[u] - points[node], points[v] - points[node]
                cosine = float(p @ q / np.hypot(*p) / np.hypot(*q))
                if cosine < straightest:
                    best, straightest = (first, second), cosine
        if best is not None:
            line[root(best[0])] = root(best[1])
    roots = [root(i) for i in range(len(pairs))]
    number = {r: i for i, r in enumerate(sorted(set(roots)))}
    return [number[r] for r in roots]


def _thinned(bones: _Bones, rng: np.random.Generator, share: float) -> _Bones:
    """Without a few streets, so that some blocks are large; no node becomes a dead end, nothing is cut off."""
    keep = list(range(len(bones.pairs)))
    for i in rng.permutation(len(bones.pairs))[: round(share * len(bones.pairs))].tolist():
        if bones.lines[i] in bones.outer:
            continue
        left = [bones.pairs[j] for j in keep if j != i]
        degree = np.bincount(np.array(left).ravel(), minlength=len(bones.nodes))
        parts = connected_components(_graph(left, len(bones.nodes)), directed=False, return_labels=False)
        if parts == 1 and all(degree[node] > 2 for node in bones.pairs[i]):
            keep.remove(i)
    return replace(
        bones,
        pairs=[bones.pairs[i] for i in keep],
        axes=[bones.axes[i] for i in keep],
        lines=[bones.lines[i] for i in keep],
    )


def _bent(bones: _Bones, rng: np.random.Generator, size: float) -> _Bones:
    """The whole sheet, smoothly deformed and turned: straight streets become curves, junctions stay junctions."""
    count = 4
    lengths = rng.uniform(170, 420, count)
    angles = rng.uniform(0, 2 * math.pi, count)
    waves = (2 * math.pi / lengths)[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)
    phases = rng.uniform(0, 2 * math.pi, count)
    shifts = rng.normal(0, 1, (count, 2))
    # Steepness of the deformation: 0.2 bends roads to radii of 100 m and more, and turns junctions by some degrees.
    shifts *= rng.uniform(0.0, 0.22) / (np.linalg.norm(shifts, axis=1) * np.linalg.norm(waves, axis=1)).sum()
    turn = rng.uniform(0, 2 * math.pi)
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])

    def bend(points: Points) -> Points:
        return (points + np.sin(points @ waves.T + phases) @ shifts) @ rotation

    return replace(bones, nodes=bend(bones.nodes), axes=[bend(axis) for axis in bones.axes])


def _dressed(bones: _Bones, rng: np.random.Generator) -> StreetPlan:
    """The plan with ranks, directions and cross-sections."""
    num_lines = max(bones.lines) + 1
    length = np.bincount(bones.lines, [_length(axis) for axis in bones.axes], num_lines)
    longest_first = np.argsort(-length, kind="stable").tolist()
    avenues = set(longest_first[: max(2, round(0.4 * num_lines))]) if bones.kind == "random" else set(range(num_lines))
    rank = [
        3 if line in avenues and rng.uniform() < 0.4 else (1 if rng.uniform() < 0.25 else 2)
        for line in range(num_lines)
    ]
    rank[longest_first[0]] = 3
    sections = [_section(rank[line], rng) for line in range(num_lines)]
    narrow = [_one_way(rng) for _ in range(num_lines)]
    flip = rng.uniform(size=num_lines) < 0.5
    single = [rank[line] < 3 and line not in bones.outer and rng.uniform() < 0.35 for line in range(num_lines)]

    def build(single: list[bool]) -> list[Street]:
        streets = []
        for pair, axis, line in zip(bones.pairs, bones.axes, bones.lines, strict=True):
            right, left = narrow[line] if single[line] else sections[line]
            along = flip[line] and single[line]
            streets.append(
                Street(
                    (pair[1], pair[0]) if along else pair,
                    axis[::-1] if along else axis,
                    rank[line],
                    {3: 13.89, 2: 11.11, 1: 8.33}[rank[line]],
                    right,
                    left,
                )
            )
        return streets

    streets = build(single)
    for line in range(num_lines):  # two-way again, one by one, until every place can be reached from every other
        if _strongly_connected(streets):
            break
        single[line] = False
        streets = build(single)
    return StreetPlan(bones.kind, bones.nodes, tuple(streets), ())


def _section(rank: int, rng: np.random.Generator) -> tuple[tuple[Strip, ...], tuple[Strip, ...]]:
    """What lies across a two-way street, from the right edge to the axis: (along, back)."""
    walk = Strip("walk", float(rng.uniform(1.7, 3.6 if rank == 3 else 2.8)))
    verge = [Strip("verge", float(rng.uniform(1.3, 2.2)))] if rng.uniform() < (0.3, 0.3, 0.4)[rank - 1] else []
    bike = [Strip("bike", 1.6)] if rank == 3 and rng.uniform() < 0.5 else []
    median = [Strip("median", float(rng.uniform(0.8, 2.0)))] if rank == 3 and rng.uniform() < 0.5 else []
    lanes = 2 if rank == 3 else 1
    width = float(rng.uniform(3.0, 3.4) if rank > 1 else rng.uniform(2.9, 3.1))
    sides = []
    for _ in range(2):
        park = [Strip("park", 2.2)] if not verge and rng.uniform() < (0.75, 0.65, 0.35)[rank - 1] else []
        sides.append((walk, *verge, *park, *bike, *[Strip("drive", width)] * lanes, *median))
    return sides[0], sides[1]


def _one_way(rng: np.random.Generator) -> tuple[tuple[Strip, ...], tuple[Strip, ...]]:
    """A one-way street; on the left there is only a sidewalk, and perhaps parking."""
    walk = Strip("walk", float(rng.uniform(1.7, 2.8)))
    right = [Strip("park", 2.2)] if rng.uniform() < 0.7 else []
    left = [Strip("park", 2.2)] if rng.uniform() < 0.6 else []
    lanes = 2 if rng.uniform() < 0.35 else 1
    return (walk, *right, *[Strip("drive", 3.2)] * lanes, *left), (walk,)


def _with_roundabouts(plan: StreetPlan, rng: np.random.Generator) -> StreetPlan:
    """Some junctions of single-lane streets become rings."""
    nodes, streets, rings = list(plan.nodes), list(plan.streets), []
    radius = 19.0
    for node in range(len(plan.nodes)):
        arms = [i for i, street in enumerate(streets) if node in street.nodes]
        wide = any(_count(side, "drive") > 1 for i in arms for side in (streets[i].right, streets[i].left))
        if wide or len(arms) < 3 or rng.uniform() > 0.22 or len(rings) == 2:
            continue
        cut = {i: _cut(streets[i], node, plan.nodes[node], radius) for i in arms}
        bearing = {i: math.atan2(*(cut[i][0] - plan.nodes[node])[::-1]) for i in arms}
        around = sorted(arms, key=lambda i: bearing[i])
        gaps = [(bearing[around[(k + 1) % len(arms)]] - bearing[i]) % (2 * math.pi) for k, i in enumerate(around)]
        if min(gaps) < math.radians(64):
            continue
        number = {}
        for i in around:
            number[i] = node if not number else len(nodes)
            if number[i] == node:
                nodes[node] = cut[i][0]
            else:
                nodes.append(cut[i][0])
            first, second = streets[i].nodes
            if first == node:
                streets[i] = replace(streets[i], nodes=(number[i], second), axis=cut[i])
            else:
                streets[i] = replace(streets[i], nodes=(first, number[i]), axis=cut[i][::-1])
        for k, i in enumerate(around):
            along = bearing[i] + gaps[k] * np.linspace(0, 1, max(4, round(radius * gaps[k] / 3)))
            arc = plan.nodes[node] + radius * np.stack([np.cos(along), np.sin(along)], -1)
            strips = (Strip("walk", 2.4), Strip("drive", 4.2))
            streets.append(Street((number[i], number[around[(k + 1) % len(arms)]]), arc, 4, 6.5, strips, ()))
        rings.append(tuple(number[i] for i in around))
    return replace(plan, nodes=np.array(nodes), streets=tuple(streets), roundabouts=tuple(rings))


def _cut(street: Street, node: int, centre: np.ndarray, radius: float) -> Points:
    """The street's axis from the circle outwards, begun at `node`."""
    axis = street.axis if street.nodes[0] == node else street.axis[::-1]
    far = np.hypot(*(axis - centre).T) > radius
    i = int(far.argmax())
    direction = axis[i] - centre
    start = centre + radius * direction / np.hypot(*direction)
    return np.concatenate([[start], axis[i:][np.hypot(*(axis[i:] - start).T) > 2.0]])


def _count(strips: tuple[Strip, ...], use: str) -> int:
    return sum(strip.use == use for strip in strips)


def _line(a: np.ndarray, b: np.ndarray) -> Points:
    return a + np.linspace(0, 1, max(3, round(float(np.hypot(*(b - a))) / 9)))[:, None] * (b - a)


def _length(axis: Points) -> float:
    return float(np.hypot(*np.diff(axis, axis=0).T).sum())


def _graph(pairs: list[tuple[int, int]], size: int) -> coo_array:
    a, b = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return coo_array((np.ones(len(a)), (a, b)), shape=(size, size))


def _strongly_connected(streets: list[Street]) -> bool:
    """Whether every way leads to every other way by driving on, never turning back on the same street."""
    ways = [(street.nodes[0], street.nodes[1], i) for i, street in enumerate(streets)]
    ways += [(street.nodes[1], street.nodes[0], i) for i, street in enumerate(streets) if _count(street.left, "drive")]
    links = [
        (a, b) for a, (_, end, i) in enumerate(ways) for b, (start, _, j) in enumerate(ways) if end == start and i != j
    ]
    parts = connected_components(_graph(links, len(ways)), connection="strong", return_labels=False)
    return parts == 1
