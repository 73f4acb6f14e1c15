"""Which of COLMAP's answers is taken; that it finds cameras at all is tested with the command."""

import pytest

from worldloom.recon.structure_from_motion import _ATTEMPTS, _best


class Model:
    def __init__(self, placed: int) -> None:
        self.placed = placed

    def num_reg_images(self) -> int:
        return self.placed


@pytest.mark.parametrize(
    ("answers", "placed", "asked"),
    [
        ([[10], [9], [9]], 10, 1),
        ([[3, 4], [9], [10]], 9, 2),  # nine of ten are enough
        ([[], [2, 5], [5]], 5, 3),
        ([[], [], []], None, 3),
    ],
)
def test_less_is_demanded_until_enough_find_a_place(answers: list[list[int]], placed: int | None, asked: int) -> None:
    made = [[Model(n) for n in answer] for answer in answers]
    tried = []

    def models_of(attempt):
        tried.append(attempt)
        return made[_ATTEMPTS.index(attempt)]

    best = _best(models_of, 10)
    assert tried == list(_ATTEMPTS[:asked])
    assert (None if best is None else best.placed) == placed
    if answers == [[], [2, 5], [5]]:
        assert best is made[1][1]
