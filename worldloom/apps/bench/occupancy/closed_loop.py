"""The model as a driver: plans in what it imagines, judged by the simulator that it has never seen."""

import statistics
from collections.abc import Sequence

from worldloom.apps.bench.result import Row
from worldloom.errors import InputError
from worldloom.occupancy.planning.closed_loop import Episode, Policy, drive_closed_loop
from worldloom.occupancy.planning.drivers import (
    constant_velocity_planner,
    follow_lane,
    sumo_driver,
    world_model_planner,
)
from worldloom.occupancy.world_model import WorldModel
from worldloom.synth.towns.town import make_town
from worldloom.synth.traffic.sumo import SumoError
from worldloom.synth.voxels.voxelize import Voxelizer

_SECONDS = 20.0


def planner_rows(towns: Sequence[int], model: WorldModel, quick: bool) -> list[Row]:
    """Collisions, way made and the driving score, beside SUMO's own driver and a lane follower of constant speed."""
    drivers: dict[str, Policy] = {
        "model": world_model_planner(model),
        "constant speed": follow_lane(),
        "SUMO": sumo_driver,
        "planner on exact boxes": constant_velocity_planner(),
    }
    episodes: dict[str, list[Episode]] = {name: [] for name in drivers}
    lost, seconds = 0, 5.0 if quick else _SECONDS
    for town_seed in towns[: 1 if quick else None]:
        town = make_town(town_seed)
        voxelizer = Voxelizer(town)
        for seed in range(1 if quick else 2):
            try:
                done = [
                    drive_closed_loop(town, driver, seconds, seed, voxelizer=voxelizer) for driver in drivers.values()
                ]
            except (InputError, SumoError):  # an ego that begins on no lane, or a simulator that died
                lost += 1
                continue
            for name, episode in zip(drivers, done, strict=True):
                episodes[name].append(episode)
    if not episodes["model"]:
        return []
    note = f"{len(episodes['model'])} drives of {seconds:g} s, {lost} not driven; cross-entropy method"
    crashed = {name: 100 * statistics.mean(bool(e.collisions) for e in done) for name, done in episodes.items()}
    made = {name: 100 * statistics.mean(e.completion for e in done) for name, done in episodes.items()}
    score = {name: 100 * statistics.mean(e.pdms for e in done) for name, done in episodes.items()}
    return [
        Row("planner_collision_rate", crashed.pop("model"), "%", "", crashed, note),
        Row("planner_route_completion", made.pop("model"), "%", "", made, note),
        Row("planner_pdms", score.pop("model"), "%", "", score, f"exact boxes; {note}"),
    ]
