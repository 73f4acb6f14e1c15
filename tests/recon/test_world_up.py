"""Up is across level cameras, whichever way they are pitched."""

from tests.recon.photographed_room import cameras_in_a_row
from worldloom.recon.world_up import up_of


def test_up_is_across_level_cameras_that_look_down():
    assert up_of(cameras_in_a_row(8))[2] > 0.95
