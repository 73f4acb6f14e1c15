"""What a panorama is said to show: a few words that a prompt is read for, and that pictures are described by."""

import re
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.equirect import solid_angles
from worldloom.synth.panoramas.panorama_files import LearnedPanorama
from worldloom.synth.world import SEMANTICS

KINDS = ("room", "street", "courtyard", "field")
SIZES = ("small", "large")
LIGHTS = ("bright", "dim", "blue sky", "overcast", "evening")
COLOURS = {
    "white": (0.90, 0.90, 0.90), "grey": (0.50, 0.50, 0.50), "black": (0.07, 0.07, 0.07), "red": (0.65, 0.15, 0.12),
    "orange": (0.85, 0.50, 0.20), "yellow": (0.88, 0.80, 0.30), "green": (0.25, 0.45, 0.20),
    "blue": (0.22, 0.35, 0.65), "purple": (0.45, 0.25, 0.50), "pink": (0.85, 0.60, 0.65),
    "brown": (0.42, 0.29, 0.18), "beige": (0.80, 0.72, 0.58),
}  # fmt: skip
MAX_THINGS = 9  # in one description: the largest
PROMPT_LIMIT = 2000  # characters

_SEEN = 0.004  # share of the sphere from which on a thing is mentioned
_SMALL, _LARGE = 2.6, 4.0  # metres to what is around, on average
_BEHIND_GLASS = 20.0  # metres; beyond is not the room
_USUAL = 0.42  # mean of a well exposed picture
_OVER_SKY = 0.02  # share of it that shows what weather it is
_VAGUE = {"others", "driveable_surface", "other_flat", "manmade", "vegetation", "clutter", "street_furniture"}
THINGS = tuple(name for name in SEMANTICS if name not in _VAGUE and name != "sky")

# What people say for it. Each is a word or two; plurals are found by themselves.
_OTHER_WORDS = {
    "room": "interior indoors indoor hall apartment flat house studio lobby",
    "living room": "lounge",
    "classroom": "lecture-hall lecture-room auditorium",
    "corridor": "hallway",
    "gym": "gymnasium",
    "museum": "gallery",
    "factory": "workshop warehouse",
    "street": "road avenue boulevard city downtown urban town crossing alley",
    "courtyard": "yard patio plaza square cloister backyard",
    "field": "meadow countryside landscape nature park prairie rural outdoors outside forest",
    "small": "tiny narrow cosy cozy little",
    "large": "big huge wide spacious vast",
    "bright": "sunlit light airy lit",
    "dim": "dark gloomy night dusky",
    "blue sky": "sunny clear",
    "overcast": "cloudy clouds grey-sky rainy foggy",
    "evening": "sunset dusk dawn sunrise morning",
    "sofa": "couch settee",
    "bed": "mattress",
    "table": "desk",
    "chair": "armchair stool seat bench",
    "cabinet": "cupboard wardrobe dresser drawer counter",
    "shelf": "bookcase bookshelf bookshelves shelves",
    "lamp": "light-fixture chandelier",
    "appliance": "fridge refrigerator oven stove washing-machine",
    "plumbing": "sink bath bathtub toilet shower basin",
    "picture": "painting poster artwork",
    "curtain": "curtains drapes blinds",
    "rug": "carpet mat",
    "screen": "tv television monitor",
    "car": "automobile",
    "motorcycle": "motorbike",
    "bicycle": "bike",
    "pedestrian": "people person man woman",
    "building": "facade house-front",
    "tree": "trees oak pine",
    "bush": "hedge shrub",
    "grass": "lawn",
    "rock": "stone boulder",
    "water": "pond lake river",
    "grey": "gray",
    "brown": "wooden wood",
    "beige": "cream tan",
    "purple": "violet",
    "terrain": "earth soil dirt",
    "traffic_cone": "cone",
    "construction_vehicle": "excavator digger",
    "column": "pillar",
    "stairs": "staircase steps",
}
# Rooms by what they are for: the use that procedural ones have, and what stands in them.
ROOMS = {
    "bedroom": ("bedroom", "bed"), "kitchen": ("kitchen", "appliance plumbing"), "bathroom": ("bathroom", "plumbing"),
    "office": ("office", "screen"), "living room": ("living", "sofa"), "dining room": ("dining", "table"),
    "library": ("library", "shelf"), "classroom": ("lecture", "chair"), "corridor": ("corridor", ""),
    "gym": ("gym", ""), "museum": ("museum", ""), "factory": ("factory", ""), "loft": ("loft", ""),
}  # fmt: skip
_PAINTED = {"room": "wall", "field": "grass", "courtyard": "building", "street": "building"}  # for a place's colour
_EMPTY = """a an the and or with of in on at to some many few several there is are under by near next its it very old
new modern view panorama photo scene world place full plain painted parked standing sky"""
_DENYING = frozenset({"no", "not", "without"})
_ARTICLES = frozenset({"a", "an", "the"})
_NOT_SAID = frozenset(_EMPTY.split()) | _DENYING


