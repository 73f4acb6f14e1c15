"""People on foot: adults, children and workers, who stand or walk, and what they carry. x forward, soles on z = 0."""

import math
import random
from dataclasses import dataclass

from worldloom.synth.road_users.coachwork import TYRE, chamfered
from worldloom.synth.road_users.figure import Build, Pose, cloth, figure, umbrella
from worldloom.synth.shapes import Number, Triple, cylinder, ellipsoid, moved, tube, turned
from worldloom.synth.world import Colour, Part

STANCE = 0.6  # share of a walking cycle that a foot is on the ground

FACES: tuple[Colour, ...] = (
    (0.62, 0.42, 0.32),
    (0.5, 0.32, 0.22),
    (0.3, 0.17, 0.1),
    (0.12, 0.07, 0.045),
    (0.68, 0.5, 0.4),
)
HAIR: tuple[Colour, ...] = ((0.02, 0.018, 0.016), (0.08, 0.045, 0.025), (0.25, 0.15, 0.06), (0.45, 0.43, 0.4))
TOPS: tuple[Colour, ...] = (
    (0.6, 0.08, 0.07),
    (0.08, 0.2, 0.5),
    (0.75, 0.74, 0.7),
    (0.05, 0.05, 0.055),
    (0.1, 0.3, 0.15),
    (0.65, 0.5, 0.1),
    (0.35, 0.36, 0.38),
    (0.4, 0.15, 0.4),
    (0.1, 0.35, 0.4),
    (0.5, 0.25, 0.12),
)
LEGS: tuple[Colour, ...] = (
    (0.05, 0.06, 0.12),
    (0.03, 0.03, 0.035),
    (0.3, 0.25, 0.18),
    (0.15, 0.2, 0.3),
    (0.2, 0.2, 0.2),
)


@dataclass(frozen=True)
class Walker:
    """A person on foot and what they have with them."""

    build: Build
    carries: str = ""  # "backpack", "bag", "suitcase", "umbrella" or "stroller"

    @property
    def what(self) -> str:
        """nuScenes' word: "adult", "child" or "construction_worker"."""
        return "construction_worker" if self.build.high_vis else "child" if self.build.height < 1.45 else "adult"

    @property
    def stride(self) -> float:
        """How far they go in one cycle (two steps), metres."""
        return 0.38 * self.build.height / STANCE


def someone(dice: random.Random, height: Number) -> Build:
    """A person of this height with looks drawn from `dice`."""
    garment = dice.choices(("trousers", "skirt", "coat", "shorts"), (6, 1.2, 1.5, 1.3))[0]
    return Build(
        float(height),
        girth=dice.uniform(0.98, 1.2),
        face=dice.choice(FACES),
        hair=dice.choice(HAIR),
        top=dice.choice(TOPS),
        trousers=dice.choice(LEGS),
        garment=garment,
        head=dice.choices(("hair", "long hair", "cap"), (4, 3, 1))[0],
    )


def walker(person: Walker, phase: Number | None) -> list[Part]:
    """The person standing (None) or at a phase of the walking cycle in [0, 1); at 0 the left heel strikes."""
    pose = _standing(person) if phase is None else _walking(person, float(phase))
    return [*figure(person.build, pose), *_carried(person, pose)]


def _foot(build: Build, reach: float, phase: float) -> Triple:
    """x and height of an ankle, and the pitch of its sole, at a phase of its own cycle.

    On the ground the foot stays where it is while the body goes on; the heel rises at the end. Then it swings.
    """
    phase %= 1.0
    fore = 0.105 * build.height
    if phase < STANCE:
        x = reach / 2 - reach * phase / STANCE
        late = max(0.0, (phase - 0.38) / (STANCE - 0.38))
        pitch = 0.6 * late**2
        # The sole turns about the toe, which stays on the ground.
        z = build.ankle * math.cos(pitch) + fore * math.sin(pitch)
        return x + fore * (1 - math.cos(pitch)) + build.ankle * math.sin(pitch), z, pitch
    swing = (phase - STANCE) / (1 - STANCE)
    start_x, start_z, start_pitch = _foot(build, reach, STANCE - 1e-9)
    ease = swing * swing * (3 - 2 * swing)
    z = start_z + (build.ankle - start_z) * ease + 0.05 * build.height * math.sin(math.pi * swing)
    return start_x + (reach / 2 - start_x) * ease, z, start_pitch * (1 - ease) ** 2


def _walking(person: Walker, phase: float) -> Pose:
    build, h = person.build, person.build.height
    reach = person.stride * STANCE
    left, right = (_foot(build, reach, phase + shift) for shift in (0.0, 0.5))
    # The hips ride as high as the straighter leg lets them, lowest when both feet are down.
    ride = (0.5125 - 0.0155 * math.cos(4 * math.pi * phase)) * h
    sway = 0.035 * h
    swing = 0.13 * h * math.cos(2 * math.pi * phase)
    shoulder = ride + build.shoulder
    hands = tuple(
        (0.04 * h - side * swing, side * 0.135 * h * build.girth, shoulder - 0.325 * h + 0.25 * abs(swing))
        for side in (1, -1)
    )
    return Pose(
        hips=(0.0, 0.0, ride),
        lean=0.06,
        ankles=((left[0], sway, left[1]), (right[0], -sway, right[1])),
        toes=(left[2], right[2]),
        hands=_hands(person, (hands[0], hands[1]), shoulder),
    )


