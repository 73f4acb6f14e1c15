"""Moments of a town's traffic as training examples, drawn afresh for every step.

Any car of a `TrafficLog` may be the ego at any time. What the network would have been shown is imitated: pieces of
users whose place is known to a fraction of a metre and whose front may be mistaken, and the map as far as one sees.
Half of the egos take a way of their own through the traffic as it was: then the others' paths are what they were and
not what they would have been, but who is hit and where the road ends is known exactly.
"""

import itertools
import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import binary_fill_holes
from torch import Tensor

from worldloom.geometry.occupancy import DRIVEABLE, GROUND, among
from worldloom.geometry.plane import chained, seen_from
from worldloom.occupancy.danger import ego_boxes, separations
from worldloom.occupancy.motions import DT
from worldloom.occupancy.scene_state import HISTORY, LOW, PICTURE, PIXEL, TALL, UNSEEN
from worldloom.occupancy.tracks import NARROW
from worldloom.occupancy.training.traffic_examples import FUTURE, MAX_USERS, TrafficExamples
from worldloom.synth.dataset.traffic_log import TrafficLog
from worldloom.synth.traffic.ego import EGO_CENTRE, EGO_EXTENT, EGO_FRONT, WHEELS

_CAR = 4
_AHEAD = 8  # frames that an ego must still be in the log
_INSIDE = 2 * TALL - 1
_STEPS = 4  # moments within a frame at which contacts are looked for
_REACH = 40.0  # metres, half the side of Occ3D's grid
_LOW, _TALL = 0.5, 1.2  # metres above the ground, as in `ground_picture`
_BRAKES, _SPEEDS_UP = 6.0, 3.0  # m/s²
_ASIDE = 4.5  # metres
_BENDS = 0.04  # 1/m, deviation
_LOGGED = 0.7  # share of egos that drive as they did: of the others only the risk is learned
_SEEN_AT = ((0.0, 1.0), (24.0, 0.97), (34.0, 0.7), (45.0, 0.4), (60.0, 0.25))  # metres, share of pixels
_LATE, _LOST = 0.42, 0.05  # share of users found first in one of the last frames, and of sights that are missed
_IN_PARTS, _ANOTHER, _SELDOM = 0.5, 0.12, 0.08  # shares of vehicles' tracks that are mistaken, see `_mistaken`
_FATTER = 0.45  # metres: what is found in voxels is larger than what it was made of
_THROUGH = (2, 8)  # pixels of what is solid that a ray crosses before it ends: a wall's few, a row of trees' many


class Moment(NamedTuple):
    """Who is the ego, and when."""

    agent: int
    frame: int


