"""Products and weighted means of published driving scores, from their parts."""

import math

Score = float | int


def pdms(no_collision: Score, driveable: Score, ttc: Score, progress: Score, comfort: Score) -> float:
    """PDMS = NC DAC (5 TTC + 5 EP + 2 C) / 12 (NAVSIM)."""
    return no_collision * driveable * (5 * ttc + 5 * progress + 2 * comfort) / 12


def epdms(
    multiplied: tuple[Score, Score, Score, Score],
    ttc: Score,
    progress: Score,
    lane_keeping: Score,
    history_comfort: Score,
    extended_comfort: Score | None,
    human: tuple[Score, Score, Score, Score] = (1.0, 1.0, 1.0, 1.0),
) -> float:
    """EPDMS = NC DAC DDC TLC (5 TTC + 5 EP + 2 LK + 2 HC + 2 EC) / 16.

    Args:
        multiplied: NC, DAC, DDC, TLC.
        extended_comfort: None where there is no earlier plan; the divisor is 14 then.
        human: the same four of the logged driver; where it scores 0, the term counts as 1.
    """
    product = math.prod(1.0 if log == 0 else m for m, log in zip(multiplied, human, strict=True))
    weighted = 5 * ttc + 5 * progress + 2 * lane_keeping + 2 * history_comfort
    if extended_comfort is None:
        return product * weighted / 14
    return product * (weighted + 2 * extended_comfort) / 16


def ego_progress(progress: Score, best_admissible: Score) -> float:
    """EP = progress / best admissible proposal's, in [0, 1]; 1 if that best is 5 m or less."""
    return 1.0 if best_admissible <= 5 else max(0.0, min(1.0, progress / best_admissible))


def neuro_ncap(impact_speed: Score | None, reference_speed: Score) -> float:
    """5 without a collision (None), else 4 max(0, 1 - v_impact / v_ref), v_impact = |v_ego - v_actor|."""
    return 5.0 if impact_speed is None else 4 * max(0.0, 1 - impact_speed / reference_speed)


def hugsim_frame(no_collision: Score, driveable: Score, ttc: Score, comfort: Score) -> float:
    """NC DAC (5 TTC + 2 C) / 7 of one frame; HD-Score is their mean times route completion."""
    return no_collision * driveable * (5 * ttc + 2 * comfort) / 7
