"""A procedural world as a text asks for: the best of many, in the colours that are named."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError, require
from worldloom.geometry.io.images import linear_from_srgb
from worldloom.geometry.panorama import Panorama
from worldloom.scenegen.words import COLOURS, KINDS, ROOMS, THINGS, Words, words_of
from worldloom.synth.cast import Caster
from worldloom.synth.light.metering import metered_exposure
from worldloom.synth.light.pathtrace import path_trace
from worldloom.synth.panoramas.panorama_files import learned_panorama
from worldloom.synth.panoramas.recolour import tinted
from worldloom.synth.scene_files import make_world
from worldloom.synth.skies.sky import clear_sky, overcast_sky
from worldloom.synth.truth import render_truth
from worldloom.synth.views import PanoramaView
from worldloom.synth.world import World

TRIES = 24  # worlds to choose from
SAMPLES = 32  # paths of light for each pixel
_STANDS = 6  # of a world, to choose from
_NEAR = 6.0  # metres: a thing that is mentioned should not be far off
_ROWS = 48  # of the pictures that are compared with the text
_WEIGHTS = {"room": 4.0, "size": 1.0, "light": 1.0, "thing": 2.0, "colour": 0.5}  # of what is fulfilled
_SKIES = {
    "blue sky": lambda dice: clear_sky(dice.uniform(0.5, 1.0), dice.uniform(0, 2 * math.pi), 2.5),
    "overcast": lambda dice: overcast_sky(
        dice.uniform(0.4, 0.7), dice.uniform(0, 2 * math.pi), dice.randrange(1 << 30)
    ),
    "evening": lambda dice: clear_sky(dice.uniform(0.04, 0.1), dice.uniform(0, 2 * math.pi), 4.0),
}


@dataclass(frozen=True)
class DescribedWorld:
    """A procedural world that shows what words say, as far as one was found."""

    world: World
    eye: Float[Tensor, "3"]  # where the panorama is taken from, metres
    eye_height: float  # metres over the ground
    shows: Words
    missing: tuple[str, ...]  # of what was asked for


def find_world(
    words: Words, seed: int = 0, tries: int = TRIES, progress: Callable[[float], None] = lambda share: None
) -> DescribedWorld:
    """The first of `tries` worlds that fulfils all of the words, or the one that fulfils most.

    The seed tells the worlds; named colours are painted on.

    Raises:
        InputError: fewer than one try.
        MissingExtra: the ray caster is not installed.
    """
    for module in ("embreex", "shapely"):
        require(module, "synth", "making a world from a text")
    dice = random.Random(f"world as described {seed}")
    best, most = None, -1.0
    enough = _fulfilled(_possible(words), words)
    for i in range(tries):
        progress(i / tries)
        kind = words.kind or KINDS[i % len(KINDS)]
        world = make_world(kind, _seed(words, dice))
        # What is nowhere in a world is not in its picture, which takes longer than the world.
        there = {thing.semantic for thing in world.things}
        possible = replace(words, things=tuple(thing for thing in words.things if thing[0] in there))
        if _fulfilled(words, possible) <= most:
            continue
        candidate = _candidate(world, words)
        fulfilled = _fulfilled(words, candidate.shows)
        if fulfilled > most:
            best, most = candidate, fulfilled
        if fulfilled >= enough:
            break
    if best is None:
        raise InputError(f"expected at least 1 world to choose from, got {tries}")
    return best


def panorama_of_world(found: DescribedWorld, rows: int, samples: int = SAMPLES, seed: int = 0) -> Panorama:
    """The path-traced panorama of a world from its eye, with exact distance, in the eye's frame."""
    caster = Caster(found.world)
    caster.world = replace(found.world, exposure=metered_exposure(caster))
    view = PanoramaView(found.eye, rows)
    truth = render_truth(caster, view, seed, radiance=path_trace(caster, view, samples, seed))
    far = truth.distance.max().clamp(min=1.0)
    return Panorama(truth.rgb, torch.where(truth.sky, far, truth.distance), truth.sky, torch.eye(4))


