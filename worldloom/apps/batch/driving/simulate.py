"""A spec becomes futures: the past is opened and changed as asked, the ego's way laid, and the model called."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from worldloom.apps.batch.driving.sources import Seen, open_past
from worldloom.apps.batch.spec import COPY_WARP, LOG, POSES, ScenarioSpec
from worldloom.errors import InputError
from worldloom.geometry import EgoPath, Occupancy
from worldloom.geometry.ego_path import path_from_steps
from worldloom.geometry.manoeuvres import manoeuvre_path
from worldloom.occupancy.agents import CastPast, with_agents
from worldloom.occupancy.bodies import with_bodies
from worldloom.occupancy.forecast import copy_warp
from worldloom.occupancy.tracks import find_tracks
from worldloom.occupancy.user_boxes import box_of
from worldloom.occupancy.world_model import Futures, WorldModel


@dataclass(frozen=True)
class Given:
    """A scenario before the model is called."""

    cast: CastPast  # with the agents that the spec asks for
    truth: Occupancy | None
    ego_path: EgoPath | None  # poses of the future frames; None where the model drives

    @property
    def past(self) -> Occupancy:
        """What is seen now."""
        return self.cast.past


def prepare(spec: ScenarioSpec, cache: Path) -> Given:
    """Open the past and lay the path.

    Raises:
        InputError: see `open_past`; a logged path that is too short, or of a past with other agents.
    """
    seen = open_past(spec, cache)
    return Given(with_agents(seen.past, spec.agents), seen.truth, _ego_path(spec, seen))


def simulate(spec: ScenarioSpec, given: Given) -> Futures:
    """The futures; the same spec gives the same, whoever makes them."""
    drawing, cast = spec.drawing, given.cast
    if drawing.model == COPY_WARP:
        assert given.ego_path is not None
        future = copy_warp(cast.past, given.ego_path)
        still = [
            track for track in (*with_bodies(find_tracks(cast.seen), cast.seen), *cast.added) if bool(track.present[-1])
        ]
        stand = tuple(
            box_of(track, track.world_from_object[-1:].expand(spec.horizon + 1, 4, 4), future.dt) for track in still
        )
        return Futures((future,), (given.ego_path,), torch.zeros(0, spec.horizon, 2), (stand,))
    model = world_model(drawing.model)
    start = model.observe(cast.seen)
    return model.generate_from(
        replace(start, tracks=(*start.tracks, *cast.added)),
        given.ego_path,
        drawing.num_futures,
        spec.seed,
        drawing.mode,
        drawing.steps,
        drawing.guidance,
        spec.horizon,
        expected=False,  # scenarios that differ in their seeds alone differ
    )


@functools.lru_cache(maxsize=1)
def world_model(name: str) -> WorldModel:
    """The model of these weights, loaded once in each process."""
    return WorldModel.from_pretrained(name)


def _ego_path(spec: ScenarioSpec, seen: Seen) -> EgoPath | None:
    past, start = seen.past, seen.past.world_from_ego[-1].double()
    if spec.path is None:
        return None
    if spec.path == LOG:
        if seen.truth is None or len(seen.truth) < spec.horizon:
            have = 0 if seen.truth is None else len(seen.truth)
            raise InputError(f"{spec.title}: expected {spec.horizon} logged frames after the present, got {have}")
        return EgoPath(seen.truth.world_from_ego.double(), past.dt)
    if spec.path == POSES:
        assert spec.poses is not None
        return path_from_steps(start, torch.tensor(spec.poses, dtype=torch.float64), past.dt)[1:]
    assert spec.speed is not None
    return manoeuvre_path(spec.path, spec.speed, spec.horizon, past.dt, start)[1:]
