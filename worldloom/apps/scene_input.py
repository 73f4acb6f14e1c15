"""What a scene is made from: a panorama, a photo and what is made up around it, or a text."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.geometry import Panorama
from worldloom.geometry.io.images import exif_fov, load_image
from worldloom.scenegen.completion.made_up import made_up
from worldloom.scenegen.completion.panorama_generator import PanoramaGenerator
from worldloom.scenegen.completion.photo_view import PhotoView
from worldloom.scenegen.described_world import find_world, panorama_of_world
from worldloom.scenegen.words import MAX_THINGS, Words, read_words

MAX_PIXELS = 50_000_000  # of the input, 10000x5000: decoding takes 4 GB at most
MIN_ROWS, MAX_ROWS = 32, 1024  # of a panorama as it is used
PROCEDURAL = "procedural"  # worlds, of a text alone
FILL = "fill"  # colours from around, of a photo alone
GENERATED_ROWS = 512  # of panoramas that are not given, if nothing else is asked for
_LEAST_PHOTO = 32  # pixels to a side


@dataclass(frozen=True)
class Given:
    """The panorama to begin with."""

    rgb: Float[Tensor, "3 h w"]
    facts: dict[str, object]  # for the report
    notes: tuple[str, ...] = ()  # for the user
    exact: Panorama | None = None  # with its distance, where that is known


@dataclass(frozen=True)
class SceneInput:
    """A panorama or photo file, a text, or a photo with a text about what is around it."""

    file: Path | None
    fov: float | None = None  # degrees from the left to the right edge of a photo; None: the file is a panorama
    pitch: float = 0.0  # degrees by which the photo's camera looked up
    text: str | None = None
    generator: str = ""  # of what is not given: PROCEDURAL, FILL, or weights of `PanoramaGenerator`; "" is as usual

    def __post_init__(self) -> None:
        if self.fov is not None and self.file is None:
            raise InputError("--fov is a photo's, but there is no photo; give one, or leave it out")
        if self.file is None and self.text is None:
            raise InputError("expected a panorama, a photo with --fov, or --text, got none of them")
        if self.file is not None and self.fov is None and self.text is not None:
            raise InputError(
                f"{self.file} is used as a panorama, which leaves nothing to --text; pass --fov for a photo"
            )
        if self.is_panorama and self.generator:
            raise InputError(
                f"{self.file} is used as a panorama, which leaves nothing to --generator; pass --fov for a photo"
            )
        if self.fov is None and self.pitch != 0:
            raise InputError("--pitch is a photo's; pass --fov with it, or leave it out")

    def request(self) -> dict[str, object]:
        """What makes the same panorama again."""
        return {
            "panorama_sha256": None if self.file is None else _sha256(self.file),
            **({} if self.fov is None else {"fov": self.fov, "pitch": self.pitch}),
            **({} if self.text is None else {"text": self.text}),
            **({} if self.fov is None and self.text is None else {"generator": self.method}),
        }

    @property
    def is_panorama(self) -> bool:
        """Whether all is given."""
        return self.file is not None and self.fov is None

    @property
    def is_world(self) -> bool:
        """Whether it becomes a procedural world, whose distances are known."""
        return self.file is None and self.method == PROCEDURAL

    @property
    def method(self) -> str:
        """The generator as asked for, or the usual one."""
        return self.generator or (PROCEDURAL if self.file is None else FILL)

    def check(self) -> Callable[[int, int, Callable[[float], None]], Given]:
        """Read what is given; the answer makes the panorama from (rows, seed, progress).

        Raises:
            InputError: the file, the text or the generator cannot be used.
        """
        words, unknown = Words(), ()
        if self.text is not None:
            words, unknown = read_words(self.text)
        notes = (f"of the text, not understood or left out: {', '.join(unknown)}",) if unknown else ()
        facts: dict[str, object] = {"text": self.text, "understood": str(words)} if self.text is not None else {}
        if self.is_panorama and self.file is not None:
            rgb = load_panorama(self.file)
            return lambda rows, seed, progress: Given(rgb, {})
        if self.is_world:
            return lambda rows, seed, progress: _world(words, rows, seed, facts, notes, progress)
        if self.method == PROCEDURAL:
            raise InputError("--generator procedural makes worlds from a text alone; a photo needs fill or weights")
        if self.method == FILL and self.text is not None:
            raise InputError("--generator fill knows no words; a photo with --text needs weights, a text procedural")
        picture, view = None, None
        if self.file is not None and self.fov is not None:
            picture = load_image(self.file, MAX_PIXELS)
            size = (picture.shape[1], picture.shape[2])
            if min(size) < _LEAST_PHOTO:
                got = f"{size[1]}x{size[0]}"
                raise InputError(f"photo must be at least {_LEAST_PHOTO} pixels to a side, got {got}: {self.file}")
            view = PhotoView(math.radians(self.fov), size, math.radians(self.pitch))
            facts = {"fov_deg": self.fov, "pitch_deg": self.pitch, **facts}
        generator = None if self.method == FILL else PanoramaGenerator.from_pretrained(self.method)
        facts = {**facts, "generator": Path(self.method).name}
        how = "blurred from its colours" if generator is None else "made up"
        notes = (*notes, f"what the photo does not show is {how}" if view else "all of it is made up")
        return lambda rows, seed, progress: Given(
            made_up(generator, picture, view, words, rows, seed, progress), facts, notes
        )


def load_panorama(path: Path) -> Float[Tensor, "3 h w"]:
    """A 2:1 picture.

    Raises:
        InputError: it cannot be read, or is of another shape; of a photo it says how to use it.
    """
    rgb = load_image(path, max_pixels=MAX_PIXELS)
    height, width = rgb.shape[1:]
    if width != 2 * height:
        fov = exif_fov(path, height, width)
        told = f"--fov {fov:.0f}, as its camera wrote," if fov else "--fov DEGREES"
        raise InputError(f"panorama must be 2:1, got {width}x{height}; pass {told} to use it as a photo: {path}")
    if height < MIN_ROWS:
        raise InputError(f"panorama must be at least {2 * MIN_ROWS}x{MIN_ROWS}, got {width}x{height}: {path}")
    return rgb


def shrunk(rgb: Float[Tensor, "3 h w"], rows: int) -> Float[Tensor, "3 h2 w2"]:
    """At fewer rows, each pixel the mean of the area it covers."""
    return F.interpolate(rgb[None], (rows, 2 * rows), mode="bilinear", antialias=True, align_corners=False)[0].clamp(
        0, 1
    )


def _world(
    words: Words, rows: int, seed: int, facts: dict, notes: tuple[str, ...], progress: Callable[[float], None]
) -> Given:
    found = find_world(words, seed, progress=lambda share: progress(0.7 * share))
    if found.missing:
        notes = (*notes, f"asked for and not found in any of the worlds: {', '.join(found.missing)}")
    panorama = panorama_of_world(found, rows, seed=seed)
    asked = {name for name, _ in words.things}  # comes first, however small it is
    shows = replace(found.shows, things=tuple(sorted(found.shows.things, key=lambda x: x[0] not in asked))[:MAX_THINGS])
    world = f"{found.world.kind}-{found.world.seed}"
    told = {
        **facts, "shows": str(shows), "generator": PROCEDURAL, "world": world,
        "eye_height_m": round(found.eye_height, 3),
    }  # fmt: skip
    return Given(panorama.rgb, told, notes, panorama)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
