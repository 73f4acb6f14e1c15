"""A text becomes the procedural world that fulfils it best, in the colours it names."""

import pytest
import torch

from worldloom.geometry.equirect import directions
from worldloom.scenegen import described_world
from worldloom.scenegen.described_world import find_world, panorama_of_world
from worldloom.scenegen.words import ROOMS, Words, read_words
from worldloom.synth.panoramas.recolour import tinted
from worldloom.synth.rooms import room_plan, rooms_at
from worldloom.synth.scene_files import make_world


@pytest.fixture(scope="module")
def bedroom():
    words, _ = read_words("a bedroom with blue walls")
    return find_world(words, seed=3)


def test_what_is_asked_for_is_there_in_its_colour(bedroom):
    assert bedroom.missing == ()
    shown = dict(bedroom.shows.things)
    assert bedroom.world.kind == "room"
    assert bedroom.shows.room == "bedroom"
    assert "bed" in shown
    assert shown["wall"] == "blue"


def test_its_panorama_has_exact_distance(bedroom):
    panorama = panorama_of_world(bedroom, 32, samples=1)
    assert panorama.rgb.shape == (3, 32, 64)
    down = directions(32)[-1, 0]
    assert float(panorama.distance[-1, 0] * -down[2]) == pytest.approx(bedroom.eye_height, rel=0.05)
    assert bool((panorama.distance > 0).all())


def test_the_same_seed_finds_the_same_world_and_another_one_another(bedroom):
    words, _ = read_words("a bedroom with blue walls")
    assert find_world(words, seed=3).world.seed == bedroom.world.seed
    assert find_world(Words("room"), seed=4, tries=1).world.seed != bedroom.world.seed


def test_what_no_world_has_is_said():
    found = find_world(Words("field", None, "blue sky", (("bed", None),)), tries=1)
    assert "bed" in found.missing
    assert found.shows.light == "blue sky"


def test_a_size_and_a_light_that_are_not_shown_are_said_and_not_searched_for(monkeypatch):
    made = []
    monkeypatch.setattr(described_world, "make_world", lambda *which: made.append(which) or make_world(*which))
    found = find_world(Words("field", "small", "dim"), seed=1)
    assert found.missing == ("small", "dim")
    assert len(made) == 1


def test_a_room_of_the_size_that_is_asked_for_is_searched_for():
    small, large = (find_world(Words("room", size), seed=1, tries=12) for size in ("small", "large"))
    assert (small.shows.size, large.shows.size) == ("small", "large")
    assert small.missing == large.missing == ()


def test_every_room_that_can_be_named_is_in_some_plan():
    built = {room.use for seed in range(60) for room in room_plan(seed)[0].rooms}
    assert {use for use, _ in ROOMS.values()} <= built  # else the search for one would not end


def test_the_eye_stands_in_the_room_that_is_named():
    for seed in range(3):
        found = find_world(Words("room", room="bathroom"), seed, tries=1)
        assert rooms_at(found.world.seed, found.eye[None]) == ("bathroom",)
        assert "plumbing" in dict(found.shows.things)


def test_a_room_that_is_not_found_is_searched_for_and_missing(monkeypatch):
    uses = iter([None, None, None, "bathroom"])  # of one world after the other, at its stands and at its eye
    monkeypatch.setattr(described_world, "_rooms", lambda world, stands: [next(uses)] * len(stands))
    asked = Words("room", room="bathroom")
    assert find_world(asked, tries=1).missing == ("bathroom",)
    assert find_world(asked, tries=3).shows.room == "bathroom"


def test_evenings_are_evenings():
    assert find_world(Words("field", None, "evening"), tries=2).shows.light == "evening"


def test_paint_stays_on_its_things():
    world = make_world("courtyard", 1)
    painted = tinted(world, "bush", (0.5, 0.02, 0.02))
    for before, after in zip(world.things, painted.things, strict=True):
        if before.semantic != "bush":
            assert after is before
            continue
        for part, other in zip(before.parts, after.parts, strict=True):
            assert other.vertices is part.vertices
            assert other.material.colour == (0.5, 0.02, 0.02)
            if part.material.pattern is not None:
                assert other.material.pattern is not None
    assert any(thing.semantic == "bush" for thing in world.things)
    torch.testing.assert_close(painted.stands, world.stands)
