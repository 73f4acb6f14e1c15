"""Digests of one of everything that is made by seed; run as a program, it prints those of its own process as JSON.

The worlds here are small: what makes bytes differ from process to process (hash seeds, addresses, threads, the clock)
does so in small worlds too.
"""

import hashlib
import json
from typing import Any

import torch

from worldloom.synth.cast import Caster
from worldloom.synth.outdoors import make_courtyard, make_field, make_street
from worldloom.synth.rooms import make_room
from worldloom.synth.shapes import slab
from worldloom.synth.skies.sky import Sky
from worldloom.synth.towns import Town, make_town
from worldloom.synth.towns.roads import make_roads
from worldloom.synth.traffic import Drive, drive_town
from worldloom.synth.traffic.ego import Action
from worldloom.synth.traffic.simulator import Simulator, State
from worldloom.synth.world import Material, Thing, World

UP = torch.tensor([[0.0, 0.6, 0.8]]).expand(5, 3)


def of_world(world: World) -> str:
    digest = hashlib.sha256(repr((world.sky.towards_sun, world.sky.sun, world.stands.tolist())).encode())
    for thing in world.things:
        digest.update(f"{thing.name} {thing.semantic}".encode() + thing.world_from_thing.numpy().tobytes())
        for part in thing.parts:
            digest.update(part.vertices.numpy().tobytes() + part.faces.numpy().tobytes())
            digest.update(repr(part.material.colour).encode())
    for thing in world.things[:12]:
        for part in thing.parts:
            if part.material.pattern is not None:
                points = part.vertices[:5]
                digest.update(part.material.pattern(points, UP[: len(points)]).numpy().tobytes())
    return digest.hexdigest()


def of_town(town: Town) -> str:
    digest = hashlib.sha256(town.roads.net_xml + town.roads.opendrive() + repr(town.closed_lanes).encode())
    for raster in (town.ground.labels, town.ground.raised, town.ground.paint):
        digest.update(raster.numpy().tobytes())
    for user in town.standing:
        digest.update(f"{user.kind}{user.variant}".encode() + user.world_from_user.numpy().tobytes())
    return digest.hexdigest() + of_world(town.world())


def of_drive(drive: Drive) -> str:
    digest = hashlib.sha256()
    for tensor in (drive.world_from_ego, drive.speed, drive.fine.world_from_ego):
        digest.update(tensor.numpy().tobytes())
    for user in drive.users:
        digest.update(f"{user.id} {user.kind} {user.variant}".encode())
        for tensor in (user.trajectory.world_from_actor, user.trajectory.present, user.velocity, user.phase):
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def of_state(state: State) -> bytes:
    facts = (state.time, state.ego, state.collisions, state.off_road, state.min_gap, state.progress, state.users.ids)
    return repr((facts, state.time_to_collision)).encode() + b"".join(
        tensor.numpy().tobytes() for tensor in (state.users.world_from_user, state.users.velocity, state.users.phase)
    )


def of_surfaces_in_one_place() -> str:
    """Which of several surfaces a ray meets that lie on each other."""
    materials = [Material(str(i), (0.5, 0.5, 0.5)) for i in range(40)]
    slabs = [slab((-1 - i % 3, -1, -1), (1, 1, 1 + i % 2), material) for i, material in enumerate(materials)]
    things = tuple(Thing(str(i), "wall", (part,)) for i, part in enumerate(slabs))
    caster = Caster(World("room", 0, things, Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3)))
    d = torch.nn.functional.normalize(torch.randn(20_000, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    return hashlib.sha256(caster.cast(-4 * d, d).face.numpy().tobytes()).hexdigest()


def digests(town: Town) -> dict[str, str]:
    """Of everything, with the town of `make_town(0, "grid", 200)`."""
    return {
        "room": of_world(make_room(16)),
        "street": of_world(make_street(5)),
        "courtyard": of_world(make_courtyard(1)),
        "field": of_world(make_field(6)),
        "roads": hashlib.sha256(make_roads(11, "random", 300).net_xml).hexdigest(),
        "town": of_town(town),
        "drive": of_drive(drive_town(town, 4.0, seed=7)),
        "surfaces in one place": of_surfaces_in_one_place(),
    }


ACTIONS = (Action(1.0, 0.0), Action(-2.0, 0.03), Action(2.0, -0.02))


def steered(simulator: Simulator) -> str:
    """What the simulator's road is like after some actions."""
    return [of_state(simulator.step(action)).hex() for action in ACTIONS][-1]


def saved_moment(town: Town) -> dict[str, str]:
    """A moment of a simulation as bytes, and how it goes on from there."""
    with Simulator(town, seed=1, density=2.0) as simulator:
        simulator.reset(3.0)
        simulator.step(Action(1.0, 0.02))
        return {"snapshot": simulator.save().to_bytes().hex(), "after": steered(simulator)}


if __name__ == "__main__":
    own_town = make_town(0, "grid", 200)
    everything: dict[str, Any] = {"digests": digests(own_town), **saved_moment(own_town)}
    print(json.dumps(everything))
