"""Who may be judged in the closed loop: SUMO's own driver, followers of the lane, planners, and the model itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.geometry.rigid import invert
from worldloom.occupancy.motions import DT
from worldloom.occupancy.planning.closed_loop import Driver, Observation, Policy, boxes_of, planar
from worldloom.occupancy.planning.imaginer import ConstantVelocity, Imaginer
from worldloom.occupancy.planning.planner import Goal, Plan, PlannerConfig, plan
from worldloom.occupancy.planning.room import Room, room_from_map
from worldloom.occupancy.scene_state import SceneState, plane_poses
from worldloom.occupancy.static_map import StaticMap
from worldloom.occupancy.world_model import Imagined, WorldModel, WorldState
from worldloom.synth.traffic.ego import Action, Waypoint, action_to
from worldloom.synth.traffic.pilots import Follow
from worldloom.synth.traffic.sumo import STEP

CRUISE = 10.0  # m/s
_USUAL = PlannerConfig()
_HELD = round(DT / STEP)  # steps for which a plan is followed before the next
State = TypeVar("State")


def sumo_driver(first: Observation) -> Driver:
    """The driver whose drive is the log."""
    return lambda seen: [None] * _HELD


def follow_lane(speed: float | None = None, yields: bool = False) -> Policy:
    """Along the route at a constant speed (but slower in bends), by default the one it has at first.

    Args:
        yields: brake for who is ahead, by the intelligent driver model. False: for nobody.
    """

    def policy(first: Observation) -> Driver:
        follow = Follow(first.way, max(first.state.ego.speed, 5.0) if speed is None else speed, yields)
        return lambda seen: [follow(seen.state)]

    return policy


def planning(
    imaginer: Imaginer[State],
    look: Callable[[Observation], tuple[State, Room]],
    config: PlannerConfig = _USUAL,
    speed: float = CRUISE,
    seed: int = 0,
) -> Policy:
    """Plans anew every half second.

    Args:
        look: what the imaginer, and what the planner itself, make of an observation.
    """

    def policy(first: Observation) -> Driver:
        generator = torch.Generator().manual_seed(seed)
        last: list[Plan] = []

        def drive(seen: Observation) -> Sequence[Action]:
            state, room = look(seen)
            goal = Goal(seen.line(), speed)
            now = plan(imaginer, state, goal, seen.start, room, last[-1] if last else None, DT, generator, config)
            last[:] = [now]
            return [Action(a, k) for a, k in now.actions[:_HELD].tolist()]

        return drive

    return policy


def constant_velocity_planner(config: PlannerConfig = _USUAL, speed: float = CRUISE, seed: int = 0) -> Policy:
    """Plans among exact boxes that keep their velocities, on the exact road."""
    return planning(ConstantVelocity(), exact, config, speed, seed)


def world_model_planner(
    model: WorldModel, config: PlannerConfig | None = None, speed: float = CRUISE, seed: int = 0
) -> Policy:
    """Plans in the learned model, which sees voxels; so does the planner. The drive needs a voxelizer.

    By default the network is asked about eight paths of each iteration, for time's sake.
    """

    def look(seen: Observation) -> tuple[WorldState, Room]:
        past = seen.occupancy()
        return model.observe(past), room_from_map(StaticMap.of(past))

    return planning(model, look, config or PlannerConfig(branches=8), speed, seed)


def world_model_policy(model: WorldModel, seed: int = 0) -> Policy:
    """What the model itself would do: the ego's path of its policy mode. The drive needs a voxelizer."""

    def propose(seen: Observation, number: int) -> Float[Tensor, "f 3"]:
        past = seen.occupancy()
        future = model.generate(past, seed=seed + number, mode="policy", horizon=1, expected=False)
        here = past.world_from_ego[-1].double()
        return plane_poses(invert(here) @ future.ego_paths[0].world_from_ego.double())

    return drafting(propose)


def drafting(propose: Callable[[Observation, int], Float[Tensor, "f 3"]]) -> Policy:
    """Drives to the first pose of a proposed path (DT seconds ahead, in the ego's frame), then asks again.

    Args:
        propose: is also told how often it was asked before.
    """

    def policy(first: Observation) -> Driver:
        count = 0

        def drive(seen: Observation) -> Sequence[Action]:
            nonlocal count
            x, y, _ = propose(seen, count)[0].tolist()
            count += 1
            return [action_to(Waypoint(x, y), seen.state.ego.speed, DT)] * _HELD

        return drive

    return policy


def exact(seen: Observation) -> tuple[SceneState, Room]:
    """Exact boxes and the exact road."""
    return seen.scene(), seen.room()


@dataclass(frozen=True)
class TrueDynamics:
    """The true simulator as an imaginer: what really comes of each path, reactions included. An oracle, and slow."""

    def imagine(self, state: Observation, paths: Float[Tensor, "k f 3"], generator: torch.Generator) -> Imagined:
        """See `Imaginer`; the simulator is brought back to the present."""
        simulator, ego = state.simulator, state.state.ego
        now = simulator.save()
        scene, names = state.scene(), [row.name for row in state.in_sight()]
        users = scene.history[:, -1].repeat(len(paths), paths.shape[1], 1, 1).transpose(1, 2).contiguous()
        risk = torch.zeros(*paths.shape[:2], 2)
        for number, path in enumerate(paths):
            simulator.load(now)
            for frame, waypoint in enumerate(_waypoints(path)):
                after = simulator.step(waypoint, DT)
                there = boxes_of(after)
                for row, name in enumerate(names):
                    if name in there:
                        pose = torch.tensor([there[name][1]], dtype=torch.float64)
                        users[number, row, frame:] = planar(ego, pose)[0].float()
                risk[number, frame:, 0] += float(bool(after.collisions))
                risk[number, frame:, 1] += float(after.off_road)
        simulator.load(now)
        return Imagined(users, scene.sizes, scene.middles, scene.labels, risk.clamp(max=1.0))


def _waypoints(path: Float[Tensor, "f 3"]) -> list[Waypoint]:
    """Each pose's place in the frame of the one before."""
    before = torch.cat([torch.zeros(1, 3), path[:-1]])
    x, y = (path[:, :2] - before[:, :2]).unbind(-1)
    c, s = before[:, 2].cos(), before[:, 2].sin()
    return [Waypoint(*pair) for pair in torch.stack([c * x + s * y, c * y - s * x], -1).tolist()]
