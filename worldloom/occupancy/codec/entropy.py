"""Range coding of symbols whose models are integers, so that a stream means the same on every machine.

Encoding and decoding of a part are one function of a `Coder`: a `Writer` takes the symbol that is handed to it and
returns it; a `Reader` ignores what it is handed and returns what the stream says. The two cannot disagree about a
format that is written down only once.

A decoder has to find exactly the encoder's probabilities, or all that follows is noise. So models here are *integer*
frequencies below 2^24, which float32 holds exactly; what the range coder (constriction) makes of them are sums,
products and truncations of IEEE 754 numbers, without a function of any mathematical library. Adaptive models count.
A network's probabilities pass through `frequencies`, from logits that are exact themselves (see `prior`).
"""

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, localcontext
from typing import Any, TypeAlias

import constriction
import numpy as np
from jaxtyping import Float32, Int, Int32, Int64

from worldloom.errors import InputError

MAX_BYTES = 1 << 24  # a clip's stream is never longer; 360 kbit are 45 kB
LOGIT_STEPS = 16  # logits are multiples of 1 / LOGIT_STEPS
_CHECK_BYTES = 4
_STREAM: Any = constriction.stream  # pyright: ignore[reportAttributeAccessIssue]
_PLAIN = 1 << 12  # values of one symbol without a model
_FAMILY = _STREAM.model.Categorical(perfect=False)


def _exponentials() -> Int64[np.ndarray, " n"]:
    """2^16 exp(-k / LOGIT_STEPS) in decimal arithmetic, which is the same everywhere; down to 0."""
    with localcontext() as context:
        context.prec = 40
        values = [int((Decimal(-k) / LOGIT_STEPS).exp() * 65536) for k in range(12 * LOGIT_STEPS)]
    return np.array([*values, 0], dtype=np.int64)


_EXP = _exponentials()


class Writer:
    """Collects symbols; `bits` books what they cost, by part."""

    reading = False

    def __init__(self) -> None:
        self._encoder = _STREAM.queue.RangeEncoder()
        self.bits: dict[str, float] = {}
        self._part = "header"

    def one(self, symbol: int | None, frequencies: Int64[np.ndarray, " k"]) -> int:
        assert symbol is not None, "a writer needs what to write"
        model = _STREAM.model.Categorical(frequencies.astype(np.float32), perfect=False, lazy=True)
        self._encoder.encode(symbol, model)
        self._book(-math.log2(frequencies[symbol] / frequencies.sum()))
        return symbol

    def many(
        self, symbols: Int[np.ndarray, " n"] | None, frequencies: Int64[np.ndarray, "n k"]
    ) -> Int32[np.ndarray, " n"]:
        assert symbols is not None, "a writer needs what to write"
        symbols = symbols.astype(np.int32)
        if len(symbols):
            self._encoder.encode(symbols, _FAMILY, _rows(frequencies))
            mine = np.take_along_axis(frequencies, symbols[:, None].astype(np.int64), 1)[:, 0]
            self._book(-float(np.log2(mine / frequencies.sum(1)).sum()))
        return symbols

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        before, self._part = self._part, name
        try:
            yield
        finally:
            self._part = before

    def total(self) -> float:
        """Bits so far, ideally."""
        return sum(self.bits.values(), 0.0)

    def finish(self) -> tuple[bytes, dict[str, float]]:
        """The stream with its checksum, and its bits by part; "end" is the checksum and what the coder rounds up."""
        words = self._encoder.get_compressed().astype("<u4").tobytes()
        data = zlib.crc32(words).to_bytes(_CHECK_BYTES, "little") + words
        bits = {**self.bits, "end": 8 * len(data) - self.total()}
        return data, bits

    def _book(self, bits: float) -> None:
        self.bits[self._part] = self.bits.get(self._part, 0.0) + bits


