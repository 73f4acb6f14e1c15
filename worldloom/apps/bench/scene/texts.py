"""Worlds made of texts: how much of what is asked for is to be seen, and what it costs to find them."""

from worldloom.apps.bench.result import Row, cpu_seconds
from worldloom.scenegen.described_world import DescribedWorld, find_world
from worldloom.scenegen.words import Words, read_words

TEXTS = (
    "a bedroom with blue walls and a red rug", "a street with trees and cars at sunset",
    "a meadow with a lake under a blue sky", "a large office with white walls and orange chairs",
    "a courtyard with a green lawn and yellow buildings", "a kitchen with a red table", "a small dim room with a sofa",
    "an overcast street with a truck and bicycles", "a forest with rocks", "a bathroom with green walls",
    "a plaza with benches, stairs and red bushes", "a library with brown shelves and a yellow lamp",
)  # fmt: skip


def text_rows(quick: bool) -> list[Row]:
    """Of TEXTS: found among many worlds and painted, and, as a floor, in the first world of the kind as it is."""
    asked = fulfilled = by_chance = 0
    spent = 0.0
    texts = TEXTS[:3] if quick else TEXTS
    for seed, text in enumerate(texts):
        words, _ = read_words(text)
        began = cpu_seconds()
        found = find_world(words, seed)
        spent += cpu_seconds() - began
        floor = find_world(Words(words.kind), seed, tries=1)
        asked += len(_wishes(words))
        fulfilled += len(_wishes(words) & _shown(found))
        by_chance += len(_wishes(words) & _shown(floor))
    note = f"share of {asked} rooms, sizes, lights, things and colours that {len(texts)} texts name"
    return [
        Row("text_fulfilled", 100 * fulfilled / asked, "%", "", {"first world": 100 * by_chance / asked}, note),
        Row("text_world_s", spent / len(texts), "s", note="CPU time to find a world, without its picture"),
    ]


def _wishes(words: Words) -> set[object]:
    """What is named, one by one; a colour counts beside its thing."""
    wishes: set[object] = {word for word in (words.room, words.size, words.light) if word is not None}
    wishes |= {name for name, _ in words.things}
    return wishes | {(name, colour) for name, colour in words.things if colour is not None}


def _shown(found: DescribedWorld) -> set[object]:
    return _wishes(found.shows)
