"""The film's way goes through the cameras, from neighbour to neighbour."""

import torch

from tests.recon.photographed_room import cameras_in_a_row
from worldloom.recon.film import film_between


def test_it_begins_and_ends_at_cameras_of_a_row():
    cameras = cameras_in_a_row(8)
    film = film_between(cameras, 12)
    assert (film.size, film.batch) == ((48, 64), (12,))
    torch.testing.assert_close(film.world_from_cam[0], cameras.world_from_cam[0])
    torch.testing.assert_close(film.world_from_cam[-1], cameras.world_from_cam[-1])


def test_photos_out_of_order_are_flown_through_in_place():
    cameras = cameras_in_a_row(8)
    film = film_between(cameras[torch.tensor([0, 5, 2, 7, 1, 3, 6, 4])], 30)
    assert (film.world_from_cam[:, 1, 3].diff() > 0).all()


def test_odd_sizes_become_even_for_films():
    cameras = cameras_in_a_row(3, (49, 65))
    film = film_between(cameras, 2)
    assert film.size == (48, 64)
    torch.testing.assert_close(film.K[0, 0, 0], cameras.K[0, 0, 0] * 64 / 65)
