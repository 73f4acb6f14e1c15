"""The whole reconstruction as one call: what it tells, how it is cancelled, and that it goes on where it stopped."""

from dataclasses import replace

import pytest
import torch

from tests.recon.photographed_room import cameras_in_a_row, photographed
from worldloom.errors import InputError
from worldloom.geometry import PosedImages
from worldloom.geometry.io.photo_set import PhotoSet
from worldloom.recon import ReconstructConfig, RefineConfig, SweepConfig, TakenPhotos, reconstruct, scores
from worldloom.recon.reconstruct import SPLATS, STEPS

CONFIG = ReconstructConfig(SweepConfig(long_side=64, first_side=32), RefineConfig(steps=5), hold_out=4)


@pytest.fixture(scope="module")
def room():
    return photographed(cameras_in_a_row(8))


@pytest.fixture(scope="module")
def taken(room):
    photos, _ = room
    given = PhotoSet(photos.names, photos.rgb, photos.cameras.size)
    return TakenPhotos(given, PosedImages(photos.cameras, photos.names))


def test_what_is_held_out_is_not_learned_from_and_what_is_told(taken):
    told = []
    made = reconstruct(taken, CONFIG, tell=told.append)
    assert made.held == (0, 4)
    assert made.learned.names == tuple(f"{i:03d}.png" for i in (1, 2, 3, 5, 6, 7))
    assert made.unseen.names == ("000.png", "004.png")
    assert len(made.depth) == len(made.refined.gain) == 6
    assert made.refined.steps == 5
    assert scores(made.gaussians, made.unseen)["psnr_db"] > 15
    names = [step.name for step in told]
    assert list(dict.fromkeys(names)) == ["cameras", "stereo", "splats", "refine"]
    for name in set(names):
        shares = [step.share for step in told if step.name == name]
        assert (shares[0], shares[-1]) == (0.0, 1.0)
        assert shares == sorted(shares)
    pictures = [step.picture() for step in told if step.picture is not None]
    assert {picture.shape for picture in pictures} == {(3, 2 * 48 + 4, 4 * 64 + 3 * 4)}
    assert len(pictures) > 2


def test_held_out_photos_change_nothing_but_themselves(taken):
    other = taken.photos.rgb.clone()
    other[[0, 4]] = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    # The cameras' convention is asked of all photos, so noise among them must not turn it over.
    changed = replace(taken, photos=replace(taken.photos, rgb=other))
    one, two = (reconstruct(photos, replace(CONFIG, refine=None)) for photos in (taken, changed))
    assert torch.equal(one.gaussians.means, two.gaussians.means)
    assert torch.equal(one.gaussians.sh, two.gaussians.sh)


def test_what_tell_raises_ends_it_and_the_same_call_goes_on(taken, tmp_path):
    whole = reconstruct(taken, CONFIG, folder=_new(tmp_path / "whole"))

    class Cancelled(Exception):
        pass

    def cancel(step):
        if step.name == "refine" and step.share >= 0.6:
            raise Cancelled

    folder = _new(tmp_path / "stopped")
    with pytest.raises(Cancelled):
        reconstruct(taken, CONFIG, folder=folder, tell=cancel)
    assert not (folder / SPLATS).exists()
    told = []
    made = reconstruct(taken, CONFIG, folder=folder, tell=told.append)
    assert [step.share for step in told if step.name == "stereo"] == [0.0, 1.0]  # kept
    assert [step.share for step in told if step.name == "refine"][1] == pytest.approx(0.8)  # after 3 of 5
    assert torch.equal(made.gaussians.means, whole.gaussians.means)
    again = reconstruct(taken, CONFIG, folder=folder)
    assert torch.equal(again.gaussians.sh, whole.gaussians.sh)
    torch.testing.assert_close(again.refined.gain, whole.refined.gain)
    assert {path.name for path in folder.iterdir()} <= {SPLATS, *STEPS}


def test_a_folder_of_another_call_is_refused(taken, tmp_path):
    config = replace(CONFIG, refine=None)
    reconstruct(taken, config, folder=tmp_path)
    darker = replace(taken, photos=replace(taken.photos, rgb=0.9 * taken.photos.rgb))
    for photos, other in ((taken, replace(config, hold_out=0)), (darker, config)):
        with pytest.raises(InputError, match="the steps of another reconstruction"):
            reconstruct(photos, other, folder=tmp_path)


def test_a_prior_that_fits_only_some_photos_is_told(taken, room):
    prior = 2.5 * room[1]
    prior[2] = 0.1 + 1000 * torch.rand(48, 64, generator=torch.Generator().manual_seed(2)) ** 8
    prior[5] = torch.nan
    notes = []
    config = replace(CONFIG, refine=None)
    plain = reconstruct(taken, config)
    made = reconstruct(taken, config, prior=prior, warn=notes.append)
    assert notes == ["the depth of 1 photos fits no scale and is left out, such as that of 002.png"]
    truth = room[1][[1, 2, 3, 5, 6, 7]]

    def error(made, i):
        return float((made.depth.depth[i] / truth[i] - 1).abs().mean())

    assert error(made, 0) < 0.5 * error(plain, 0)


def test_a_wrong_count_of_held_out_photos():
    with pytest.raises(InputError, match="got 1"):
        ReconstructConfig(hold_out=1)


def _new(folder):
    folder.mkdir()
    return folder