def _standing(person: Walker) -> Pose:
    build, h = person.build, person.build.height
    hips = 2 * 0.995 * build.leg + build.ankle + 0.01 * h
    shoulder = hips + build.shoulder
    hands = tuple((0.03 * h, side * 0.135 * h * build.girth, shoulder - 0.335 * h) for side in (1, -1))
    return Pose(
        hips=(0.0, 0.0, hips),
        lean=0.0,
        ankles=((0.0, 0.06 * h, build.ankle), (0.02 * h, -0.06 * h, build.ankle)),
        toes=(0.0, 0.0),
        hands=_hands(person, (hands[0], hands[1]), shoulder),
    )


def _hands(person: Walker, hands: tuple[Triple, Triple], shoulder: float) -> tuple[Triple, Triple]:
    """Hands that hold something do not swing."""
    h = person.build.height
    if person.carries == "umbrella":
        return hands[0], (0.13 * h, -0.08 * h, shoulder - 0.1 * h)
    if person.carries == "stroller":
        return (0.3 * h, 0.1 * h, 0.98), (0.3 * h, -0.1 * h, 0.98)
    if person.carries == "suitcase":
        return hands[0], (-0.14 * h, -0.14 * h, shoulder - 0.29 * h)
    if person.carries == "bag":
        return hands[0], (0.02 * h, -0.14 * h, shoulder - 0.33 * h)
    return hands


def _carried(person: Walker, pose: Pose) -> list[Part]:
    build, h = person.build, person.build.height
    x, y, z = pose.hands[1]
    if person.carries == "umbrella":
        return umbrella((x, y, z), 1.18 * h, build.trousers if build.trousers != LEGS[1] else TOPS[0])
    if person.carries == "backpack":
        pack = chamfered((-0.17 * h, -0.09 * h, 0), (-0.055 * h, 0.09 * h, 0.25 * h), 0.03, cloth(TOPS[3]))
        return [moved(pack, turned(pitch=pose.lean), (pose.hips[0], 0, pose.hips[2] + 0.04 * h))]
    if person.carries == "bag":
        return [
            chamfered((x - 0.16, y - 0.06, z - 0.45), (x + 0.16, y + 0.06, z - 0.15), 0.03, cloth(TOPS[9])),
            tube([(x - 0.1, y, z - 0.17), (x, y, z - 0.02), (x + 0.1, y, z - 0.17)], 0.01, cloth(TOPS[9]), 4),
        ]
    if person.carries == "suitcase":
        case = chamfered((x - 0.42, y - 0.2, 0.05), (x - 0.14, y + 0.2, 0.66), 0.05, cloth(TOPS[1]))
        pole = tube([(x - 0.2, y, 0.65), (x, y, z)], 0.012, cloth(TOPS[6]), 4)
        wheels = [
            moved(cylinder(0.03, 0.03, (0, 0, 0), TYRE, 8), turned(roll=math.pi / 2), (x - 0.2, y + s, 0.03))
            for s in (-0.12, 0.15)
        ]
        return [case, pole, *wheels]
    if person.carries == "stroller":
        return _stroller(x, build.top)
    return []


def _stroller(handle: float, colour: Colour) -> list[Part]:
    """A pram pushed by its handle, which is at x = handle and 0.98 m high."""
    hull, frame = cloth(colour), cloth(TOPS[3])
    middle = handle + 0.5
    wheels = [
        moved(cylinder(r, 0.04, (0, 0, 0), TYRE, 12), turned(roll=math.pi / 2), (middle + dx, side * 0.24 + 0.02, r))
        for dx, r in ((-0.28, 0.14), (0.32, 0.11))
        for side in (-1, 1)
    ]
    bars = [
        tube(
            [(handle, s * 0.2, 0.98), (handle + 0.25, s * 0.22, 0.6), (middle + 0.32, s * 0.22, 0.12)], 0.014, frame, 5
        )
        for s in (-1, 1)
    ]
    return [
        *wheels,
        *bars,
        tube([(handle, -0.2, 0.98), (handle, 0.2, 0.98)], 0.016, frame, 5),
        chamfered((middle - 0.3, -0.21, 0.42), (middle + 0.38, 0.21, 0.68), 0.06, hull),
        ellipsoid((0.26, 0.21, 0.27), (middle - 0.12, 0, 0.72), hull, 10, 5),
    ]


def _cast() -> tuple[Walker, ...]:
    dice = random.Random("people on foot")
    carried = ("", "backpack", "", "bag", "", "umbrella", "", "suitcase", "", "", "backpack", "bag", "", "stroller", "")
    adults = [Walker(someone(dice, round(dice.gauss(1.72, 0.08), 2)), item) for item in carried]
    children = [
        Walker(someone(dice, height), item) for height, item in ((1.05, ""), (1.22, "backpack"), (1.4, "backpack"))
    ]
    workers = [
        Walker(Build(height, 1.15, face, top=top, trousers=trousers, head="helmet", helmet=helmet, high_vis=True), "")
        for height, face, top, trousers, helmet in (
            (1.78, FACES[0], (0.8, 0.3, 0.03), (0.8, 0.3, 0.03), (0.8, 0.65, 0.03)),
            (1.74, FACES[2], (0.06, 0.08, 0.15), (0.06, 0.08, 0.15), (0.8, 0.8, 0.78)),
        )
    ]
    return (*adults, *children, *workers)


WALKERS = _cast()
