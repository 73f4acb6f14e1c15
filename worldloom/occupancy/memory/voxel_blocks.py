"""Sparse blocks of voxels, each voxel with the two classes that most of what was seen speaks for, and how much.

The weights of evidence are those of Misra and Gries (1982) with two counters: a class that more than a third of all
votes were cast for is never lost, whatever came between. With votes of log-odds l each, the log-odds of the best class
against the next is l * (first - second), so that no voxel needs a number for every class. Counters end at MOST: a world
that has changed is believed after a few looks.

Blocks that nobody looked at for a while are kept compressed, as their best class alone.
"""

import zlib

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, Integer, UInt8

SIDE = 8  # voxels on each side of a block
VOXELS = SIDE**3
UNKNOWN = 127  # of a code: no evidence
OBSERVED = 128  # bit of a code: somebody looked; without it the label was made up
MOST = 120  # where counters end; two of them fit a byte
REACH = 1 << 20  # blocks in each direction that have a key
PLANES = 4  # of a block: code of the best class, its counter, the second class, its counter
ROW_BYTES = PLANES * VOXELS
_COLD_BYTES = 100  # of Python's own for a compressed block
_KEY_BYTES = 32  # key, place, time and hits of a block


def keys_of(blocks: Int64[np.ndarray, "n 3"]) -> Int64[np.ndarray, " n"]:
    """One number for each block, rising with x, then y, then z.

    Raises:
        ValueError: a block out of REACH.
    """
    if blocks.size and np.abs(blocks).max() >= REACH:
        raise ValueError(f"expected blocks within {REACH} of the memory's origin, got {np.abs(blocks).max()}")
    x, y, z = (blocks + REACH).T
    return (x << 42) | (y << 21) | z


def blocks_of(keys: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "n 3"]:
    """The inverse of `keys_of`."""
    mask = (1 << 21) - 1
    return np.stack([keys >> 42, (keys >> 21) & mask, keys & mask], axis=1) - REACH


def empty_rows(count: int) -> UInt8[np.ndarray, "n p v"]:
    """Blocks of which nothing is known."""
    rows = np.zeros((count, PLANES, VOXELS), np.uint8)
    rows[:, 0] = UNKNOWN
    return rows


def vote(
    rows: UInt8[np.ndarray, "n p v"],
    labels: UInt8[np.ndarray, "n v"],
    weight: int | UInt8[np.ndarray, "n v"],
    observed: bool,
) -> None:
    """Add evidence, in place. UNKNOWN labels say nothing; what was observed is never changed by what was made up.

    The first look replaces what was made up before. Where two classes have equal evidence the later one is right.
    """
    best, first, second, other = (rows[:, plane] for plane in range(PLANES))
    weights = np.broadcast_to(np.asarray(weight, np.uint8), labels.shape)
    news = (labels != UNKNOWN) & (weights > 0)
    if observed:
        fresh = news & (best < OBSERVED)
    else:
        news &= best < OBSERVED
        fresh = news & (best == UNKNOWN)
    codes = labels | np.uint8(OBSERVED if observed else 0)
    agree = news & (best == codes)
    total = first + weights  # below 256
    np.copyto(other, other - np.minimum(other, np.maximum(total, MOST) - np.uint8(MOST)), where=agree)
    np.copyto(first, np.minimum(total, MOST), where=agree)
    np.copyto(best, codes, where=fresh)
    np.copyto(first, weights, where=fresh)
    np.copyto(other, 0, where=fresh)
    differ = (news & ~agree & ~fresh).nonzero()
    if len(differ[0]):
        b, f, s, o = (plane[differ] for plane in (best, first, second, other))
        best[differ], first[differ], second[differ], other[differ] = _differ(b, f, s, o, codes[differ], weights[differ])


def _differ(
    best: UInt8[np.ndarray, " n"],
    first: UInt8[np.ndarray, " n"],
    second: UInt8[np.ndarray, " n"],
    other: UInt8[np.ndarray, " n"],
    codes: UInt8[np.ndarray, " n"],
    weights: UInt8[np.ndarray, " n"],
) -> tuple[UInt8[np.ndarray, " n"], ...]:
    """Votes for another class than the best one; the best class stays the one with most evidence."""
    mine = codes & np.uint8(OBSERVED - 1)
    for_second = (other == 0) | (second == mine)
    # For a third class: all three counters lose what the least of the two new ones has.
    drop = np.where(for_second, 0, np.minimum(other, weights)).astype(np.uint8)
    first, other, left = first - drop, other - drop, weights - drop
    takes = for_second | ((other == 0) & (left > 0))
    second = np.where(takes, mine, second)
    total = np.where(takes, other + left, other)
    over = np.maximum(total, MOST) - np.uint8(MOST)
    other, first = np.minimum(total, MOST), first - np.minimum(first, over)
    none = (first == 0) & (other == 0)  # all cancelled: the latest word stands, by the least that can be
    second, other = np.where(none, mine, second), np.where(none, np.uint8(1), other)
    turn = (other >= first) & (takes | none)
    flag = codes & np.uint8(OBSERVED)
    return (
        np.where(turn, second | flag, best), np.where(turn, other, first),
        np.where(turn, best & np.uint8(OBSERVED - 1), second), np.where(turn, first, other),
    )  # fmt: skip


