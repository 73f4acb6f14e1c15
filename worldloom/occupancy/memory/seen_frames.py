"""Which recorded frames looked where, and which few of them show most of what a new view will show."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

CELL = 16  # voxels on each side of a cell: two blocks
_FRAME_BYTES = 300  # of a frame's entry without its cells
_CELL_BYTES = 16  # of a cell in a frame, and of the frame in the cell's list
_LIST_BYTES = 150  # of a cell's list


@dataclass(frozen=True)
class SeenFrame:
    """One recorded frame."""

    number: int
    world_from_ego: Float64[np.ndarray, "4 4"]
    time: float
    generated: bool
    cells: Int64[np.ndarray, " c"]  # that it looked into, in order


class SeenFrames:
    """Recorded frames by number, with an index from cells to frames."""

    def __init__(self) -> None:
        self._frames: dict[int, SeenFrame] = {}
        self._in_cell: dict[int, array[int]] = {}
        self._num_cells = 0
        self._times = array("d")  # by number; those of forgotten frames stay

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[SeenFrame]:
        return iter(self._frames.values())

    def __getitem__(self, number: int) -> SeenFrame:
        return self._frames[number]

    def __contains__(self, number: int) -> bool:
        return number in self._frames

    @property
    def nbytes(self) -> int:
        return (
            _FRAME_BYTES * len(self)
            + _CELL_BYTES * self._num_cells
            + _LIST_BYTES * len(self._in_cell)
            + 8 * len(self._times)
        )

    def copy(self) -> "SeenFrames":
        other = SeenFrames()
        other._frames, other._num_cells, other._times = dict(self._frames), self._num_cells, self._times[:]
        other._in_cell = {cell: numbers[:] for cell, numbers in self._in_cell.items()}
        return other

    def add(
        self,
        world_from_ego: Float64[np.ndarray, "4 4"],
        time: float,
        generated: bool,
        cells: Int64[np.ndarray, " c"],
    ) -> int:
        """Note a frame; returns its number, one more than that of the frame noted before."""
        number = len(self._times)
        self._times.append(time)
        self._frames[number] = SeenFrame(number, world_from_ego, time, generated, cells)
        for cell in cells.tolist():
            self._in_cell.setdefault(cell, array("q")).append(number)
        self._num_cells += len(cells)
        return number

    @staticmethod
    def of(frames: Iterable[SeenFrame], recorded: int) -> "SeenFrames":
        """Frames as they were elsewhere, with their numbers; `recorded` were noted there, those forgotten included."""
        seen, by_number = SeenFrames(), {frame.number: frame for frame in frames}
        for number in range(recorded):
            frame = by_number.get(number)
            if frame is None:
                seen._times.append(0.0)
            else:
                seen.add(frame.world_from_ego, frame.time, frame.generated, frame.cells)
        return seen

    @property
    def recorded(self) -> int:
        """Frames noted so far, those forgotten included."""
        return len(self._times)

    def remove(self, number: int) -> None:
        """Forget a frame."""
        frame = self._frames.pop(number)
        self._leave(number, frame.cells.tolist())

    def forget_cells(self, cells: set[int]) -> None:
        """No frame has looked into these cells any more; one that has looked nowhere else is forgotten."""
        numbers = {number for cell in cells for number in self._in_cell.get(cell, ())}
        for number in sorted(numbers):
            frame = self._frames[number]
            gone = np.isin(frame.cells, np.array(sorted(cells), np.int64))
            self._leave(number, frame.cells[gone].tolist())
            if gone.all():
                del self._frames[number]
            else:
                left = frame.cells[~gone]
                self._frames[number] = SeenFrame(number, frame.world_from_ego, frame.time, frame.generated, left)

    def thin(self, budget: int) -> int:
        """Drop frames until `budget` bytes hold the rest, those first that look where most others look too."""
        dropped = 0
        while self.nbytes > budget and self._frames:
            spare = sorted(self._frames.values(), key=self._rarity, reverse=True)[: max(1, len(self) // 8)]
            for frame in spare:
                self.remove(frame.number)
            dropped += len(spare)
        return dropped

    def select(
        self, cells: Int64[np.ndarray, " c"], count: int, time: float, fade: float, recency: float
    ) -> list[tuple[int, float]]:
        """Greedy choice of frames: each adds most cells of the query that the ones before it do not show.

        A frame's score is the share of the query's cells that it adds, plus `recency` * exp(-|time - its time| / fade).
        The choice ends where no frame adds a cell.
        """
        lists = [np.frombuffer(self._in_cell[cell], np.int64) for cell in cells.tolist() if cell in self._in_cell]
        if not lists or count < 1:
            return []
        frame = np.concatenate(lists)
        row = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
        bonus = recency * np.exp(-np.abs(time - np.frombuffer(self._times)) / fade)
        gain = np.bincount(frame, minlength=len(bonus))
        chosen: list[tuple[int, float]] = []
        while len(chosen) < count and gain.max() > 0:
            best = int(np.where(gain > 0, gain / len(cells) + bonus, -1.0).argmax())
            chosen.append((best, float(gain[best] / len(cells))))
            covered = np.zeros(len(lists), np.bool_)
            covered[row[frame == best]] = True
            still = ~covered[row]
            row, frame = row[still], frame[still]
            gain = np.bincount(frame, minlength=len(bonus))
        return chosen

    def _rarity(self, frame: SeenFrame) -> float:
        """How many frames look into a cell of this one, in the mean; made-up and old frames come first among equals."""
        crowd = sum(len(self._in_cell[cell]) for cell in frame.cells.tolist()) / max(1, len(frame.cells))
        return crowd + 0.5 * frame.generated

    def _leave(self, number: int, cells: list[int]) -> None:
        for cell in cells:
            numbers = self._in_cell[cell]
            numbers.remove(number)
            if not numbers:
                del self._in_cell[cell]
        self._num_cells -= len(cells)