class LoggedTown:
    """A log, ready for moments to be drawn."""

    def __init__(self, log: TrafficLog) -> None:
        self.log = log
        kind = torch.zeros(256, dtype=torch.uint8)
        kind[list(GROUND)] = torch.arange(1, len(GROUND) + 1, dtype=torch.uint8)
        tall = log.rise > _TALL
        stands = torch.where(tall, TALL, torch.where(log.rise > _LOW, LOW, 0)).to(torch.uint8)
        inside = torch.from_numpy(binary_fill_holes(tall.numpy())) & ~tall  # of houses
        # Twice the pixel's code, so that there is one between what is tall and all else.
        self.codes = torch.where(inside, _INSIDE, 2 * torch.maximum(kind[log.ground.int()], stands))
        moving = (log.labels == _CAR) & ~log.standing
        span = _AHEAD + 1
        stays = log.present.float().unfold(1, span + 1, 1).amin(-1) > 0  # from the frame before to the last ahead
        agent, before = (stays & moving[:, None]).nonzero(as_tuple=True)
        self.agents, self.frames = agent, before + 1
        way = log.poses[agent, before + span, :2] - log.poses[agent, before, :2]
        # Somebody who waits at a light for minutes would else be most of what there is.
        self.odds = torch.where(way.norm(dim=-1) > 2.0, 1.0, 0.15).double()

    def __len__(self) -> int:
        return len(self.agents)

    def draw(self, dice: torch.Generator) -> Moment:
        """Somebody at some time."""
        chosen = int(torch.multinomial(self.odds, 1, generator=dice))
        return Moment(int(self.agents[chosen]), int(self.frames[chosen]))

    def example(self, moment: Moment, dice: torch.Generator, logged: bool) -> TrafficExamples:
        """One moment; the leading axis of all is 1.

        Args:
            logged: whether the ego drives on as it did.
        """
        log, (me, now) = self.log, moment
        frames = torch.arange(now - HISTORY + 1, now + FUTURE + 1)
        inside = (frames >= 0) & (frames < log.present.shape[1])
        frames = frames.clamp(0, log.present.shape[1] - 1)
        present = log.present[:, frames] & inside
        mine = _rear_axle(log.poses[me, frames], float(log.extents[me, 0]))
        first = int(present[me].int().argmax())  # nobody knows where it was before: as if it had stood
        mine[:first] = mine[first]
        here = mine[HISTORY - 1].clone()
        near = (log.poses[:, now, :2] - here[:2]).norm(dim=-1) < 2 * _REACH
        near &= present[:, HISTORY - 1]
        near[me] = False
        others = near.nonzero()[:, 0]
        ego, boxes = seen_from(mine, here), seen_from(log.poses[others[:, None], frames], here)
        there = present[others]
        ground, solid = self._picture(here)
        seen = torch.where(visible(solid, ego[[HISTORY - 1, 0], :2], dice), ground, UNSEEN).to(torch.uint8)
        future, ego_valid = ego[HISTORY:], present[me, HISTORY:].int().cummin(0).values.bool()
        fine = _between(ego[HISTORY - 1 :])
        if not logged:
            fine = _another_way(ego[HISTORY - 1 :], ego_valid, dice)
            future, ego_valid = fine[:, -1], torch.ones_like(ego_valid)
        risk = self._risk(fine, boxes[:, HISTORY - 1 :], there[:, HISTORY - 1 :], others, here, logged)
        rows = self._as_found(boxes, there, others, solid, dice)
        labels, sizes, middles, history, shown, ways, valid = rows
        example = TrafficExamples(
            labels, sizes, middles, history, shown, ego[:HISTORY], seen, ways, valid, future, ego_valid, *risk
        )
        return TrafficExamples(*(value[None] for value in example))

    def _picture(self, here: Float[Tensor, " 3"]) -> tuple[UInt8[Tensor, "p q"], Bool[Tensor, "p q"]]:
        """The whole map around the ego, of each pixel the most that is in it; and where no ray goes through."""
        quarter = (torch.arange(2 * PICTURE) + 0.5) * PIXEL / 2 - PICTURE * PIXEL / 2
        places = torch.stack(torch.meshgrid(quarter, quarter, indexing="ij"), -1)
        world = _placed(places, here)
        codes = self.codes[self.log.sheet.index(world)]
        most = codes.reshape(PICTURE, 2, PICTURE, 2).amax((1, 3))
        return torch.where(most == _INSIDE, UNSEEN, most // 2).to(torch.uint8), most >= _INSIDE

    def _risk(
        self,
        fine: Float[Tensor, "f s 3"],
        boxes: Float[Tensor, "n g 3"],
        there: Bool[Tensor, "n g"],
        others: Tensor,
        here: Float[Tensor, " 3"],
        logged: bool,
    ) -> tuple[Bool[Tensor, " f"], Bool[Tensor, " f"]]:
        """Whether the ego has touched anybody, or left the road, by each frame."""
        extents = self.log.extents[others]
        moving = _between(boxes).flatten(1, 2)
        both = (there[:, 1:] & there[:, :-1]).repeat_interleave(fine.shape[1], 1)
        if not logged:  # who follows would have braked
            tail = EGO_CENTRE - EGO_EXTENT[0] / 2
            follows = (boxes[:, 0, 0] + extents[:, 0] / 2 < tail) & (boxes[:, 0, 2].cos() > 0.5)
            both &= ~follows[:, None]
        place = torch.cat([moving, extents[:, None, :2].expand(*moving.shape[:2], 2)], -1)
        apart = separations(ego_boxes(fine.flatten(0, 1))[None], place[None])[0]
        hit = ((apart < 0) & both).any(0).unflatten(0, fine.shape[:2])
        c, s = fine[..., 2].cos()[..., None], fine[..., 2].sin()[..., None]
        along, aside = torch.tensor(WHEELS).unbind(1)
        wheels = fine[..., None, :2] + torch.stack([along * c - aside * s, along * s + aside * c], -1)
        label = self.log.ground[self.log.sheet.index(_placed(wheels, here))]
        off = (label != DRIVEABLE).any(-1)
        return hit.any(1).cummax(0).values, off.any(1).cummax(0).values

    def _as_found(
        self,
        boxes: Float[Tensor, "n t 3"],
        there: Bool[Tensor, "n t"],
        others: Tensor,
        solid: Bool[Tensor, "p q"],
        dice: torch.Generator,
    ) -> tuple[Tensor, ...]:
        """Labels, sizes, middles, history, present, future and valid, as tracks found in voxels would have them."""
        n = len(others)
        chance = torch.rand(8, n, generator=dice)
        now = boxes[:, HISTORY - 1]
        extents = self.log.extents[others]
        clear = visible(solid, torch.zeros(1, 2), None)
        inside = (now[:, :2].abs() < _REACH + extents[:, :1] / 2).all(1)
        shown = inside & _at(clear, now[:, :2]) & (chance[0] < 0.93)
        kept = shown.nonzero()[:, 0]
        kept = kept[now[kept, :2].norm(dim=-1).argsort()][:MAX_USERS]
        boxes, there, now, chance = boxes[kept], there[kept].clone(), now[kept], chance[:, kept]
        extents, labels = extents[kept], self.log.labels[others[kept]]
        # Of a long user often one end is seen, that which is nearer.
        length = extents[:, 0] * torch.where(chance[1] < 0.5, 0.4 + 0.6 * chance[2], 1.0)
        heading = torch.stack([now[:, 2].cos(), now[:, 2].sin()], -1)
        nearer = -(heading * now[:, :2]).sum(-1).sign()
        shift = nearer * (extents[:, 0] - length) / 2
        way = (boxes[:, HISTORY - 1, :2] - boxes[:, 0, :2]).norm(dim=-1) * there[:, 0]
        moved = (boxes[:, 1:HISTORY, :2] - boxes[:, : HISTORY - 1, :2]).norm(dim=-1).amax(1)
        # What stands shows no front: its long axis is told in one half of the plane, be it its heading or not.
        turned = torch.where((moved < 0.5) & (chance[3] < 0.5), math.pi, 0.0)
        turned = turned + 0.08 * torch.randn(len(kept), generator=dice)
        offset = torch.stack([shift, torch.zeros_like(shift), turned], -1)
        frames = chained(boxes, offset[:, None])
        speed = (boxes[:, HISTORY - 1, :2] - boxes[:, HISTORY - 2, :2]).norm(dim=-1).clamp(max=6.0)
        rough = torch.where(chance[4] < 0.15, 2.5, 1.0)[:, None]
        blur = torch.randn(len(kept), HISTORY, 3, generator=dice)
        along = (0.08 + 0.055 * speed)[:, None] * rough * blur[..., 0]
        across = (0.06 + 0.015 * speed)[:, None] * rough * blur[..., 1]
        yaw = torch.where(moved > 0.5, 0.06, 0.0)[:, None] * rough * blur[..., 2]
        found = chained(frames[:, :HISTORY], torch.stack([along, across, yaw], -1))
        still = (way < 0.1) & (chance[5] < 0.45)  # it was found to stand: not a hair of motion
        found = torch.where(still[:, None, None], found[:, -1:], found)
        late = chance[6] < _LATE  # found first in one of the last frames
        since = torch.where(late, 1 + (chance[7] * (HISTORY - 1)).long(), 0)
        found = _mistaken(found, since, labels, extents[:, 0], dice)
        # Where a user goes from where it was found: the rigid motion of its box.
        future = chained(frames[:, HISTORY:], seen_from(found[:, -1:], frames[:, HISTORY - 1 : HISTORY]))
        lost = torch.rand(len(kept), HISTORY, generator=dice) < _LOST
        lost[:, -1] = False
        there[:, :HISTORY] &= (torch.arange(HISTORY) >= since[:, None]) & ~lost
        sizes = torch.stack([length, extents[:, 1], extents[:, 2]], -1)
        sizes = sizes * (1 + 0.1 * torch.randn(len(kept), 3, generator=dice).clamp(-2, 2)) + _FATTER
        middles = 0.1 * torch.randn(len(kept), 2, generator=dice)
        present, valid = there[:, :HISTORY], there[:, HISTORY:].int().cummin(1).values.bool()
        found = found.masked_fill(~present[..., None], 0)
        more = MAX_USERS - len(kept)
        rows = (labels, sizes, middles, found, present, future, valid)
        return tuple(torch.cat([row, row.new_zeros(more, *row.shape[1:])]) for row in rows)


def _mistaken(
    found: Float[Tensor, "n h 3"],
    since: Int[Tensor, " n"],
    labels: UInt8[Tensor, " n"],
    length: Float[Tensor, " n"],
    dice: torch.Generator,
) -> Float[Tensor, "n h 3"]:
    """Poses with the gross errors of vehicles' tracks: what came into view bit by bit, and what was another vehicle.

    The shares are those of tracks found in towns kept for choosing: of parked cars that were found in the last frames
    a third seem to move, half of them because more of them is seen than before.
    """
    n = len(found)
    chance = torch.rand(4, n, generator=dice)
    vehicle = ~among(labels, NARROW)
    late = since > 0
    # Of a part that is seen first the middle lies ahead or behind; with every sight that comes less.
    part = vehicle & (chance[0] < torch.where(late, _IN_PARTS, _SELDOM))
    sights = (torch.arange(HISTORY) - since[:, None]).clamp(min=0)
    ahead = (2 * chance[1] - 1)[:, None] * 0.5 * length[:, None] * 0.4**sights
    ahead = torch.where(late[:, None], ahead, ahead[:, :1])  # or at the very last
    way = torch.stack([found[..., 2].cos(), found[..., 2].sin()], -1) * torch.where(part[:, None], ahead, 0)[..., None]
    # Another vehicle, that was lost when this one was found.
    other = vehicle & (chance[2] < torch.where(late, _ANOTHER, _SELDOM / 4))
    angle, away = math.tau * chance[3], 2.0 + 10.0 * torch.rand(n, generator=dice)
    way = way + (torch.stack([angle.cos(), angle.sin()], -1) * torch.where(other, away, 0)[:, None])[:, None]
    mistaken = torch.cat([found[..., :2] + way, found[..., 2:]], -1)
    return torch.cat([mistaken[:, :-1], found[:, -1:]], 1)


def visible(
    solid: Bool[Tensor, "p q"], eyes: Float[Tensor, "k 2"], dice: torch.Generator | None
) -> Bool[Tensor, "p q"]:
    """Pixels that some eye sees past what is solid; with dice fewer of those that are far away, or behind a tree.

    Args:
        eyes: in the ego's frame, metres.
    """
    angle = torch.arange(640) * (2 * math.pi / 640)
    reach = torch.arange(0.4, PICTURE * PIXEL * 0.71, 0.5)
    rays = torch.stack([angle.cos(), angle.sin()], -1)[:, None] * reach[:, None]
    seen = torch.zeros(PICTURE * PICTURE, dtype=torch.bool)
    low, high = _THROUGH
    through = low + ((high - low) * torch.rand(len(angle), 1, generator=dice) ** 2).round() if dice else float(high)
    for eye in eyes:
        pixel = ((eye + rays) / PIXEL + PICTURE / 2).floor().long()
        inside = ((pixel >= 0) & (pixel < PICTURE)).all(-1)
        flat = (pixel.clamp(0, PICTURE - 1) * torch.tensor([PICTURE, 1])).sum(-1)
        seen[flat[inside & (solid.flatten()[flat].int().cumsum(1) <= through)]] = True
    seen = seen.reshape(PICTURE, PICTURE)
    if dice is None:
        return seen
    side = (torch.arange(PICTURE) + 0.5) * PIXEL - PICTURE * PIXEL / 2
    away = torch.hypot(side[:, None], side)
    share = torch.zeros_like(away)
    for (a, low), (b, high) in itertools.pairwise(_SEEN_AT):
        within = (away >= a) & (away < b)
        share[within] = low + (high - low) * (away[within] - a) / (b - a)
    return seen & (torch.rand(share.shape, generator=dice) < share)


def moments_from_logs(
    towns: list[LoggedTown], count: int, dice: torch.Generator, counterfactual: bool = True
) -> tuple[TrafficExamples, Bool[Tensor, " count"]]:
    """Examples of moments of all towns, and which of the egos drive as they did: all, if not `counterfactual`."""
    odds = torch.tensor([float(len(town)) for town in towns], dtype=torch.float64)
    chosen = torch.multinomial(odds, count, True, generator=dice).tolist()
    logged = torch.rand(count, generator=dice) < (_LOGGED if counterfactual else 1.0)
    rows = [
        towns[i].example(towns[i].draw(dice), dice, drives) for i, drives in zip(chosen, logged.tolist(), strict=True)
    ]
    return TrafficExamples(*(torch.cat(values) for values in zip(*rows, strict=True))), logged


def _another_way(ego: Float[Tensor, "g 3"], valid: Bool[Tensor, " f"], dice: torch.Generator) -> Float[Tensor, "f s 3"]:
    """The same way at another speed, beside it, or an arc; in steps within the frames.

    Args:
        ego: from the present on.
        valid: of the frames after it.
    """
    kind, a, b = torch.rand(3, generator=dice).tolist()
    normal = torch.randn(2, generator=dice).tolist()
    known = ego[: 1 + int(valid.sum())]
    t = (torch.arange(FUTURE * _STEPS) + 1) * DT / _STEPS
    speed = float((ego[1] - ego[0])[:2].norm()) / DT
    if kind < 0.35:
        pull = -_BRAKES + a * (_BRAKES + _SPEEDS_UP)
        way = (speed * t + pull * t**2 / 2) if pull >= 0 else speed * t + pull * t.clamp(max=-speed / pull) ** 2 / 2
        way = way if pull >= 0 else torch.where(t < -speed / pull, way, -(speed**2) / (2 * pull))
        return _along(known, way).unflatten(0, (FUTURE, _STEPS))
    if kind < 0.6:
        fine = _between(known).flatten(0, 1)
        fine = torch.cat([fine, fine[-1:].expand(FUTURE * _STEPS - len(fine), 3)])
        takes, aside = 2.0 + 2.0 * b, _ASIDE * (2 * a - 1)
        share = (t / takes).clamp(0, 1)
        shift = aside * share * share * (3 - 2 * share) * min(1.0, speed / 3.0)
        left = torch.stack([-fine[:, 2].sin(), fine[:, 2].cos()], -1)
        xy = fine[:, :2] + shift[:, None] * left
        return _with_headings(xy, fine[:, 2]).unflatten(0, (FUTURE, _STEPS))
    pull, bend = 1.5 * normal[0], _BENDS * normal[1]
    v = (speed + pull * t).clamp(min=0)
    turn = bend * (t / 1.5).clamp(max=1.0)
    yaw = (v * turn * DT / _STEPS).cumsum(0)
    xy = (torch.stack([yaw.cos(), yaw.sin()], -1) * (v * DT / _STEPS)[:, None]).cumsum(0)
    return torch.cat([xy, yaw[:, None]], -1).unflatten(0, (FUTURE, _STEPS))


def _along(poses: Float[Tensor, "k 3"], way: Float[Tensor, " m"]) -> Float[Tensor, "m 3"]:
    """Poses so far along a polyline; beyond its end straight on."""
    steps = poses.diff(dim=0)
    length = torch.cat([torch.zeros(1), steps[:, :2].norm(dim=-1).cumsum(0)])
    i = (torch.searchsorted(length, way, right=True) - 1).clamp(0, max(0, len(poses) - 2))
    if len(poses) < 2:
        i = torch.zeros_like(i)
        return torch.cat([torch.stack([way, 0 * way], -1), poses[i, 2:]], -1)
    span = (length[i + 1] - length[i]).clamp(min=1e-6)
    share = ((way - length[i]) / span).clamp(0, 1)[:, None]
    beyond = (way - length[-1]).clamp(min=0)[:, None]
    heading = torch.stack([poses[-1, 2].cos(), poses[-1, 2].sin()])
    xy = poses[i, :2] + share * steps[i, :2] + beyond * heading
    turn = torch.remainder(steps[i, 2:] + math.pi, math.tau) - math.pi
    return torch.cat([xy, poses[i, 2:] + share * turn], -1)


def _with_headings(xy: Float[Tensor, "m 2"], yaw: Float[Tensor, " m"]) -> Float[Tensor, "m 3"]:
    """Places with the headings of the way between them; those of `yaw` where it stands."""
    step = torch.cat([xy[:1], xy.diff(dim=0)])
    heading = torch.where(step.norm(dim=-1) > 0.02, torch.atan2(step[:, 1], step[:, 0]), yaw)
    return torch.cat([xy, heading[:, None]], -1)


def _between(poses: Float[Tensor, "*n g 3"]) -> Float[Tensor, "*n g-1 s 3"]:
    """_STEPS poses on the way to each but the first, itself the last."""
    share = ((torch.arange(_STEPS) + 1) / _STEPS)[:, None]
    step = poses.diff(dim=-2)
    step = torch.cat([step[..., :2], torch.remainder(step[..., 2:] + math.pi, math.tau) - math.pi], -1)
    return poses[..., :-1, None, :] + share * step[..., None, :]


def _rear_axle(middles: Float[Tensor, "t 3"], length: float) -> Float[Tensor, "t 3"]:
    """The ego in the place of a car: its bumper where the car's is."""
    back = length / 2 - EGO_FRONT
    ahead = torch.stack([middles[:, 2].cos(), middles[:, 2].sin()], -1)
    return torch.cat([middles[:, :2] + back * ahead, middles[:, 2:]], -1)


def _placed(xy: Float[Tensor, "*n 2"], here: Float[Tensor, " 3"]) -> Float[Tensor, "*n 2"]:
    """Points of a frame in the world."""
    c, s = here[2].cos(), here[2].sin()
    return torch.stack([c * xy[..., 0] - s * xy[..., 1], s * xy[..., 0] + c * xy[..., 1]], -1) + here[:2]


def _at(picture: Bool[Tensor, "p q"], xy: Float[Tensor, "n 2"]) -> Bool[Tensor, " n"]:
    pixel = (xy / PIXEL + PICTURE / 2).floor().long()
    inside = ((pixel >= 0) & (pixel < PICTURE)).all(1)
    x, y = pixel.clamp(0, PICTURE - 1).unbind(1)
    return inside & picture[x, y]
