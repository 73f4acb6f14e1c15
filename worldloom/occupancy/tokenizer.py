"""A clip of occupancy as a stream of bytes, and back: everything that the decoder needs is in it and is counted.

What does not move is voted into one volume that is fixed to the world, and packed by the static tokenizer; road users
are paths and shapes; cones and other small things that stand are lists; and what the decoder gets wrong is corrected,
as far as the budget goes. The parts are in `worldloom.occupancy.codec`, one module each.
"""

import copy
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor, nn

from worldloom.errors import InputError
from worldloom.geometry.occupancy import FREE, MOVERS, OCC3D_CLASSES, OCC3D_GRID, STATIC, Occupancy, VoxelGrid
from worldloom.geometry.rigid import invert
from worldloom.occupancy.codec.corrections import (
    Corrections,
    Guess,
    code_corrections,
    order_of,
    round_guess,
    without_classes,
)
from worldloom.occupancy.codec.entropy import Coder, Reader, Writer, plain
from worldloom.occupancy.codec.find_users import Worth, find_users, worth_of
from worldloom.occupancy.codec.points import MAX_POINTS, code_points
from worldloom.occupancy.codec.poses import MAX_FRAMES, EgoPoses, code_poses, on_lattice
from worldloom.occupancy.codec.prior import CodePrior, CodePriorConfig
from worldloom.occupancy.codec.static import (
    Digits,
    Masks,
    code_mask,
    code_static,
    encode_static,
    scaled,
    static_codes,
    tiles,
)
from worldloom.occupancy.codec.users import DETAILS, MAX_USERS, User, UserCoder, draw_users
from worldloom.occupancy.codec.world import (
    CELL,
    Field,
    Place,
    World,
    anchor_of,
    cells_of,
    code_place,
    look,
    vote_world,
)
from worldloom.occupancy.static_tokenizer import (
    StaticCodes,
    StaticLogits,
    StaticTokenizer,
    StaticTokenizerConfig,
    symbols_of,
)
from worldloom.ops import load_config, load_weights, weights_path

VERSION = 1
LISTED = (8, 1)  # traffic cones, barriers: static classes that may be lists
_MAX_SIDE = 512  # voxels of a frame's grid along an axis
_SURE = 4.0  # log-odds of a voxel that the stream names
_MAX_STEP_MS = 60_000
_REACH_MM = 1 << 20
_MAX_VOXELS = MAX_FRAMES * 400 * 400 * 32
_RESERVE = 112.0  # bits for the checksum and the coder's last words
_WORTH_CORRECTING = 1500.0  # bits; for less the exact decoder is not worth its time
_LIST_SHARE = 0.05  # of the budget for each listed class
_USERS_SHARE = 0.25
_DETAIL_KBIT = (60.0, 30.0)  # budgets from which on users are written in DETAILS[0], DETAILS[1]
_STRAYS_KBIT, _STRAYS_SHARE = 60.0, 0.1
_FEW = 200  # voxels; a class with fewer is not dearer for it


@dataclass(frozen=True)
class EncodedClip:
    """A clip's stream; `bits` are what each part of it takes, and add up to 8 len(data)."""

    data: bytes
    bits: Mapping[str, float] = field(default_factory=dict)

    @property
    def kbit(self) -> float:
        return 8 * len(self.data) / 1000


@dataclass(frozen=True)
class Header:
    """What the other parts hang on."""

    num_frames: int
    step_ms: int
    grid: VoxelGrid


@dataclass(frozen=True)
class Parts:
    """What a stream says, but for corrections."""

    header: Header
    ego: EgoPoses
    place: Place
    masks: Masks
    keep: int  # channels of the coarse codes
    fine: bool
    digits: Digits
    lists: tuple[Int64[np.ndarray, " _"] | None, ...]  # of each of LISTED: places in the volume
    detail: int
    users: tuple[User, ...]
    strays: tuple[Int64[np.ndarray, " _"], ...]  # of each of MOVERS: voxels that no user explains, flat over the clip


