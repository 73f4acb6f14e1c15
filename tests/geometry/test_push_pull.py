"""Holes of a panorama take after what is around them, across its seam, too."""

import torch

from worldloom.geometry.push_pull import filled_from_around


def test_what_is_known_stays_and_holes_are_between() -> None:
    rgb = torch.zeros(3, 16, 32)
    rgb[:, :, :16], rgb[:, :, 16:] = 0.2, 0.8
    known = torch.ones(16, 32, dtype=torch.bool)
    known[4:12, 12:20] = False
    full = filled_from_around(rgb * known, known)
    assert torch.equal(full[:, known], rgb[:, known])
    hole = full[:, 4:12, 12:20]
    assert hole.min() > 0.15
    assert hole.max() < 0.85
    assert (hole[:, :, 0] < hole[:, :, -1]).all()


def test_a_hole_at_the_seam_is_filled_from_both_sides() -> None:
    generator = torch.Generator().manual_seed(0)
    rgb = torch.rand(3, 16, 32, generator=generator)
    known = torch.ones(16, 32, dtype=torch.bool)
    known[:, :3], known[:, -3:] = False, False
    at_the_seam = filled_from_around(rgb, known)
    inside = filled_from_around(rgb.roll(16, 2), known.roll(16, 1)).roll(-16, 2)
    torch.testing.assert_close(at_the_seam, inside, atol=1e-5, rtol=0)


def test_a_small_patch_reaches_everywhere() -> None:
    known = torch.zeros(16, 32, dtype=torch.bool)
    known[7:9, 15:17] = True
    full = filled_from_around(torch.full((3, 16, 32), 0.6), known)
    torch.testing.assert_close(full, torch.full((3, 16, 32), 0.6))


def test_a_hole_takes_after_what_is_near_it() -> None:
    """However little of it there is, and however much of something else is known far away."""
    rgb = torch.zeros(1, 64, 128)
    known = torch.zeros(64, 128, dtype=torch.bool)
    known[:, 64:], known[30, 20:40:3] = True, True
    rgb[:, 30, 20:40:3] = 1.0
    full = filled_from_around(rgb, known)
    assert full[0, 28:34, 22:38].min() > 0.85


def test_of_nothing_nothing_is_made() -> None:
    assert filled_from_around(torch.rand(3, 8, 16), torch.zeros(8, 16, dtype=torch.bool)).abs().max() == 0
