"""A prompt becomes words, and a panorama is described by the same ones."""

from dataclasses import replace

import pytest
import torch

from worldloom.errors import InputError
from worldloom.scenegen.words import COLOURS, MAX_THINGS, PROMPT_LIMIT, THINGS, Words, colour_name, read_words, words_of
from worldloom.synth.panoramas.panorama_files import FARTHEST, LearnedPanorama
from worldloom.synth.world import SEMANTICS

BEDROOM = Words("room", "small", None, (("bed", None), ("sofa", "blue"), ("wall", "white")), "bedroom")
KITCHEN = Words("room", things=(("appliance", None), ("plumbing", None), ("wall", "orange")), room="kitchen")
LIVING = Words("room", things=(("sofa", None), ("shelf", None)), room="living room")
CONE = Words(None, None, "blue sky", (("traffic_cone", None),))


@pytest.mark.parametrize(
    ("prompt", "words", "unknown"),
    [
        ("A cosy bedroom with a blue couch and white walls", BEDROOM, ()),
        ("trees, parked cars: a STREET", Words("street", things=(("tree", None), ("car", None))), ()),
        ("a green meadow with a lake", Words("field", things=(("grass", "green"), ("water", None))), ()),
        ("an orange kitchen", KITCHEN, ()),
        ("living room, bookshelves!", LIVING, ()),
        ("two dragons, a traffic cone and a blue sky", CONE, ("two", "dragons")),
        ("a street at sunset", Words("street", None, "evening"), ()),
        ("a street without cars or people, trees", Words("street", things=(("tree", None),)), ("no cars", "no people")),
        ("a red unicorn and a table", Words(things=(("table", None),)), ("unicorn", "red")),
        ("a red velvet sofa", Words(things=(("sofa", "red"),)), ("velvet",)),
        ("a street near a green meadow", Words("street"), ("meadow", "green")),
        ("a small large room", Words("room", "small"), ("large",)),
        ("a room with a small red table", Words("room", things=(("table", "red"),)), ("small",)),
        ("a room with dark red walls", Words("room", things=(("wall", "red"),)), ("dark",)),
        ("a small dark room, a bed", Words("room", "small", "dim", (("bed", None),)), ()),
        ("a red sofa, a blue sofa", Words(things=(("sofa", "red"),)), ("blue sofa",)),
        ("cities", Words("street"), ()),
        ("a bedroom with a blue bed", Words("room", things=(("bed", "blue"),), room="bedroom"), ()),
        ("a room: a kitchen, a bathroom", Words("room", things=KITCHEN.things[:2], room="kitchen"), ("bathroom",)),
        ("a street with a kitchen", Words("street"), ("kitchen",)),
        ("a room in green or blue", Words("room"), ("green", "blue")),
        ("a room, für Bücher", Words("room"), ("für", "bücher")),
        ("benches and bushes", Words(things=(("chair", None), ("bush", None))), ()),
    ],
)
def test_prompts_are_understood_as_far_as_words_go(prompt, words, unknown):
    assert read_words(prompt) == (words, unknown)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", f"a text of 1 to {PROMPT_LIMIT} characters, got 0"),
        ("   ", "got 0"),
        ("green red blue", "nothing of the text is understood"),
        ("no sofa", "nothing of the text is understood"),
        ("x" * (PROMPT_LIMIT + 1), f"got {PROMPT_LIMIT + 1}"),
        ("ein blaues Haus", "nothing of the text is understood, got 'ein blaues Haus'; it may speak of room, street"),
        ("1234 §$%", "nothing of the text is understood"),
    ],
)
def test_what_cannot_be_understood_is_refused(prompt, message):
    with pytest.raises(InputError, match=message.replace("$", r"\$")):
        read_words(prompt)


def test_more_things_than_the_network_takes_are_left_out():
    words, left_out = read_words(" and ".join(name.replace("_", " ") for name in THINGS))
    assert tuple(name for name, _ in words.things) == THINGS[:MAX_THINGS]
    assert left_out == tuple(name.replace("_", " ") for name in THINGS[MAX_THINGS:])


def test_colours_are_named_as_people_do_in_any_light():
    for name, rgb in COLOURS.items():
        assert colour_name(torch.tensor(rgb)) == name
    assert colour_name(torch.tensor([0.30, 0.05, 0.05])) == "red"
    assert colour_name(torch.tensor([0.10, 0.20, 0.08])) == "green"
    assert colour_name(torch.tensor([0.12, 0.13, 0.12])) == "black"


def a_panorama(kind, sky=0.0, sky_colour=(0, 0, 0), walls=2.0, level=0.42):
    """Red below the horizon (a floor), grey walls above, sky on top."""
    height = 64
    semantic = torch.full((height, 2 * height), SEMANTICS.index("wall"), dtype=torch.uint8)
    semantic[height // 2 - 1 :] = SEMANTICS.index("floor")
    rgb = torch.full((3, height, 2 * height), level)
    rgb[:, height // 2 - 1 :] = torch.tensor([0.6, 0.1, 0.1])[:, None, None]
    top = round(sky * height / 2)
    part = torch.zeros_like(semantic)
    part[:top] = 3
    semantic[:top] = SEMANTICS.index("sky")
    rgb[:, :top] = torch.tensor(sky_colour)[:, None, None].float()
    distance = torch.full((height, 2 * height), walls)
    distance[:top] = FARTHEST
    return LearnedPanorama((255 * rgb).byte(), distance, part, semantic, 1.5, kind)


def test_a_panorama_is_described_by_what_is_large_in_it():
    words = words_of(a_panorama("room", walls=1.0))
    assert words == Words("room", "small", None, (("floor", "red"), ("wall", "grey")))
    assert words_of(a_panorama("room"), most=1).things == (("floor", "red"),)
    assert words_of(a_panorama("room", walls=5.0)).size == "large"
    assert words_of(a_panorama("room", walls=2.0)).size is None
    assert words_of(a_panorama("room", level=0.02)).light == "dim"


def test_colours_are_those_of_things_and_not_of_the_exposure():
    dark = a_panorama("room", level=0.12)
    dark = replace(dark, rgb=torch.full_like(dark.rgb, 30))
    assert words_of(dark).things == (("floor", "grey"), ("wall", "grey"))


@pytest.mark.parametrize(
    ("colour", "light"), [((0.4, 0.6, 0.9), "blue sky"), ((0.7, 0.7, 0.72), "overcast"), ((0.6, 0.55, 0.5), "evening")]
)
def test_the_sky_tells_the_weather(colour, light):
    assert words_of(a_panorama("street", sky=1.0, sky_colour=colour)).light == light


def test_words_read_as_a_phrase():
    words = Words("room", "small", "dim", (("sofa", "blue"), ("traffic_cone", None)))
    assert str(words) == "small dim room with blue sofa, traffic cone"
    assert str(Words("street", None, "overcast")) == "street, overcast"
    assert str(Words("room", "large", room="library")) == "large library"