class Tokenizer:
    """Writes clips as streams, and reads them. Both need the same weights; a stream knows of which it is."""

    def __init__(self, static: StaticTokenizer, prior: CodePrior | None = None) -> None:
        """Without a prior codes are written under their frequencies so far."""
        self.static, self.prior = static.eval(), prior and prior.eval()
        config = static.config
        if prior is not None and (prior.config.coarse, prior.config.fine) != (config.coarse, config.fine):
            raise InputError(
                f"expected a prior for codes of {config.coarse} and {config.fine} levels, "
                f"got one for {prior.config.coarse} and {prior.config.fine}"
            )
        self._exact: StaticTokenizer | None = None
        self._weights = _fingerprint(static) ^ (0 if prior is None else _fingerprint(prior))

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path = "small") -> "Tokenizer":
        """The embedded weights of a name, or a folder with the folders `static` and, if there is one, `prior`."""
        folder = weights_path("worldloom.occupancy", name_or_path, "static")
        static = StaticTokenizer(load_config(folder, StaticTokenizerConfig))
        load_weights(folder, static)
        try:
            folder = weights_path("worldloom.occupancy", name_or_path, "prior")
        except InputError:
            return cls(static)
        prior = CodePrior(load_config(folder, CodePriorConfig))
        load_weights(folder, prior)
        return cls(static, prior)

    def encode(self, clip: Occupancy, budget_kbit: float | None = None, corrected: bool = True) -> EncodedClip:
        """Write a clip of at most 63 frames, in at most `budget_kbit` thousand bits; all that can be said if None.

        Where the budget is short, first corrections go, then fine codes, fine shapes, the road users that show least
        for their bits, and at last channels of the coarse codes.

        Args:
            corrected: False leaves corrections out, and with them the decoder in double precision that both ends need
                to agree on what to correct: half the time at 22.5 kbit, half the bits, three points of mIoU less.
        Raises:
            InputError: the clip is not of Occ3D's classes, is too long, leaps, or does not fit the budget.
        """
        header, ego, clip = _prepared(clip)
        world, place = vote_world(clip)
        masks = Masks(cells_of(world.observed, CELL), cells_of(world.observed, CELL // 2))
        budget = math.inf if budget_kbit is None else 1000.0 * budget_kbit - _RESERVE
        none = np.zeros(0, np.int64)
        parts = Parts(
            header, ego, place, masks, len(self.static.config.coarse), True, Digits(none.reshape(0, 0, 0), None),
            (None,) * len(LISTED), 0, (), (none,) * len(MOVERS),
        )  # fmt: skip
        parts = self._chosen(parts, clip, world, budget)
        writer = Writer()
        parts = self._code(writer, parts)
        corrected = corrected and writer.total() + _WORTH_CORRECTING < budget
        plain(writer, int(corrected), 2)
        if corrected:
            _, guess = self._decoded(parts, exact=True)
            assert guess is not None
            symbols = symbols_of(world.labels, world.observed).numpy()
            count = _affordable(guess, symbols, budget - writer.total())
            with writer.part("corrections"):
                code_corrections(writer, guess, symbols, count)
        data, bits = writer.finish()
        if budget_kbit is not None and len(data) > 125 * budget_kbit:
            least = len(data) / 125
            raise InputError(f"expected a budget of at least {least:.2f} kbit for this clip, got {budget_kbit:g}")
        return EncodedClip(data, bits)

    def decode(self, encoded: EncodedClip | bytes) -> Occupancy:
        """The clip that a stream describes.

        `observed` is where the stream says that somebody looked at any time of the clip: which frame looked where is
        not in it. Where it says nothing, labels are free.

        Raises:
            InputError: the bytes are not a stream of this version and these weights, or were damaged.
        """
        reader = Reader(encoded if isinstance(encoded, bytes) else encoded.data)
        parts = self._code(reader, None)
        field, guess = self._decoded(parts, exact=bool(plain(reader, None, 2)))
        if guess is not None:
            _correct(field, code_corrections(reader, guess, None, None))
        return draw_clip(parts, field)

    def _code(self, coder: Coder, parts: Parts | None) -> Parts:
        """All but corrections, in the order in which a decoder needs them."""
        header = _code_header(coder, parts and parts.header, self._weights)
        with coder.part("ego"):
            ego = code_poses(coder, parts and parts.ego, header.num_frames)
        with coder.part("masks"):
            place = code_place(coder, parts and parts.place)
            coarse = code_mask(coder, parts and parts.masks.coarse, np.ones(place.cells, np.bool_))
            fine = bool(plain(coder, parts and int(parts.fine), 2))
            within = coarse.repeat(2, 0).repeat(2, 1)
            masks = Masks(coarse, code_mask(coder, parts and parts.masks.fine, within) if fine else within)
        levels = self.static.config.coarse, self.static.config.fine
        keep = 1 + plain(coder, parts and parts.keep - 1, len(levels[0]))
        digits = code_static(coder, parts and parts.digits, masks, levels, keep, fine, self.prior)
        lists = []
        volume = place.grid(header.grid).shape
        for number in range(len(LISTED)):
            with coder.part(OCC3D_CLASSES[LISTED[number]]):
                told = None if parts is None else parts.lists[number]
                there = plain(coder, parts and int(told is not None), 2)
                lists.append(code_points(coder, told, math.prod(volume)) if there else None)
        detail, users = _code_users(coder, ego, parts and parts.detail, parts and parts.users)
        with coder.part("strays"):
            size = header.num_frames * math.prod(header.grid.shape)
            strays = tuple(code_points(coder, parts and parts.strays[i], size) for i in range(len(MOVERS)))
        return Parts(header, ego, place, masks, keep, fine, digits, tuple(lists), detail, users, strays)

    def _chosen(self, parts: Parts, clip: Occupancy, world: World, budget: float) -> Parts:
        """As much as fits, by the order of `encode`."""
        config = self.static.config
        lists = []
        for label in LISTED:
            places = (world.labels == label).reshape(-1).nonzero()[:, 0].numpy()
            bits = _bits_of(lambda coder, places=places: code_points(coder, places, world.labels.numel()))
            lists.append(places if 0 < len(places) <= MAX_POINTS and bits < _LIST_SHARE * budget else None)
        detail = next((i for i, least in enumerate(_DETAIL_KBIT) if budget >= 1000 * least), len(DETAILS) - 1)
        users = _worthiest(clip, parts.ego, detail, _USERS_SHARE * budget)
        parts = replace(parts, lists=tuple(lists), detail=detail, users=users)
        if budget >= 1000 * _STRAYS_KBIT:
            parts = replace(parts, strays=_strays(clip, parts, _STRAYS_SHARE * budget))
        symbols = symbols_of(world.labels, world.observed)
        channels = len(config.coarse)
        best = parts
        plans = [(channels, True), *((keep, False) for keep in range(channels, 0, -1))]
        encoded: dict[int, Digits] = {}
        for keep, fine in plans:
            if keep not in encoded:
                encoded[keep] = encode_static(self.static, symbols, keep)
            best = replace(parts, keep=keep, fine=fine, digits=encoded[keep])
            if _bits_of(partial(self._code, parts=best)) <= budget:
                return best
        while best.users:
            best = replace(best, users=best.users[: len(best.users) // 2])
            if _bits_of(partial(self._code, parts=best)) <= budget:
                break
        return best

    @torch.no_grad()
    def _decoded(self, parts: Parts, exact: bool) -> tuple[Field, Guess | None]:
        """The static world that the network makes of the codes, with the listed voxels; rounded too if `exact`."""
        grid = parts.place.grid(parts.header.grid)
        levels = self.static.config.coarse, self.static.config.fine
        codes = static_codes(parts.digits, parts.masks, levels, parts.keep)
        assert codes.coarse is not None
        if exact and self._exact is None:
            self._exact = copy.deepcopy(self.static).double()
        model = self._exact if exact and self._exact is not None else self.static
        occupied = torch.zeros(grid.shape)
        seen = torch.zeros(grid.shape, dtype=torch.bool)
        labels = torch.full(grid.shape, FREE, dtype=torch.uint8)
        below = np.zeros((*grid.shape, len(STATIC) + 1), np.uint8) if exact else None
        doubt = np.zeros(grid.shape, np.uint8) if exact else None
        listed = [STATIC.index(label) for label, places in zip(LISTED, parts.lists, strict=True) if places is not None]
        kinds = torch.tensor(STATIC, dtype=torch.uint8)
        for around, kept in tiles(parts.place.cells):
            fine = None if codes.fine is None else codes.fine[:, :, *scaled(around, 2)]
            logits = model.decode(StaticCodes(codes.coarse[:, :, *around], fine))
            logits = without_classes(StaticLogits(*(part[..., *scaled(kept, CELL)] for part in logits)), listed)
            at = tuple(slice(a.start + k.start, a.start + k.stop) for a, k in zip(around, kept, strict=True))
            place = scaled((at[0], at[1]), CELL)
            occupied[place] = logits.occupied[0].permute(1, 2, 0).float()
            seen[place] = logits.seen[0].permute(1, 2, 0) > 0
            labels[place] = kinds[logits.semantic[0].argmax(0).permute(1, 2, 0)]
            if below is not None and doubt is not None:
                below[place], doubt[place] = round_guess(logits)
        mask = parts.masks.fine.repeat(CELL // 2, 0).repeat(CELL // 2, 1)
        known = torch.from_numpy(mask)[:, :, None].expand(grid.shape).clone()
        guess = None
        if below is not None and doubt is not None:
            doubt[~mask] = 0
            guess = Guess(below, doubt)
        field = Field(occupied.clamp(-8, 8), known, seen & known, labels, grid)
        for label, places in zip(LISTED, parts.lists, strict=True):
            if places is not None:
                _name(field, torch.from_numpy(places), torch.full((len(places),), label, dtype=torch.uint8))
                if guess is not None:
                    guess.doubt.reshape(-1)[places] = 0
        return field, guess


def draw_clip(parts: Parts, field: Field) -> Occupancy:
    """Look at the static world from each pose, and draw the road users; the small ones last."""
    world_from_ego = parts.ego.world_from_ego()
    ego_from_anchor = invert(anchor_of(world_from_ego)) @ world_from_ego
    frames = [look(field, pose, parts.header.grid) for pose in ego_from_anchor]
    labels, observed = torch.stack([frame[0] for frame in frames]), torch.stack([frame[1] for frame in frames])
    order = sorted(parts.users, key=lambda user: -user.shape.cells.size * user.shape.size**3)
    poses = [user.world_from_object() for user in order]
    for i, now in enumerate(labels):
        there = [(user, pose[i]) for user, pose in zip(order, poses, strict=True) if user.present[i]]
        drawn = torch.full_like(now, FREE)
        draw_users(drawn, parts.header.grid, world_from_ego[i], [u for u, _ in there], [pose for _, pose in there])
        now[drawn != FREE] = drawn[drawn != FREE]
        observed[i] |= drawn != FREE
    for label, places in zip(MOVERS, parts.strays, strict=True):
        labels.view(-1)[torch.from_numpy(places)] = label
        observed.view(-1)[torch.from_numpy(places)] = True
    header = parts.header
    return Occupancy(labels, observed, world_from_ego, header.grid, OCC3D_CLASSES, header.step_ms / 1000)


def _prepared(clip: Occupancy) -> tuple[Header, EgoPoses, Occupancy]:
    """The clip at the poses of the stream, or one line of what is wrong with it."""
    if clip.labels.ndim != 4 or not 1 <= len(clip) <= MAX_FRAMES:
        raise InputError(f"expected a clip of 1 to {MAX_FRAMES} frames, got labels {tuple(clip.labels.shape)}")
    if clip.classes != OCC3D_CLASSES or int(clip.labels.max()) > FREE:
        raise InputError(f"expected labels of Occ3D's {len(OCC3D_CLASSES)} classes, got {len(clip.classes)} classes")
    step_ms = round(1000 * clip.dt)
    if not 1 <= step_ms < _MAX_STEP_MS:
        raise InputError(f"expected frames 1 ms to 1 minute apart, got {clip.dt:g} s")
    if abs(clip.grid.voxel_size - OCC3D_GRID.voxel_size) > 1e-6 or max(clip.grid.shape) > _MAX_SIDE:
        raise InputError(
            f"expected voxels of {OCC3D_GRID.voxel_size} m and at most {_MAX_SIDE} of them a side, "
            f"got {clip.grid.voxel_size:g} m and {clip.grid.shape}"
        )
    millis = [round(1000 * value) for value in clip.grid.origin]
    if max(map(abs, millis)) >= _REACH_MM:
        raise InputError(
            f"expected a grid within {_REACH_MM // 1000} m of the ego, got its corner at {clip.grid.origin}"
        )
    x, y, z = (value / 1000 for value in millis)
    grid = VoxelGrid((x, y, z), OCC3D_GRID.voxel_size, clip.grid.shape)
    ego = on_lattice(clip.world_from_ego)
    return Header(len(clip), step_ms, grid), ego, replace(clip, grid=grid, world_from_ego=ego.world_from_ego())


def _code_header(coder: Coder, header: Header | None, weights: int) -> Header:
    version = plain(coder, None if header is None else VERSION, 16)
    if version != VERSION:
        raise InputError(f"expected a clip's stream of version {VERSION}, got {version}")
    theirs = plain(coder, None if header is None else weights, 1 << 32)
    if theirs != weights:
        raise InputError(f"expected a stream of weights {weights:08x}, got one of {theirs:08x}")
    frames = 1 + plain(coder, header and header.num_frames - 1, MAX_FRAMES)
    step_ms = 1 + plain(coder, header and header.step_ms - 1, _MAX_STEP_MS)
    other = plain(coder, header and int(header.grid != OCC3D_GRID), 2)
    if not other:
        return Header(frames, step_ms, OCC3D_GRID)
    corner, sides = [], []
    for axis in range(3):
        millis = None if header is None else round(1000 * header.grid.origin[axis]) + _REACH_MM
        corner.append((plain(coder, millis, 2 * _REACH_MM) - _REACH_MM) / 1000)
        sides.append(1 + plain(coder, header and header.grid.shape[axis] - 1, _MAX_SIDE))
    if frames * math.prod(sides) > _MAX_VOXELS:
        raise InputError(f"expected a clip of at most {_MAX_VOXELS} voxels, got {frames} frames of {sides}")
    grid = VoxelGrid((corner[0], corner[1], corner[2]), OCC3D_GRID.voxel_size, (sides[0], sides[1], sides[2]))
    return Header(frames, step_ms, grid)


def _code_users(
    coder: Coder, ego: EgoPoses, detail: int | None, users: Sequence[User] | None
) -> tuple[int, tuple[User, ...]]:
    with coder.part("users_paths"):
        detail = plain(coder, detail, len(DETAILS))
        count = plain(coder, None if users is None else len(users), MAX_USERS + 1)
    one = UserCoder(ego, DETAILS[detail])
    return detail, tuple(one.code(coder, None if users is None else users[i]) for i in range(count))


def _worthiest(clip: Occupancy, ego: EgoPoses, detail: int, budget: float) -> tuple[User, ...]:
    """Road users in the order in which they appear; where they cost too much, those that show most for their bits.

    What a user shows is what it adds to the IoU of its class, about: hits less misses by the class's voxels.
    """
    users = sorted(find_users(clip, DETAILS[detail]), key=lambda user: int(user.present.argmax()))[:MAX_USERS]
    totals = torch.bincount(clip.labels[clip.observed].long(), minlength=len(OCC3D_CLASSES)).tolist()
    writer, one, ranked = Writer(), UserCoder(ego, DETAILS[detail]), []
    for number, user in enumerate(users):
        before = writer.total()
        worth: Worth = worth_of(clip, one.code(writer, user))
        value = (worth.hits - worth.misses) / max(totals[user.label], _FEW)
        if value > 0:
            ranked.append((value / (writer.total() - before), writer.total() - before, number))
    kept, spent = [], 0.0
    for _, bits, number in sorted(ranked, reverse=True):
        if spent + bits <= budget:
            kept.append(number)
            spent += bits
    return tuple(users[number] for number in sorted(kept))


def _strays(clip: Occupancy, parts: Parts, budget: float) -> tuple[Int64[np.ndarray, " _"], ...]:
    """Voxels of movers that no user covers, of as many classes as the budget allows; classes of few voxels first."""
    nothing = torch.zeros(parts.place.grid(parts.header.grid).shape)
    no = torch.zeros_like(nothing, dtype=torch.bool)
    empty = Field(nothing, no, no, no.to(torch.uint8), parts.place.grid(parts.header.grid))
    one = _coded_users(parts)
    drawn = draw_clip(replace(parts, users=one), empty).labels
    found = []
    for label in MOVERS:
        missed = clip.observed & (clip.labels == label) & (drawn != label)
        found.append(missed.reshape(-1).nonzero()[:, 0].numpy())
    strays = [np.zeros(0, np.int64)] * len(MOVERS)
    for i in sorted(range(len(MOVERS)), key=lambda i: len(found[i])):
        if not 0 < len(found[i]) <= MAX_POINTS:
            continue
        bits = _bits_of(lambda coder, i=i: code_points(coder, found[i], drawn.numel()))
        if bits <= budget:
            strays[i] = found[i]
            budget -= bits
    return tuple(strays)


def _coded_users(parts: Parts) -> tuple[User, ...]:
    """Users as a decoder will see them: the cells of their shapes that nobody saw are filled."""
    return _code_users(Writer(), parts.ego, parts.detail, parts.users)[1]


def _affordable(guess: Guess, symbols: UInt8[np.ndarray, "x y z"], budget: float) -> int:
    """The most voxels that can be asked within a budget of bits."""
    low, high = 0, len(order_of(guess))
    if _bits_of(lambda coder: code_corrections(coder, guess, symbols, high)) <= budget:
        return high
    while high - low > max(1, high // 2048):
        middle = (low + high) // 2
        bits = _bits_of(lambda coder, middle=middle: code_corrections(coder, guess, symbols, middle))
        low, high = (middle, high) if bits <= budget else (low, middle)
    return low


def _correct(field: Field, corrections: Corrections) -> None:
    kinds = torch.tensor([*STATIC, FREE], dtype=torch.uint8)
    _name(field, torch.from_numpy(corrections.places), kinds[torch.from_numpy(corrections.symbols)])


def _name(field: Field, places: Int64[Tensor, " n"], labels: UInt8[Tensor, " n"]) -> None:
    """Say what some voxels are, in place."""
    solid = labels != FREE
    field.occupied.view(-1)[places] = torch.where(solid, _SURE, -_SURE)
    field.known.view(-1)[places] = True
    field.seen.view(-1)[places] = True
    field.labels.view(-1)[places[solid]] = labels[solid]


def _bits_of(code: Callable[[Coder], object]) -> float:
    writer = Writer()
    code(writer)
    return writer.total()


def _fingerprint(module: nn.Module) -> int:
    """A checksum of weights, in the order of their names."""
    total = 0
    for name, value in sorted(module.state_dict().items()):
        total = zlib.crc32(value.detach().float().contiguous().numpy().tobytes(), zlib.crc32(name.encode(), total))
    return total
