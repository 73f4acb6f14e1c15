"""Plans in rooms whose truth is known: free, within bounds, chosen well, the same again."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scenegen.rooms import HEIGHT, box_distance, distance_to_box, furnished, panorama_of, sphere_room
from worldloom.errors import InputError
from worldloom.geometry import Agent, compose, rotz
from worldloom.scenegen import FAMILIES, plan_paths
from worldloom.scenegen.coverage import coverage
from worldloom.scenegen.motion import SPEED, TURN_RATE, Guide
from worldloom.scenegen.place import Route
from worldloom.scenegen.plan import NUM_SHRINKS, SHRINK

VOXELS = 40_000
SMALL = {"max_voxels": VOXELS, "num_views": 6, "budget": 60, "size": (36, 64)}
COUNTER = ((2.0, -0.5, -1.6), (2.8, 0.5, -0.4))


@pytest.fixture(scope="module")
def plan():
    return plan_paths(furnished(COUNTER), **SMALL)


@settings(max_examples=6, deadline=None)
@given(
    azimuth=st.floats(-math.pi, math.pi),
    near=st.floats(0.6, 3),
    size=st.floats(0.3, 2),
    low=st.floats(-1.6, 0.5),
    seed=st.integers(0, 1000),
)
def test_no_path_collides_with_the_true_room(azimuth, near, size, low, seed):
    centre = (near + size) * torch.tensor([math.cos(azimuth), math.sin(azimuth)])
    box = (
        (*(centre - size / 2).tolist(), low),
        (*(centre + size / 2).tolist(), min(low + size, 1.2)),
    )
    room = ((-5.0, -5.0, -1.6), (5.0, 5.0, 1.2))
    distance = torch.minimum(box_distance(*room, 128), box_distance(*box, 128))
    plan = plan_paths(panorama_of(distance), seed=seed, max_voxels=60_000, num_views=4, budget=24, size=(36, 64))
    agent = plan.place.agent
    for path in plan.paths:
        assert path.motion is not None
        points = path.motion.points
        apart = distance_to_box(points, *box)
        walls = torch.cat([points - torch.tensor(room[0]), torch.tensor(room[1]) - points], dim=-1).amin(-1)
        # 128 rows place the corners of a box 4 m away within a pixel of 10 cm; paths keep 5 cm to spare.
        assert apart.min().item() > agent.radius - 0.06, path.name
        assert walls.min().item() > agent.radius
        if path.family in ("surround", "reconstruct", "wander"):
            feet = points[:, 2] - plan.place.eye
            body = (feet + agent.step < box[1][2]) & (feet + agent.height > box[0][2])
            flat = torch.maximum(torch.tensor(box[0][:2]) - points[:, :2], points[:, :2] - torch.tensor(box[1][:2]))
            aside = flat.clamp(min=0).norm(dim=-1)
            assert not (body & (aside < agent.radius - 0.06)).any(), path.name


def test_paths_keep_speed_and_turning(plan):
    for path in plan.paths:
        seconds = path.times.diff()
        moved = path.cameras.world_from_cam[:, :3, 3].diff(dim=0).norm(dim=-1)
        assert (moved <= 1.02 * SPEED * seconds).all()
        between = path.cameras.world_from_cam[:-1, :3, :3].mT @ path.cameras.world_from_cam[1:, :3, :3]
        turned = torch.acos(((between.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2).clamp(-1, 1))
        assert (turned <= 1.02 * TURN_RATE * seconds + 2e-3).all()
        assert path.length >= moved.sum().item() - 1e-3


def test_cameras_stand_upright_and_look_inside(plan):
    for path in plan.paths:
        assert (path.cameras.world_from_cam[:, 2, 1] < -0.5).all()  # down in the picture is down in the world
        assert path.cameras.world_from_cam[:, 2, 0].abs().max() < 1e-5  # level horizons
        assert path.clearance >= plan.place.agent.radius
        clear = plan.place.space.clearance(path.cameras.world_from_cam[:, :3, 3])
        assert path.clearance == pytest.approx(clear.min().item(), abs=1e-5)


def test_every_family_proposes_and_the_budget_holds(plan):
    proposed = [*plan.paths, *plan.spare, *plan.dropped]
    assert {path.family for path in proposed} == set(FAMILIES)
    assert len({path.name for path in proposed}) == len(proposed)
    assert sum(len(path.cameras) for path in plan.paths) == 60
    assert plan.coverage.counts.shape == (len(plan.paths), len(plan.coverage.patches))


def test_chosen_paths_see_more_than_those_left_over(plan):
    chosen = plan.coverage.shares(plan.coverage.total)[0]
    n = plan.coverage.num_shown
    alone = [coverage(row[:n], plan.coverage.patches.areas[:n]) for row in plan.coverage.counts]
    assert chosen > max(alone)
    assert chosen > 0.6
    regular = plan_paths(furnished(COUNTER), ["regular"], **{**SMALL, "budget": 54})
    few = plan_paths(furnished(COUNTER), **{**SMALL, "budget": 54})
    areas = few.coverage.patches.areas
    assert coverage(few.coverage.total, areas) > coverage(regular.coverage.total, areas)


def test_the_same_seed_plans_the_same_and_another_does_not(plan):
    again = plan_paths(furnished(COUNTER), **SMALL)
    assert [p.name for p in again.paths] == [p.name for p in plan.paths]
    for a, b in zip(again.paths, plan.paths, strict=True):
        assert torch.equal(a.cameras.world_from_cam, b.cameras.world_from_cam)
    other = plan_paths(furnished(COUNTER), seed=1, **SMALL)
    assert any(
        not torch.equal(a.cameras.world_from_cam, b.cameras.world_from_cam)
        for a, b in zip(other.paths, plan.paths, strict=False)
    )


def test_a_familys_paths_do_not_depend_on_the_other_families(plan):
    alone = plan_paths(furnished(COUNTER), ["aerial"], **SMALL)
    named = {p.name: p for p in [*plan.paths, *plan.spare]}
    for path in alone.paths:
        assert torch.equal(path.cameras.world_from_cam, named[path.name].cameras.world_from_cam)


def test_the_plan_moves_with_the_panorama(plan):
    move = compose(rotz(torch.tensor(1.1)), torch.tensor([5.0, -3.0, 1.5]))
    there = plan_paths(furnished(COUNTER, world_from_pano=move), **SMALL)
    assert [p.name for p in there.paths] == [p.name for p in plan.paths]
    for a, b in zip(there.paths, plan.paths, strict=True):
        torch.testing.assert_close(a.cameras.world_from_cam, move @ b.cameras.world_from_cam, atol=2e-5, rtol=0)
        assert a.clearance == pytest.approx(b.clearance, abs=1e-4)
    torch.testing.assert_close(
        there.navmesh.vertices, plan.navmesh.vertices @ move[:3, :3].T + move[:3, 3], atol=1e-5, rtol=0
    )


def test_a_path_that_is_not_free_is_shortened_and_says_so():
    # Loops of 1.2 m do not fit between walls 1.5 m apart, smaller ones do.
    corridor = plan_paths(furnished(room=((-7.0, -0.75, -1.6), (7.0, 0.75, 1.2))), ["regular"], **SMALL)
    loops = [p for p in [*corridor.paths, *corridor.spare] if p.note]
    assert loops
    for path in loops:
        assert path.note is not None
        percent = int(path.note.split("shortened to ")[1].rstrip("%"))
        assert percent in {round(100 * SHRINK**k) for k in range(1, NUM_SHRINKS + 1)}
        assert "the camera has less than 0.30 m of free space" in path.note
        assert path.clearance >= 0.25 or math.isnan(path.clearance)


def test_a_path_that_is_never_free_is_dropped_with_a_reason():
    # Room to stand, but not for a loop of 0.36 m.
    closet = plan_paths(furnished(room=((-0.36, -0.36, -1.6), (0.36, 0.36, 1.2)), height=256), ["regular"], **SMALL)
    assert len(closet.dropped) > 0
    for path in closet.dropped:
        assert "0.30 m of free space around it, and so it is at 30% of its length" in path.reason


def test_a_path_that_stands_still_is_dropped(monkeypatch):
    still = Guide(torch.zeros(2, 3), torch.zeros(2), torch.zeros(2))
    monkeypatch.setitem(FAMILIES, "regular", lambda place, generator: [Route(still, walks=False)])
    plan = plan_paths(furnished(), ["regular"], **SMALL)
    assert [path.reason for path in plan.dropped] == ["it neither moves nor turns"]
    assert [path.family for path in plan.paths] == ["turn"]


def test_with_no_room_the_camera_turns_on_the_spot():
    plan = plan_paths(panorama_of(sphere_room(0.2)), **SMALL)
    (path,) = plan.paths
    assert path.family == "turn"
    assert path.length == 0
    forward = path.cameras.world_from_cam[:, :3, 2]
    torch.testing.assert_close(forward[0], torch.tensor([1.0, 0, 0]), atol=1e-5, rtol=0)
    assert forward[1:3, 1].min() > 0  # to the left
    assert plan.notes[0].startswith("the camera has 0.")
    assert "no walkable ground" in plan.notes[1]
    assert plan.navmesh.polygons == ()


def test_under_the_open_sky_with_no_ground_there_are_still_flights():
    everywhere = torch.ones(HEIGHT, 2 * HEIGHT, dtype=torch.bool)
    plan = plan_paths(panorama_of(sphere_room(5), everywhere), **SMALL)
    assert {p.family for p in plan.paths} == {"regular"}
    assert any("no walkable ground" in note for note in plan.notes)
    assert all(math.isnan(share) for share in plan.coverage.shares(plan.coverage.total))


def test_frames_are_as_asked():
    plan = plan_paths(furnished(), ["regular"], max_voxels=VOXELS, num_views=4, budget=9, size=(50, 80), fov=1.0)
    assert len(plan.paths) == 2
    cameras = plan.paths[0].cameras
    assert cameras.size == (50, 80)
    assert len(cameras) == 4
    assert 2 * math.atan(40 / cameras.K[0, 0, 0].item()) == pytest.approx(1.0)


def test_a_film_has_its_rate_and_ends_where_the_path_does(plan):
    path = plan.paths[0]
    film = path.film(10.0, 1000)
    assert len(film) == int(path.seconds * 10 + 1e-6) + 1
    torch.testing.assert_close(film.world_from_cam[0], path.cameras.world_from_cam[0], atol=1e-4, rtol=0)
    assert (film.world_from_cam[-1, :3, 3] - path.cameras.world_from_cam[-1, :3, 3]).norm() < 0.1 * SPEED + 1e-3
    assert len(path.film(10.0, 7)) == 7
    given = replace(path, motion=None).film(10.0, 1000)
    assert len(given) == len(film)
    torch.testing.assert_close(given.world_from_cam[:, :3, 3], film.world_from_cam[:, :3, 3], atol=0.6, rtol=0)


@pytest.mark.parametrize(
    ("families", "options", "message"),
    [
        (["regular", "flying"], {}, "expected families out of regular, surround, .*, got flying"),
        ([], {}, "got none"),
        (["regular"], {"num_views": 1}, "at least 2 views a path .* got 1"),
        (["regular"], {"num_views": 10, "budget": 9}, "a budget for one path, got 10 and 9"),
    ],
)
def test_bad_requests(families, options, message):
    with pytest.raises(InputError, match=message):
        plan_paths(panorama_of(sphere_room(3)), families, **options)


def test_a_nan_distance_is_refused():
    distance = sphere_room(3)
    distance[40, 10:14] = math.nan
    with pytest.raises(InputError, match="got 4 others of 18432, the first nan"):
        plan_paths(panorama_of(distance), **SMALL)


def test_a_wide_agent_keeps_wide():
    plan = plan_paths(furnished(COUNTER), agent=Agent(radius=0.6), **SMALL)
    assert all(path.clearance >= 0.6 for path in plan.paths)
