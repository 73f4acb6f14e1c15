"""What each family proposes in rooms where it is known what it should."""

import math

import numpy as np
import pytest
import torch

from tests.scenegen.rooms import HEIGHT, furnished, panorama_of, sphere_room
from worldloom.geometry import Agent
from worldloom.geometry.equirect import directions
from worldloom.scenegen.families import FAMILIES
from worldloom.scenegen.families.surround import things_on_ground
from worldloom.scenegen.families.wander import MAX_WALK, MIN_ANGLE, NEARING
from worldloom.scenegen.place import SPARE, survey

VOXELS = 60_000
COUNTER = ((2.0, -0.5, -1.6), (2.8, 0.5, -0.4))


def routes(family, place, seed=0):
    return FAMILIES[family](place, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def place():
    return survey(furnished(COUNTER), Agent(), VOXELS)


@pytest.mark.parametrize(
    ("family", "most"), [("regular", 9), ("surround", 5), ("reconstruct", 10), ("wander", 3), ("aerial", 8)]
)
def test_counts_and_starts(family, most, place):
    found = routes(family, place)
    assert 1 <= len(found) <= most
    for route in found:
        assert route.walks is (family in ("surround", "reconstruct", "wander"))
        if family != "aerial":
            assert route.guide.points[0].norm() < 0.15
        if route.walks:  # at the eye's height over level ground
            torch.testing.assert_close(
                route.guide.points[:, 2], torch.full((len(route.guide.points),), -1.6 + place.eye), atol=0.03, rtol=0
            )


@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_same_seed_proposes_the_same(family, place):
    first, again = routes(family, place, 3), routes(family, place, 3)
    assert all(torch.equal(a.guide.points, b.guide.points) for a, b in zip(first, again, strict=True))
    assert all(torch.equal(a.guide.yaw, b.guide.yaw) for a, b in zip(first, again, strict=True))


def test_regular_loops_look_all_round(place):
    found = routes("regular", place)
    assert len(found) == 9
    gazes = torch.cat([route.guide.yaw for route in found]).remainder(2 * math.pi).sort().values
    assert gazes.diff().max() < math.radians(20)
    left, right, up = found[:3]
    assert left.guide.points[8, 1] > 0.1 > -0.1 > right.guide.points[8, 1]
    assert left.guide.yaw[-1] - left.guide.yaw[0] == pytest.approx(math.radians(120), abs=1e-4)
    assert right.guide.yaw[-1] - right.guide.yaw[0] == pytest.approx(-math.radians(120), abs=1e-4)
    assert up.guide.points[-1, 2] > 0.4
    assert up.guide.pitch[-1] == pytest.approx(math.radians(45))


def test_wandering_goes_far_in_different_directions_and_looks_back(place):
    found = routes("wander", place)
    ends = torch.stack([route.guide.points[-1] for route in found])
    azimuth = torch.atan2(ends[:, 1], ends[:, 0])
    for i in range(len(ends)):
        for j in range(i):
            turn = (azimuth[i] - azimuth[j] + math.pi).remainder(2 * math.pi) - math.pi
            assert turn.abs() >= MIN_ANGLE - 1e-3
    assert ends[0].norm() > 3
    shown = ends.norm(dim=-1) - place.space.behind(ends)
    assert (ends.norm(dim=-1) <= NEARING * shown + 1e-4).all()
    for route in found:
        way = route.guide.points
        assert way.diff(dim=0).norm(dim=-1).sum() <= MAX_WALK * 1.05
        gaze = torch.stack([route.guide.yaw.cos(), route.guide.yaw.sin()], -1)
        ahead = torch.nn.functional.normalize((way[10] - way[0])[:2], dim=0)
        assert (gaze[0] @ ahead).item() > 0.9  # where it goes
        assert (gaze[-1] @ gaze[-9]).item() < -0.9  # and back


def test_reconstruct_paths_look_behind_the_counter(place):
    found = routes("reconstruct", place)
    shadow = torch.tensor([3.8, 0.0, -0.9])  # what the panorama cannot see
    best = 0
    for route in found:
        eye = route.guide.points[-1]
        gaze = torch.stack([route.guide.yaw[-1].cos(), route.guide.yaw[-1].sin()])
        towards = torch.nn.functional.normalize((shadow - eye)[:2], dim=0)
        # Beside the counter or farther, the line to the shadow passes it by.
        beside = eye[0] > 1.0 and eye[1].abs() > 0.8
        best += bool((gaze @ towards) > 0.7 and beside)
    assert best >= 1
    assert routes("reconstruct", survey(furnished(), Agent(), VOXELS)) == []  # an empty room hides nothing


def test_reconstruct_paths_lead_away_from_the_start(monkeypatch):
    # A walker far below the panorama's eye looks behind the beam from where it starts.
    beam = survey(furnished(((1.5, -2.0, -0.2), (1.9, 2.0, 1.2)), room=((-4, -4, -2.5), (4, 4, 1.2))), Agent(), VOXELS)
    for route in routes("reconstruct", beam):
        assert (route.guide.points[-1] - route.guide.points[0]).norm() > 0.3
    monkeypatch.setattr("worldloom.scenegen.families.reconstruct.MAX_WALK", 0.1)  # only the start is left
    assert routes("reconstruct", beam) == []


def test_surround_paths_look_at_a_thing_and_go_around_it(place):
    things = things_on_ground(place)
    assert len(things) == 1
    # Of the counter the front and the top are shown.
    assert things[0].middle[0] == pytest.approx(2.1, abs=0.3)
    assert things[0].middle[1] == pytest.approx(0.0, abs=0.1)
    assert 0.8 < things[0].size < 2
    (route,) = routes("surround", place)
    offsets = things[0].middle - route.guide.points
    azimuth = torch.atan2(offsets[:, 1], offsets[:, 0])
    turn = (azimuth - route.guide.yaw + math.pi).remainder(2 * math.pi) - math.pi
    assert turn.abs().max() < 1e-3
    covered = torch.from_numpy(np.unwrap(azimuth.double().numpy()))
    assert covered.max() - covered.min() > math.radians(60)
    assert offsets[:, :2].norm(dim=-1).min() > 0.5 + 0.25  # half the counter, and the body


def test_things_across_the_seam_are_whole():
    behind = survey(
        furnished(((-2.6, -0.4, -1.6), (-2.0, 0.4, -0.4)), room=((-6.0, -4.0, -1.6), (5.0, 4.0, 1.2))), Agent(), VOXELS
    )
    things = things_on_ground(behind)
    assert len(things) == 1
    assert things[0].middle[0] == pytest.approx(-2.1, abs=0.3)
    assert things[0].middle[1] == pytest.approx(0.0, abs=0.15)


def test_aerial_paths_rise_under_the_sky_and_look_up_under_a_ceiling(place):
    down = -directions(HEIGHT)[..., 2]
    open_air = panorama_of(torch.where(down > 0.1, 1.6 / down.clamp(min=0.1), 16.0), down <= 0.1)
    outdoors = routes("aerial", survey(open_air, Agent(), 10 * VOXELS))
    assert len(outdoors) == 8
    for route in outdoors:
        assert route.guide.points[-1, 2] - route.guide.points[0, 2] > 3
        assert route.guide.pitch[-1] < -0.4
    low = survey(furnished(room=((-3.0, -4.0, -1.6), (5.0, 4.0, 0.5))), Agent(height=1.75), VOXELS)
    for route in routes("aerial", low):
        assert route.guide.points[-1, 2] == route.guide.points[0, 2]
        assert route.guide.pitch.max() > 0.6
    feet = torch.stack([route.guide.points[0] for route in outdoors])
    assert torch.pdist(feet).min() >= 2.4


def test_on_a_bare_wall_nothing_is_proposed_but_turning():
    nowhere = survey(panorama_of(sphere_room(0.2)), Agent(), VOXELS)
    assert nowhere.start is None
    assert all(routes(family, nowhere) == [] for family in FAMILIES)


def test_a_start_close_to_a_wall_is_moved_to_where_there_is_room():
    near_wall = furnished(room=((-0.15, -4.0, -1.6), (5.0, 4.0, 1.2)))
    place = survey(near_wall, Agent(), VOXELS)
    assert place.start is not None
    assert 0.05 < place.start.norm() < 0.8
    assert place.start[0] > 0.1
    assert place.space.has_room(place.start[None], place.agent.radius + SPARE).all()


@pytest.mark.parametrize(("above", "expected"), [(0.3, 0.8), (1.4, 1.4), (4.0, 1.65)])
def test_eyes_are_at_the_height_of_the_panorama_if_that_is_one_of_eyes(above, expected):
    place = survey(furnished(room=((-4.0, -4.0, -above), (4.0, 4.0, 2.0))), Agent(), VOXELS)
    assert place.eye == pytest.approx(expected, abs=0.06)
