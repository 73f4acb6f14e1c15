"""What a scene is made from: a panorama, a photo and what is made up around it, or a text."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.geometry import Panorama
from worldloom.geometry.io.images import load_image
from worldloom.geometry.push_pull import filled_from_around
from worldloom.scenegen.completion.panorama_generator import MADE_ROWS, PanoramaGenerator, joined
from worldloom.scenegen.completion.photo_view import PhotoView, panorama_of_photo
from worldloom.scenegen.described_world import find_world, panorama_of_world
from worldloom.scenegen.words import MAX_THINGS, Words, read_words

MAX_PIXELS = 50_000_000  # of the input, 10000x5000: decoding takes 4 GB at most
MIN_ROWS, MAX_ROWS = 32, 1024  # of a panorama as it is used
PROCEDURAL = "procedural"  # worlds, of a text alone
FILL = "fill"  # colours from around, of a photo alone
GENERATED_ROWS = 512  # of panoramas that are not given, if nothing else is asked for
_COLUMNS = 8  # of a panorama whose colours are filled in
_LEAST_PHOTO = 32  # pixels to a side
_EXIF_FIELDS, _FOCAL_LENGTH_35MM = 0x8769, 0xA405
_WIDTH_35MM = 36.0  # millimetres


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
        made_up = "blurred from its colours" if generator is None else "made up"
        notes = (*notes, f"what the photo does not show is {made_up}" if view else "all of it is made up")
        return lambda rows, seed, progress: Given(
            _generated(generator, picture, view, words, rows, seed, progress), facts, notes
        )


def load_panorama(path: Path) -> Float[Tensor, "3 h w"]:
    """A 2:1 picture.

    Raises:
        InputError: it cannot be read, or is of another shape; of a photo it says how to use it.
    """
    rgb = load_image(path, max_pixels=MAX_PIXELS)
    height, width = rgb.shape[1:]
    if width != 2 * height:
        fov = _fov_of(path, height, width)
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
    told = {**facts, "shows": str(shows), "generator": PROCEDURAL, "world": world}
    return Given(panorama.rgb, told, notes, panorama)


def _generated(
    generator: PanoramaGenerator | None,
    photo: Float[Tensor, "3 h w"] | None,
    view: PhotoView | None,
    words: Words,
    rows: int,
    seed: int,
    progress: Callable[[float], None],
) -> Float[Tensor, "3 h2 w2"]:
    """Made up at the rows that the network knows, and joined with the photo at those that are asked for.

    Without a generator it is filled in from around the photo.
    """
    if generator is None and photo is not None and view is not None:
        return _filled(*panorama_of_photo(photo, view, rows))
    assert generator is not None
    rgb = torch.zeros(3, MADE_ROWS, 2 * MADE_ROWS)
    known = torch.zeros(MADE_ROWS, 2 * MADE_ROWS, dtype=torch.bool)
    if photo is not None and view is not None:
        rgb, known = panorama_of_photo(photo, view, MADE_ROWS)
    made = generator.complete(rgb, known, words, seed, progress=progress)
    if rows == MADE_ROWS:
        return made
    made = F.interpolate(made[None], (rows, 2 * rows), mode="bicubic", align_corners=False)[0].clamp(0, 1)
    if photo is None or view is None:
        return made
    return joined(*panorama_of_photo(photo, view, rows), made)


def _filled(rgb: Float[Tensor, "3 h w"], known: Bool[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    """Colours from around, from beside rather than from above: what is as high looks more alike."""
    rows, columns = known.shape
    weight = F.adaptive_avg_pool2d(known[None].float(), (rows, _COLUMNS))
    narrow = F.adaptive_avg_pool2d((rgb * known)[None], (rows, _COLUMNS))[0] / weight.clamp(min=1e-6)
    # Halved time and again, rows must still part at the horizon: else sky and ground are mixed where neither is known.
    above = ((1 << (rows - 1).bit_length()) - rows) // 2
    below = (1 << (rows - 1).bit_length()) - rows - above
    seen = F.pad(weight[0] > 0, (0, 0, above, below))
    narrow = filled_from_around(F.pad(narrow * (weight > 0), (0, 0, above, below)), seen)[:, above : above + rows]
    beside = torch.cat([narrow[..., -1:], narrow, narrow[..., :1]], -1)
    wide = -(-columns // _COLUMNS)  # that many columns each, at least
    made = F.interpolate(beside[None], (rows, beside.shape[-1] * wide), mode="bilinear", align_corners=False)
    made = F.interpolate(made[..., wide:-wide], (rows, columns), mode="bilinear", align_corners=False)
    return joined(rgb, known, made[0])


def _fov_of(path: Path, height: int, width: int) -> float | None:
    """Degrees across a photo, so large when upright, by the focal length that its camera wrote, if it did."""
    try:
        with Image.open(path) as image:
            focal = image.getexif().get_ifd(_EXIF_FIELDS).get(_FOCAL_LENGTH_35MM)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if not isinstance(focal, int | float) or not 3 <= focal <= 1000:
        return None
    across = _WIDTH_35MM if width >= height else _WIDTH_35MM * 2 / 3
    return math.degrees(2 * math.atan(across / 2 / float(focal)))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