def _seed(words: Words, dice: random.Random) -> int:
    """A random seed whose world has the room that is named, if one is: plans are quick to draw."""
    from worldloom.synth.rooms import room_plan

    while True:
        seed = dice.randrange(1 << 30)
        if words.room is None or any(room.use == ROOMS[words.room][0] for room in room_plan(seed)[0].rooms):
            return seed


def _candidate(world: World, words: Words) -> DescribedWorld:
    """The world in the colours and light that are named, and what it shows from its best stand."""
    seed = world.seed
    if words.light in _SKIES:
        world = replace(world, sky=_SKIES[words.light](random.Random(f"sky as described {seed}")))
    for name, colour in words.things:
        if colour is not None:
            world = tinted(world, name, _linear(colour))
    eye = _stand(world, words)
    caster = Caster(world, num_threads=1)
    caster.world = replace(world, exposure=metered_exposure(caster, num_stands=1, seed=seed))
    ground = caster.cast(eye[None], eye.new_tensor([[0.0, 0.0, -1.0]]))
    height = float(ground.distance[0])
    view = PanoramaView(eye, _ROWS)
    truth = render_truth(caster, view, seed, paths=1, shared_light=True)
    seen = words_of(learned_panorama(truth, view, height, world.kind), most=len(THINGS))
    seen = replace(seen, room=_rooms(world, eye[None])[0])
    return DescribedWorld(world, eye, height, seen, _missing(words, seen))


def _stand(world: World, words: Words) -> Float[Tensor, "3"]:
    """Among the first stands, the best of which comes first, the one with most of the named things near.

    In the room that is named, if one is and anybody can stand in it.
    """
    names = {name for name, _ in words.things}
    asked = [thing for thing in world.things if thing.semantic in names]
    places = torch.stack([thing.world_from_thing[:2, 3] for thing in asked]) if asked else torch.zeros(0, 2)
    semantics = [thing.semantic for thing in asked]
    inside = torch.tensor([words.room in (None, room) for room in _rooms(world, world.stands)])
    stands = world.stands[inside] if bool(inside.any()) else world.stands
    best, most = stands[0], -1
    for stand in stands[:_STANDS]:
        near = (places - stand[:2]).norm(dim=-1) < _NEAR
        seen = len({name for name, close in zip(semantics, near.tolist(), strict=True) if close})
        if seen > most:
            best, most = stand, seen
    return best


def _rooms(world: World, stands: Float[Tensor, "s 3"]) -> list[str | None]:
    """Which of ROOMS each stand is in."""
    if world.kind != "room":
        return [None] * len(stands)
    from worldloom.synth.rooms import rooms_at

    names = {use: name for name, (use, _) in ROOMS.items()}
    return [None if use is None else names.get(use) for use in rooms_at(world.seed, stands)]


def _possible(words: Words) -> Words:
    """Without the size and light that no picture of the kind is described by, as nobody need search for them."""
    if words.kind is None:
        return words
    indoors = words.kind == "room"
    light = words.light if (words.light in _SKIES) != indoors else None
    return replace(words, size=words.size if indoors else None, light=light)


def _fulfilled(words: Words, seen: Words) -> float:
    shown = dict(seen.things)
    total = _WEIGHTS["room"] * (words.room is not None and words.room == seen.room)
    total += _WEIGHTS["size"] * (words.size is not None and words.size == seen.size)
    total += _WEIGHTS["light"] * (words.light is not None and words.light == seen.light)
    for name, colour in words.things:
        total += _WEIGHTS["thing"] * (name in shown)
        total += _WEIGHTS["colour"] * (colour is not None and shown.get(name) == colour)
    return total


def _missing(words: Words, seen: Words) -> tuple[str, ...]:
    shown = {name for name, _ in seen.things}
    lacking = [name.replace("_", " ") for name, _ in words.things if name not in shown]
    lacking += [word for word in (words.room,) if word not in (None, seen.room)]
    lacking += [word for word in (words.size,) if word not in (None, seen.size)]
    lacking += [word for word in (words.light,) if word not in (None, seen.light)]
    return tuple(lacking)


def _linear(colour: str) -> tuple[float, float, float]:
    red, green, blue = linear_from_srgb(torch.tensor(COLOURS[colour])).tolist()
    return red, green, blue
