"""How clips become windows of past and future: the exact protocols of published forecasts, and ours.

Published forecasts differ in what they are asked, and their numbers do not belong in one table. `str(protocol)` and
`str(windows(…))` say what was done, and stand in every row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from worldloom.errors import InputError
from worldloom.geometry.occupancy import FREE, OCC3D_CLASSES, Occupancy
from worldloom.occupancy.data.clips import Clip, Mask
from worldloom.occupancy.metrics.semantic import Absent


@dataclass(frozen=True)
class Protocol:
    """What a forecast is given, what it is asked for, and how the answer is counted."""

    name: str
    history: int  # frames in, the present included
    horizon: int  # frames out
    span: int  # frames that a clip must have from a window's start on; more than history + horizon in some code
    stride: int | None = 1  # frames between windows; None: a clip's first window only
    mask: Mask = "none"  # which voxels are observed, and are counted
    absent: Absent = "nan"  # what a class without truth scores
    future_ego: Literal["gt", "pred"] = "gt"  # whether the true motion of the ego is given
    classes: tuple[int, ...] = tuple(range(FREE))  # of the mean

    def __post_init__(self) -> None:
        fits = self.history >= 1 and self.horizon >= 1 and self.span >= self.history + self.horizon
        if not fits or (self.stride is not None and self.stride < 1):
            raise InputError(
                f"expected frames in and out, a span that holds them and a stride of 1 or more, got {self.history}, "
                f"{self.horizon}, {self.span} and {self.stride}"
            )
        if not self.classes or len(set(self.classes)) != len(self.classes) or not set(self.classes) <= {*range(FREE)}:
            raise InputError(f"expected different classes of 0 to {FREE - 1}, got {self.classes}")

    def __str__(self) -> str:
        which = {None: "first of each clip", 1: "all"}.get(self.stride, f"every {self.stride}")
        everything = self.classes == tuple(range(FREE))
        names = "0-16 with others" if everything else ",".join(OCC3D_CLASSES[i] for i in self.classes)
        return (
            f"{self.name}: {self.history} frames in, {self.horizon} out; windows {which}, span {self.span}; "
            f"mask {self.mask}; classes {names}; absent classes {self.absent}; future ego {self.future_ego}"
        )

    @property
    def score_mask(self) -> Literal["observed", "none"]:
        """The mask of `score_forecast` for clips that were opened with `mask`."""
        return "none" if self.mask == "none" else "observed"

    def starts(self, num_frames: int) -> range:
        """First frames of the windows of a clip."""
        count = max(0, num_frames - self.span + 1)
        return range(min(1, count)) if self.stride is None else range(0, count, self.stride)


# Window counts on the 150 validation scenes (6,019 frames): 4,219, 4,519 and 150. OccWorld's data set takes 12 frames
# after the first, of which 11 are used. DOME counts with OccWorld's class, so that its absent classes score 1 as well.
PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("occworld", history=5, horizon=6, span=13, absent="one", future_ego="pred"),
        Protocol("i2world", history=5, horizon=6, span=11, absent="union"),
        Protocol("dome", history=4, horizon=6, span=10, stride=None, absent="one"),
        Protocol("ours", history=5, horizon=6, span=11, mask="camera"),
    )
}


def long_rollout(horizon: int = 128, history: int = 5) -> Protocol:
    """Ours over a long time: one window of each clip."""
    ours = PROTOCOLS["ours"]
    span = history + horizon
    return replace(ours, name="rollout", history=history, horizon=horizon, span=span, stride=None)


class Window(NamedTuple):
    """A window of a clip: its number, and the first frame."""

    clip: int
    start: int


@dataclass(frozen=True)
class Windows:
    """The windows of a protocol in some clips. `str` is the line for reports."""

    protocol: Protocol
    windows: tuple[Window, ...]
    num_clips: int
    too_short: tuple[int, ...]  # clips without a window; never left out in silence

    def __len__(self) -> int:
        return len(self.windows)

    def __iter__(self) -> Iterator[Window]:
        return iter(self.windows)

    def __getitem__(self, index: int) -> Window:
        return self.windows[index]

    def __str__(self) -> str:
        return (
            f"{self.protocol}; {len(self)} window(s) of {self.num_clips - len(self.too_short)} clip(s); "
            f"{len(self.too_short)} clip(s) too short"
        )


def windows(clip_lengths: Sequence[int], protocol: Protocol) -> Windows:
    """All windows of clips of these lengths (frames), clip by clip.

    Raises:
        InputError: there is not one.
    """
    found = tuple(Window(i, start) for i, n in enumerate(clip_lengths) for start in protocol.starts(n))
    short = tuple(i for i, n in enumerate(clip_lengths) if not len(protocol.starts(n)))
    if not found:
        longest = max(clip_lengths, default=0)
        raise InputError(
            f"expected a clip of at least {protocol.span} frames for {protocol.name}, got {len(clip_lengths)} clip(s) "
            f"of at most {longest}"
        )
    return Windows(protocol, found, len(clip_lengths), short)


def each_window(clips: Sequence[Clip], protocol: Protocol) -> Iterator[tuple[Window, Occupancy, Occupancy]]:
    """Past and future of every window. Each clip is read once; nothing of the future is in the past.

    Raises:
        InputError: no window, or clips that were opened with another mask than the protocol's.
    """
    found = windows([len(clip) for clip in clips], protocol)
    for clip in clips:
        if clip.mask != protocol.mask:
            raise InputError(f"expected clips opened with mask {protocol.mask}, got {clip.mask} in {clip.name}")
    for number, clip in enumerate(clips):
        starts = protocol.starts(len(clip))
        if not starts:
            continue
        whole = clip.load(0, starts[-1] + protocol.history + protocol.horizon)
        for start in starts:
            present = start + protocol.history
            yield Window(number, start), whole[start:present], whole[present : present + protocol.horizon]
    assert len(found)
