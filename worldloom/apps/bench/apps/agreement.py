"""Whether the learned world knows who drives well: policies' scores in it and in the true one."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from worldloom.apps.bench.result import Row
from worldloom.errors import InputError, require
from worldloom.occupancy.data.splits import TOWN_SPLITS
from worldloom.occupancy.simulation import ModelWorld, ModelWorldConfig, Simulation
from worldloom.occupancy.simulation.comparison import Comparison, compare_worlds
from worldloom.occupancy.simulation.policies import usual_policies
from worldloom.occupancy.simulation.sensors import needed_reach, sensors_of
from worldloom.occupancy.simulation.steady_traffic import SteadyTraffic
from worldloom.occupancy.world_model import WorldModel
from worldloom.synth.traffic.sumo import SumoError

MODEL, FLOOR = "model", "floor"  # in which others keep their velocity
_FIRST, _TOWNS = 10, 12  # of the test split; a start in each, so that starts are independent
_AT = 8.0  # seconds into the logged drive
_SECONDS = 8.0  # of a drive: two windows of the driving score
_PARTS = ("no_collision", "driveable", "progress_share", "comfort")


def agreement_rows(model: WorldModel, quick: bool) -> list[Row]:
    """Correlations over policies, in the learned world and in one whose traffic is not learned.

    Raises:
        MissingExtra: without towns or their traffic.
    """
    require("shapely", "synth", "true towns")
    require("libsumo", "traffic", "true towns")
    from worldloom.occupancy.simulation.town_world import TownStart, TownWorld
    from worldloom.synth.towns.town import make_town

    policies, seconds = usual_policies(), 2.0 if quick else _SECONDS
    if quick:
        policies = dict(list(policies.items())[::5])
    config = ModelWorldConfig(reach=needed_reach(sensors_of("numbers")))  # policies look at no voxels
    worlds = {MODEL: model, FLOOR: SteadyTraffic(model)}
    models = {name: Simulation(ModelWorld(world, config)) for name, world in worlds.items()}
    parts: dict[str, list[Comparison]] = defaultdict(list)
    lost = 0
    with TownWorld() as world:
        for seed in TOWN_SPLITS["test"][_FIRST:][: 2 if quick else _TOWNS]:
            start = TownStart(make_town(seed, size=240 if quick else 480), 0, _AT)
            try:
                compared = compare_worlds(models, Simulation(world), [start], policies, seconds)
            except (InputError, SumoError):  # an ego on no lane, or a simulator that died
                lost += 1
                continue
            for name, part in compared.items():
                parts[name].append(part)
    if not parts:
        return []
    return rows_of({name: Comparison.joined(found) for name, found in parts.items()}, seconds, lost)


def rows_of(found: Mapping[str, Comparison], seconds: float, lost: int) -> list[Row]:
    """Correlations with their intervals, and the scores of each policy in both worlds.

    Args:
        found: comparisons of MODEL and of FLOOR with truth.
        lost: starts that could not be driven.
    """
    model, floor = found[MODEL], found[FLOOR]
    count, starts = len(model.policies), model.scores["pdms"].shape[2]
    about = f"{count} policies, {starts} starts in as many towns of the test split, {seconds:g} s each"
    over = "95 % over starts, and over policies; floor: the same map, others keep their velocity"

    def correlation(metric: str, score: str, ranks: bool, note: str) -> Row:
        own, theirs = model.interval(score, ranks), floor.interval(score, ranks)
        others = model.interval_over_policies(score, ranks)
        baseline = {
            "95 % low": own.low, "95 % high": own.high,
            "policies 95 % low": others.low, "policies 95 % high": others.high,
            FLOOR: floor.correlation(score, ranks),
            "floor 95 % low": theirs.low, "floor 95 % high": theirs.high,
        }  # fmt: skip
        return Row(metric, model.correlation(score, ranks), "", "", baseline, note)

    apart = {name: 100 * float(np.abs(np.subtract(*one.scores["pdms"])).mean()) for name, one in found.items()}
    imagined, true = (dict(zip(model.policies, row.tolist(), strict=True)) for row in model.means())
    said = "mean PDMS over starts; the baselines are the policies"
    return [
        correlation("policy_correlation", "pdms", False, f"Pearson, mean PDMS of {about}; {over}"),
        correlation("policy_rank_correlation", "pdms", True, f"Spearman, mean PDMS of {about}; {over}"),
        *(
            correlation(f"policy_correlation_{part}", part, False, f"Pearson, this part of PDMS alone; {over}")
            for part in _PARTS
        ),
        Row(
            "policy_score_difference", apart[MODEL], "%", "", {FLOOR: apart[FLOOR]},
            f"mean over drives of |PDMS in the model - in truth|; {about}",
        ),
        Row("policy_starts", starts, "", "", {"not driven": lost}, "an ego on no lane, or a simulator that died"),
        Row("policy_pdms_model", 100 * float(np.mean(list(imagined.values()))), "%", "", _percent(imagined), said),
        Row("policy_pdms_truth", 100 * float(np.mean(list(true.values()))), "%", "", _percent(true), said),
    ]  # fmt: skip


def _percent(shares: Mapping[str, float]) -> dict[str, float | int]:
    return {name: 100 * share for name, share in shares.items()}
