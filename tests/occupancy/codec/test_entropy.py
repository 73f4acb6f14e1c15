import math

import numpy as np
import pytest

from worldloom.errors import InputError
from worldloom.occupancy.codec.entropy import (
    LOGIT_STEPS,
    Counts,
    Integers,
    Reader,
    Sizes,
    Writer,
    frequencies,
    plain,
)


def _all(coder, given: dict[str, list[int]] | None) -> dict[str, list[int]]:
    """Some of everything, in one stream."""
    said: dict[str, list[int]] = {"counts": [], "integers": [], "sizes": [], "plain": []}
    counts, integers, sizes = Counts(3), Integers(4), Sizes()
    for i in range(60):
        take = {name: None if given is None else given[name][i] for name in said}
        with coder.part("counts"):
            said["counts"].append(counts.code(coder, take["counts"]))
        with coder.part("rest"):
            said["integers"].append(integers.code(coder, take["integers"]))
            said["sizes"].append(sizes.code(coder, take["sizes"]))
            said["plain"].append(plain(coder, take["plain"], 10_000_019))
    return said


def test_every_model_comes_back_and_bits_add_up() -> None:
    rng = np.random.default_rng(0)
    given = {
        "counts": rng.integers(0, 3, 60).tolist(),
        "integers": [*rng.integers(-6, 7, 57).tolist(), 5, -1_000_000_000, 1 << 29],
        "sizes": [*rng.integers(0, 40, 58).tolist(), 0, (1 << 30) - 2],
        "plain": [*rng.integers(0, 10_000_019, 58).tolist(), 0, 10_000_018],
    }
    writer = Writer()
    assert _all(writer, given) == given
    data, bits = writer.finish()
    assert _all(Reader(data), None) == given
    assert set(bits) == {"counts", "rest", "end"}
    assert sum(bits.values()) == pytest.approx(8 * len(data), abs=1e-6)
    assert 32 <= bits["end"] <= 32 + 64  # the checksum, and at most two words


def test_bits_are_the_entropy() -> None:
    row = np.array([[1, 3, 12]])
    symbols = np.random.default_rng(1).choice(3, 8000, p=row[0] / 16)
    writer = Writer()
    writer.many(symbols, np.repeat(row, len(symbols), 0))
    data, bits = writer.finish()
    ideal = -np.log2(row[0] / 16)[symbols].sum()
    assert bits["header"] == pytest.approx(ideal)
    assert 8 * len(data) < 1.001 * ideal + 96


def test_the_order_in_memory_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    rows, symbols = rng.integers(1, 1000, (300, 5)), rng.integers(0, 5, 300)
    streams = []
    for table in (rows, np.asfortranarray(rows)):
        writer = Writer()
        writer.many(symbols, table)
        streams.append(writer.finish()[0])
    assert streams[0] == streams[1]


def test_adaptive_models_learn() -> None:
    writer, model = Writer(), Counts(4)
    costs = []
    for _ in range(200):
        before = writer.total()
        model.code(writer, 2)
        costs.append(writer.total() - before)
    assert costs[0] == pytest.approx(2.0)
    assert costs[-1] < 0.02


def test_frequencies_of_logits_by_hand() -> None:
    """exp(-1) and exp(-2) of 2^16, rounded down, and one more; what is far below keeps one."""
    logits = np.array([[0, -LOGIT_STEPS, -2 * LOGIT_STEPS, -400 * LOGIT_STEPS]])
    expected = [65537, math.floor(65536 / math.e) + 1, math.floor(65536 / math.e**2) + 1, 1]
    assert frequencies(logits)[0].tolist() == expected
    assert frequencies(logits + 7)[0].tolist() == expected


@pytest.mark.parametrize("data", [b"", b"1234", b"12345", b"\0" * 12, b"x" * ((1 << 24) + 4)])
def test_bytes_that_are_no_stream(data: bytes) -> None:
    with pytest.raises(InputError):
        Reader(data)


def test_a_number_past_its_limit() -> None:
    writer = Writer()
    Integers(4).code(writer, 5000)
    with pytest.raises(InputError, match="at most 100"):
        Integers(4).code(Reader(writer.finish()[0]), None, limit=100)