class VoxelBlocks:
    """Blocks by key: those in use as they are, the others compressed, all within a budget of bytes."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.keys: Int64[np.ndarray, " n"] = np.zeros(0, np.int64)  # in order
        self.last: Float64[np.ndarray, " n"] = np.zeros(0)  # when it was last written or read
        self.hits: Int32[np.ndarray, " n"] = np.zeros(0, np.int32)  # how often it was read
        self._slots: Int32[np.ndarray, " n"] = np.zeros(0, np.int32)  # row of the pool; -1: compressed
        self._pool: UInt8[np.ndarray, "n p v"] = empty_rows(0)
        self._free: list[int] = []
        self._cold: dict[int, bytes] = {}
        self._cold_bytes = 0

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def nbytes(self) -> int:
        """Bytes held, rows that wait for use included."""
        return self._pool.nbytes + self._cold_bytes + _KEY_BYTES * len(self)

    @property
    def num_compressed(self) -> int:
        return len(self._cold)

    @property
    def _most_rows(self) -> int:
        return int(0.6 * self.budget) // ROW_BYTES

    def copy(self) -> "VoxelBlocks":
        """The same blocks; what is done to one copy does not show in the other."""
        other = VoxelBlocks(self.budget)
        other.keys, other.last, other.hits = self.keys.copy(), self.last.copy(), self.hits.copy()
        other._slots, other._pool = self._slots.copy(), self._pool.copy()
        other._free, other._cold, other._cold_bytes = list(self._free), dict(self._cold), self._cold_bytes
        return other

    @staticmethod
    def of(
        budget: int,
        keys: Int64[np.ndarray, " n"],
        rows: UInt8[np.ndarray, "n p v"],
        packed: Bool[np.ndarray, " n"],
        last: Float64[np.ndarray, " n"],
        hits: Int32[np.ndarray, " n"],
    ) -> "VoxelBlocks":
        """Blocks as they were in another store; keys in order. More of them are packed where the budget asks for it."""
        blocks = VoxelBlocks(budget)
        size = max(1, blocks._most_rows // 2)
        for a in range(0, len(keys), size):
            blocks.put(keys[a : a + size], rows[a : a + size], float(a))
        blocks._pack((packed & (blocks._slots >= 0)).nonzero()[0])
        blocks._shrink()
        blocks.last, blocks.hits = last.copy(), hits.copy()
        return blocks

    def find(self, keys: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
        """Index of each key, or -1."""
        if not len(self):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self) - 1)
        return np.where(self.keys[at] == keys, at, -1)

    def rows(self, keys: Int64[np.ndarray, " m"]) -> UInt8[np.ndarray, "m p v"]:
        """The blocks of these keys, as a copy; unknown where there is none."""
        at = self.find(keys)
        rows = empty_rows(len(keys))
        slots = np.where(at >= 0, self._slots[at] if len(self) else -1, -1)
        hot = slots >= 0
        rows[hot] = self._pool[slots[hot]]
        for i in ((at >= 0) & ~hot).nonzero()[0]:
            rows[i, :2] = _unpacked(self._cold[int(keys[i])])
        return rows

    def codes(self, keys: Int64[np.ndarray, " m"], now: float) -> UInt8[np.ndarray, "m v"]:
        """The best class of each voxel; UNKNOWN where there is none. Counts as a use of the blocks."""
        at = self.find(keys)
        found = at >= 0
        used = at[found]
        self.hits[used] += 1
        self.last[used] = np.maximum(self.last[used], now)
        codes = np.full((len(keys), VOXELS), UNKNOWN, np.uint8)
        slots = np.full(len(keys), -1)
        slots[found] = self._slots[used]
        cold = (found & (slots < 0)).nonzero()[0]
        if len(cold):
            thawed = self.rows(keys[cold])
            codes[cold] = thawed[:, 0]
            if len(cold) <= self._room():
                self.put(keys[cold], thawed, now)
        hot = slots >= 0
        codes[hot] = self._pool[slots[hot], 0]
        return codes

    def put(self, keys: Int64[np.ndarray, " m"], rows: UInt8[np.ndarray, "m p v"], now: float) -> None:
        """Write blocks; keys in order, each once.

        Raises:
            ValueError: these blocks alone are more than the budget holds.
        """
        if len(keys) > self._most_rows:
            needed = int(len(keys) * ROW_BYTES / 0.6) + 1
            raise ValueError(f"expected a budget of {needed} bytes or more for {len(keys)} blocks, got {self.budget}")
        self._add(keys[self.find(keys) < 0])
        at = self.find(keys)
        self.last[at] = np.maximum(self.last[at], now)
        missing = at[self._slots[at] < 0]
        if len(missing):
            self._slots[missing] = self._take(len(missing), at)
            for key in self.keys[missing].tolist():
                self._forget_cold(key)
        self._pool[self._slots[at]] = rows

    def remove(self, keys: Int64[np.ndarray, " m"]) -> None:
        """Take blocks out; keys that are not there are no error."""
        at = self.find(keys)
        at = at[at >= 0]
        slots = self._slots[at]
        self._free.extend(slots[slots >= 0].tolist())
        for key in self.keys[at[slots < 0]].tolist():
            self._forget_cold(key)
        kept = np.ones(len(self), np.bool_)
        kept[at] = False
        self.keys, self.last, self.hits, self._slots = (
            values[kept] for values in (self.keys, self.last, self.hits, self._slots)
        )

    def compress(self, older_than: float = np.inf) -> int:
        """Pack the blocks that were last used before a time; returns how many.

        What is packed keeps its best class and that class's lead; the second class is dropped, with its vote.
        """
        at = ((self._slots >= 0) & (self.last < older_than)).nonzero()[0]
        self._pack(at)
        self._shrink()
        return len(at)

    def is_compressed(self) -> Bool[np.ndarray, " n"]:
        return self._slots < 0

    def evict(self, budget: int, now: float) -> int:
        """Drop the least useful blocks until `budget` bytes hold the rest; returns how many were dropped.

        Of little use is what was not used for long and was seldom read. What is in use is packed last, never dropped.
        """
        if self.nbytes <= budget:
            return 0
        hot = (self._slots >= 0).nonzero()[0]
        oldest = hot[np.argsort(self.last[hot], kind="stable")]
        self._pack(oldest[: max(0, len(hot) - self._most_rows // 2)])  # the rest is likely to be used next
        self._shrink()
        excess = self.nbytes - budget
        if excess <= 0:
            return 0
        cold = (self._slots < 0).nonzero()[0]
        age = now - self.last[cold]
        order = cold[np.argsort(np.log1p(self.hits[cold]) - 10 * age / max(float(age.max(initial=0)), 1e-9))]
        freed = np.cumsum([len(self._cold[key]) + _COLD_BYTES + _KEY_BYTES for key in self.keys[order].tolist()])
        count = min(int(np.searchsorted(freed, excess)) + 1, len(order))
        self.remove(self.keys[np.sort(order[:count])])
        return count

    def _add(self, keys: Int64[np.ndarray, " m"]) -> None:
        if not len(keys):
            return
        at = np.searchsorted(self.keys, keys)
        self.keys = np.insert(self.keys, at, keys)
        self.last = np.insert(self.last, at, -np.inf)
        self.hits = np.insert(self.hits, at, 0)
        self._slots = np.insert(self._slots, at, -1)

    def _room(self) -> int:
        return len(self._free) + max(0, self._most_rows - len(self._pool))

    def _take(self, count: int, kept: Integer[np.ndarray, " k"]) -> Int32[np.ndarray, " count"]:
        """Free rows of the pool; the oldest blocks but `kept` make way."""
        if count > self._room():
            hot = self._slots >= 0
            hot[kept] = False
            candidates = hot.nonzero()[0]
            # A quarter more than is needed, so that the next frames find room.
            number = min(len(candidates), count - self._room() + self._most_rows // 4)
            self._pack(candidates[np.argsort(self.last[candidates], kind="stable")[:number]])
        if count > len(self._free):
            size = len(self._pool)
            grown = min(max(size + count - len(self._free), size + size // 4, 256), self._most_rows)
            self._pool = np.concatenate([self._pool, empty_rows(grown - size)])
            self._free.extend(range(grown - 1, size - 1, -1))
        return np.array([self._free.pop() for _ in range(count)], np.int32)

    def _pack(self, at: Integer[np.ndarray, " m"]) -> None:
        rows = self._pool[self._slots[at]]
        lead = rows[:, 1] - np.minimum(rows[:, 3], np.maximum(rows[:, 1], 1) - 1)  # a known voxel keeps a lead of 1
        for key, code, odds in zip(self.keys[at].tolist(), rows[:, 0], lead, strict=True):
            self._forget_cold(key)
            packed = self._cold[key] = zlib.compress(code.tobytes() + odds.tobytes(), 1)
            self._cold_bytes += len(packed) + _COLD_BYTES
        self._free.extend(self._slots[at].tolist())
        self._slots[at] = -1

    def _shrink(self) -> None:
        """Give rows back that are not in use."""
        hot = (self._slots >= 0).nonzero()[0]
        self._pool = self._pool[self._slots[hot]]
        self._slots[hot] = np.arange(len(hot), dtype=np.int32)
        self._free = []

    def _forget_cold(self, key: int) -> None:
        packed = self._cold.pop(key, None)
        if packed is not None:
            self._cold_bytes -= len(packed) + _COLD_BYTES


def _unpacked(packed: bytes) -> UInt8[np.ndarray, "2 v"]:
    return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(2, VOXELS)
