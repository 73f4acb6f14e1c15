"""A planner drives in the learned world.

It draws candidate paths, asks the world model how everybody would move beside them, and drives the cheapest for half a
second (the cross-entropy method); then it plans anew. The environment is the same model's world, so this shows that
the parts fit, not how good the planner is: for that see `worldloom bench occupancy`, which judges it in true towns.

    python examples/plan_with_cem.py --seconds 8
"""

import argparse

import torch

from worldloom.geometry.io import load_clip
from worldloom.occupancy import WorldModel
from worldloom.occupancy.planning.planner import Goal, Plan, PlannerConfig, plan
from worldloom.occupancy.planning.room import room_from_map
from worldloom.occupancy.simulation import ModelWorld, Simulation, clip_start
from worldloom.occupancy.static_map import StaticMap
from worldloom.synth.samples import sample_clip_path
from worldloom.synth.traffic.ego import Action

DT = 0.5  # seconds of a step


def drive(model: WorldModel, seconds: float, config: PlannerConfig, cruise: float = 8.0) -> dict[str, float]:
    """Plan and drive; the metrics of the drive."""
    simulation = Simulation(ModelWorld(model))
    state = simulation.start(clip_start(load_clip(sample_clip_path()), frame=6), seed=0)
    generator = torch.Generator().manual_seed(0)
    last: Plan | None = None
    for step in range(round(seconds / DT)):
        view = simulation.view(state)
        # What the map says of the road here, in the ego's frame: the same frame that the imagined paths are in.
        room = room_from_map(StaticMap.of(simulation.occupancy(state)))
        goal = Goal(view.line, cruise)
        last = plan(model, state.inner.world, goal, view.start, room, last, DT, generator, config)
        # A step of the planner is a tenth of a second, one of the world is five of them.
        pedal, wheel = last.actions[:5].mean(0).tolist()
        state = simulation.step(state, Action(pedal, wheel))
        print(
            f"{step * DT + DT:4.1f} s  {state.ego.speed:4.1f} m/s  {state.progress:5.1f} m  cost {last.cost:6.2f}"
            f"{'  contact' if state.contacts else ''}{'  off the road' if state.astray else ''}"
        )
        if state.contacts:
            break
    return simulation.metrics(state, seconds)


def main() -> None:
    """Read the options and drive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--samples", type=int, default=64, help="candidates in each iteration")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--branches", type=int, default=4, help="candidates about which the network is asked")
    options = parser.parse_args()
    config = PlannerConfig(samples=options.samples, iterations=options.iterations, branches=options.branches)
    metrics = drive(WorldModel.from_pretrained("small"), options.seconds, config)
    print({name: round(value, 3) for name, value in metrics.items()})


if __name__ == "__main__":
    main()