@dataclass(frozen=True)
class Words:
    """A description; whatever is not said is left open."""

    kind: str | None = None  # of KINDS
    size: str | None = None  # of SIZES
    light: str | None = None  # of LIGHTS
    things: tuple[tuple[str, str | None], ...] = ()  # of THINGS, each with one of COLOURS or none
    room: str | None = None  # of ROOMS

    def __str__(self) -> str:
        """For people: `a small dim room with a blue sofa and a table`."""
        weather = self.light in ("blue sky", "overcast", "evening")
        light = None if weather else self.light
        before = " ".join(word for word in (self.size, light, self.room or self.kind or "place") if word)
        things = ", ".join(" ".join(filter(None, (colour, name.replace("_", " ")))) for name, colour in self.things)
        said = [f"{before} with {things}" if things else before]
        return ", ".join([*said, *([self.light] if weather and self.light else [])])


def read_words(prompt: str) -> tuple[Words, tuple[str, ...]]:
    """A prompt in English as far as it is understood, and the words of it that are left out.

    Left out is what is not known, what is denied ("no cars"), what was told otherwise before, and colours, sizes and
    lights of nothing that could have them.

    Raises:
        InputError: it is empty, too long, or nothing of it is understood.
    """
    prompt = prompt.strip()
    if not prompt or len(prompt) > PROMPT_LIMIT:
        raise InputError(f"expected a text of 1 to {PROMPT_LIMIT} characters, got {len(prompt)}")
    said = re.findall(r"[^\W\d_]+", prompt.lower())
    place: dict[str, str] = {}  # kind, size and light
    things: dict[str, str | None] = {}
    left_out: list[str] = []
    colour: str | None = None  # of what comes next
    strange = denies = False  # whether something unknown came since the colour, and whether a "no" did
    i = 0
    while i < len(said):
        name, length = _meant(said, i)
        spoken = " ".join(said[i : i + length])
        i += length
        if name is None:
            denies = denies or spoken in _DENYING
            if colour is not None and strange and spoken in _ARTICLES:
                left_out.append(colour)  # it was the unknown thing's
                colour = None
            if spoken not in _NOT_SAID:
                left_out.append(spoken)
                strange = True
        elif denies:
            left_out.append(f"no {spoken}")
            denies = said[i : i + 1] in (["or"], ["nor"])
        elif name in COLOURS:
            if colour is not None:
                left_out.append(colour)
            colour, strange = name, False
        elif name in SIZES or name in LIGHTS:
            aspect = "size" if name in SIZES else "light"
            if _is_of_a_thing(said, i, aspect) or place.setdefault(aspect, name) != name:
                left_out.append(spoken)
        elif name in KINDS or name in ROOMS:
            kind = name if name in KINDS else "room"
            if place.setdefault("kind", kind) != kind or (name in ROOMS and place.setdefault("room", name) != name):
                left_out.append(spoken)
                continue
            things = {**dict.fromkeys(ROOMS[name][1].split() if name in ROOMS else ()), **things}
            if colour is not None:
                things[_PAINTED[kind]], colour = colour, None  # a green meadow
        else:
            if colour is not None and things.get(name) not in (None, colour):
                left_out.append(f"{colour} {spoken}")
            things[name], colour = things.get(name) or colour, None
    left_out += [name.replace("_", " ") for name in list(things)[MAX_THINGS:]]
    words = Words(
        place.get("kind"), place.get("size"), place.get("light"), tuple(things.items())[:MAX_THINGS], place.get("room")
    )
    if words == Words():
        known = ", ".join([*KINDS, *ROOMS, *THINGS]).replace("_", " ")
        raise InputError(f"nothing of the text is understood, got {prompt[:80]!r}; it may speak of {known}")
    return words, tuple(dict.fromkeys([*left_out, *([colour] if colour is not None else [])]))