class Reader:
    """Reads what a `Writer` has finished."""

    reading = True

    def __init__(self, data: bytes) -> None:
        """Raises InputError where the data cannot be a stream, or is not the one that was written."""
        if not _CHECK_BYTES < len(data) <= MAX_BYTES or len(data) % 4:
            raise InputError(
                f"expected a clip's stream of whole words, at most {MAX_BYTES} bytes, got {len(data)} bytes"
            )
        check, words = data[:_CHECK_BYTES], data[_CHECK_BYTES:]
        if zlib.crc32(words).to_bytes(_CHECK_BYTES, "little") != check:
            raise InputError("expected an undamaged stream of a clip, got one whose checksum does not fit")
        self._decoder = _STREAM.queue.RangeDecoder(np.frombuffer(words, "<u4").astype(np.uint32))

    def one(self, symbol: int | None, frequencies: Int64[np.ndarray, " k"]) -> int:
        model = _STREAM.model.Categorical(frequencies.astype(np.float32), perfect=False, lazy=True)
        try:
            return int(self._decoder.decode(model))
        except AssertionError as error:
            raise InputError("expected a stream of a clip, got bytes that no clip has") from error

    def many(
        self, symbols: Int[np.ndarray, " n"] | None, frequencies: Int64[np.ndarray, "n k"]
    ) -> Int32[np.ndarray, " n"]:
        if not len(frequencies):
            return np.zeros(0, np.int32)
        try:
            return self._decoder.decode(_FAMILY, _rows(frequencies))
        except AssertionError as error:
            raise InputError("expected a stream of a clip, got bytes that no clip has") from error

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        yield


Coder: TypeAlias = Writer | Reader
"""What the parts of a stream are written to, or read from."""


def frequencies(logits: Int64[np.ndarray, "n k"]) -> Int64[np.ndarray, "n k"]:
    """1 + 2^16 exp(logit - largest logit) of logits in LOGIT_STEPS, rounded down: the same on every machine."""
    below = logits.max(axis=1, keepdims=True) - logits
    return 1 + _EXP[np.minimum(below, len(_EXP) - 1)]


def _rows(frequencies: Int64[np.ndarray, "n k"]) -> Float32[np.ndarray, "n k"]:
    """As the range coder wants them: it reads memory row by row, whatever the strides say."""
    return np.ascontiguousarray(frequencies, dtype=np.float32)


class Counts:
    """An adaptive model: a symbol is as likely as it has been frequent."""

    def __init__(self, size: int, start: Int64[np.ndarray, " k"] | None = None) -> None:
        self._counts = np.full(size, 4, np.int64) if start is None else start.astype(np.int64)

    def code(self, coder: Coder, symbol: int | None) -> int:
        symbol = coder.one(symbol, self._counts)
        self._counts[symbol] += 12  # fast at first, as few symbols come
        if self._counts[symbol] > 4096:
            self._counts = (self._counts + 1) // 2
        return symbol

    def likeliest(self) -> int:
        return int(self._counts.argmax())


class Integers:
    """An adaptive model of integers that are mostly near zero; far ones escape into plain bits."""

    def __init__(self, reach: int = 8, spread: float = 2.0) -> None:
        self._reach = reach
        away = np.abs(np.arange(-reach, reach + 1))
        start = np.maximum(1, (24 * 2.0 ** (-away / spread)).astype(np.int64))
        self._near = Counts(2 * reach + 2, np.append(start, 2))
        self._sign, self._far = Counts(2), Sizes()

    def code(self, coder: Coder, value: int | None, limit: int = 1 << 30) -> int:
        """An integer of at most `limit` away from zero.

        Raises:
            InputError: the stream says a larger one.
        """
        reach = self._reach
        near = value is not None and abs(value) <= reach
        symbol = self._near.code(coder, None if value is None else value + reach if near else 2 * reach + 1)
        if symbol <= 2 * reach:
            value = symbol - reach
        else:
            sign = self._sign.code(coder, None if value is None else int(value < 0))
            rest = self._far.code(coder, None if value is None else abs(value) - reach - 1)
            value = (rest + reach + 1) * (1 - 2 * sign)
        if abs(value) > limit:
            raise InputError(f"expected numbers of at most {limit} in a clip's stream, got {value}")
        return value


class Sizes:
    """An adaptive model of integers from 0 to 2^30 - 2: of their number of digits; the digits themselves are plain."""

    def __init__(self) -> None:
        self._digits = Counts(30)

    def code(self, coder: Coder, value: int | None) -> int:
        digits = self._digits.code(coder, None if value is None else (value + 1).bit_length() - 1)
        rest = plain(coder, None if value is None else value + 1 - (1 << digits), 1 << digits)
        return rest + (1 << digits) - 1


def plain(coder: Coder, value: int | None, size: int) -> int:
    """An integer of 0 … size - 1, all equally likely."""
    result, place, left = 0, 1, size
    while left > 1:
        step = min(left, _PLAIN)
        digit = coder.one(None if value is None else value // place % step, np.ones(step, np.int64))
        result, place, left = result + digit * place, place * step, -(-left // step)
    if result >= size:
        raise InputError(f"expected a number below {size} in a clip's stream, got {result}")
    return result
