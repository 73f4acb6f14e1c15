"""Drivers of many tempers in the learned world and in the true one: does the model know who drives well?

Every driver drives the same starts in both worlds, and is scored by the same rules. The learned world has seen five
seconds as sensors saw them, and imagines the rest; the true one is SUMO's traffic.

    pip install 'worldloom[synth,traffic]'
    python examples/evaluate_policies.py --town 3005 --starts 2
"""

import argparse

from worldloom.occupancy import WorldModel
from worldloom.occupancy.simulation import ModelWorld, Simulation
from worldloom.occupancy.simulation.comparison import Comparison, compare_worlds
from worldloom.occupancy.simulation.policies import usual_policies
from worldloom.occupancy.simulation.town_world import TownStart, TownWorld
from worldloom.synth.towns.town import make_town


def compare(
    town_seed: int, starts: int, seconds: float, names: list[str] | None = None, size: float = 480.0
) -> Comparison:
    """Scores of policies in both worlds."""
    policies = {name: make for name, make in usual_policies().items() if names is None or name in names}
    town = make_town(town_seed, size=size)
    model = Simulation(ModelWorld(WorldModel.from_pretrained("small")))
    with TownWorld() as world:
        moments = [TownStart(town, seed=0, at=4.0 + 5.0 * number) for number in range(starts)]
        return compare_worlds({"model": model}, Simulation(world), moments, policies, seconds)["model"]


def main() -> None:
    """Read the options, compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--town", type=int, default=3005)
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    result = compare(options.town, options.starts, options.seconds)
    print(f"{'policy':<24} {'model':>6} {'truth':>6}")
    table = zip(result.policies, *result.means().tolist(), strict=True)
    for name, model, truth in sorted(table, key=lambda row: -row[2]):
        print(f"{name:<24} {model:6.2f} {truth:6.2f}")
    for name, ranks in (("correlation", False), ("rank correlation", True)):
        low, high = result.interval(ranks=ranks)
        found = result.correlation(ranks=ranks)
        print(f"{name} over {len(result.policies)} policies: {found:.2f} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