def _is_of_a_thing(said: list[str], i: int, aspect: str) -> bool:
    """Whether a size or light before the i-th word belongs to what follows: a large table, dark red walls."""
    while i < len(said):
        name, length = _meant(said, i)
        if name in COLOURS and aspect == "light":
            return True
        if name in THINGS or name is None:
            return name is not None
        if name in KINDS or name in ROOMS:
            return False
        i += length
    return False


def words_of(panorama: LearnedPanorama, most: int = MAX_THINGS) -> Words:
    """How a panorama with truth would be described: by its largest things first, `most` of them."""
    rgb = panorama.rgb.float() / 255
    area = solid_angles(rgb.shape[-2])
    share = area / area.sum()
    lit = rgb * (_USUAL / float((rgb.mean(0) * share).sum().clamp(min=1e-3)))  # colours as they are, not as exposed
    semantic = panorama.semantic.long()
    each = torch.zeros(len(SEMANTICS)).index_add_(0, semantic.flatten(), share.flatten())
    things = []
    for i in each.argsort(descending=True).tolist():
        if SEMANTICS[i] in THINGS and float(each[i]) >= _SEEN and len(things) < most:
            things.append((SEMANTICS[i], colour_name(lit[:, semantic == i].median(1).values.clamp(max=1))))
    size = None
    if panorama.kind == "room":
        away = float(((panorama.distance * panorama.camera_height).clamp(max=_BEHIND_GLASS) * share).sum())
        size = "small" if away < _SMALL else "large" if away > _LARGE else None
    return Words(panorama.kind, size, _light_of(panorama, rgb, share), tuple(things))


def colour_name(rgb: Float[Tensor, "3"]) -> str:
    """The nearest of COLOURS, where hue counts more than lightness."""
    known = torch.tensor(list(COLOURS.values()))
    return list(COLOURS)[int((_looks(known) - _looks(rgb)).square().sum(1).argmin())]


def _looks(rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 4"]:
    """Hue and saturation, as far as there is light to see them, and lightness."""
    most = rgb.amax(-1, keepdim=True)
    return torch.cat([2 * (rgb - rgb.mean(-1, keepdim=True)) / (most + 0.1), 0.8 * most], -1)


def _light_of(panorama: LearnedPanorama, rgb: Float[Tensor, "3 h w"], share: Float[Tensor, "h w"]) -> str | None:
    if panorama.kind == "room" or float(share[panorama.sky].sum()) < _OVER_SKY:
        level = float((rgb.mean(0) * share).sum())
        return "dim" if level < 0.28 else "bright" if level > 0.5 else None
    low = panorama.sky.clone()
    low[: round(0.4 * len(low))] = False  # within 18 degrees of the horizon, which is where evenings are red
    red, _, blue = (float(x) for x in rgb[:, low if bool(low.any()) else panorama.sky].mean(1))
    if red > blue + 0.03:
        return "evening"
    red, _, blue = (float(x) for x in rgb[:, panorama.sky].mean(1))
    return "blue sky" if blue > red + 0.12 else "overcast"


def _meant(said: list[str], i: int) -> tuple[str | None, int]:
    """What the words from the i-th on name, and how many of them do."""
    for length in (2, 1):
        words = said[i : i + length]
        if len(words) == length:
            for form in _singulars(words[-1]):
                name = _LEXICON.get(" ".join([*words[:-1], form]))
                if name is not None:
                    return name, length
    return None, 1


def _singulars(word: str) -> list[str]:
    return [
        word,
        *(word.removesuffix(end) + put for end, put in (("s", ""), ("es", ""), ("ies", "y")) if word.endswith(end)),
    ]


def _lexicon() -> dict[str, str]:
    names = [*KINDS, *SIZES, *LIGHTS, *COLOURS, *THINGS]
    found = {name.replace("_", " "): name for name in (*names, *ROOMS)}
    for name, others in _OTHER_WORDS.items():
        found |= {other.replace("-", " "): name for other in others.split()}
    return found


_LEXICON = _lexicon()
