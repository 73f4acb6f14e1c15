"""Photos, cameras and depth as they lie on disk find each other."""

import numpy as np
import pytest
import torch

from tests.recon.photographed_room import cameras_in_a_row
from worldloom.errors import InputError
from worldloom.geometry import PosedImages
from worldloom.geometry.io.images import save_image
from worldloom.geometry.io.nerfstudio import save_nerfstudio
from worldloom.recon import load_photos, load_prior
from worldloom.recon.photo_files import fingerprint


@pytest.fixture
def folder(tmp_path):
    """Four photos in images/, cameras of five others of which three are these, and a preview beside them."""
    (tmp_path / "images").mkdir()
    for i in range(4):
        save_image(tmp_path / "images" / f"{i}.png", torch.full((3, 48, 64), 0.2 * i))
    save_image(tmp_path / "preview.png", torch.zeros(3, 10, 10))
    save_nerfstudio(
        tmp_path / "transforms.json", PosedImages(cameras_in_a_row(5), tuple(f"{i}.png" for i in (9, 3, 1, 0, 7)))
    )
    return tmp_path


def test_each_photo_gets_its_own_camera_at_its_size(folder):
    taken = load_photos(folder, long_side=32)
    assert taken.photos.names == ("images/0.png", "images/1.png", "images/3.png")
    assert taken.posed is not None
    cameras = cameras_in_a_row(5)
    torch.testing.assert_close(taken.posed.cameras.world_from_cam, cameras.world_from_cam[[3, 2, 1]])
    torch.testing.assert_close(taken.posed.cameras.K[:, :2], cameras.K[:3, :2] / 2)
    assert taken.photos.rgb[:, 0, 0, 0].tolist() == pytest.approx([0, 0.2, 0.6])
    assert taken.notes == (
        "1 photos have no camera and are left out, such as images/2.png",
        "2 cameras have no photo in " + folder.name + ", such as 9.png",
    )


def test_depth_finds_its_photo_in_a_subfolder_or_beside(folder, tmp_path):
    taken = load_photos(folder)
    depth = tmp_path / "depth"
    (depth / "images").mkdir(parents=True)
    np.save(depth / "images" / "1.npy", np.full((24, 32), 3.0))
    np.save(depth / "3.npy", np.full((48, 64), 5.0))
    prior = load_prior(depth, taken.photos)
    assert prior.shape == (3, 48, 64)
    assert prior[0].isnan().all()
    assert (prior[1] == 3).all()
    assert (prior[2] == 5).all()


def test_the_fingerprint_tells_other_photos_cameras_and_depth(folder):
    taken, again = load_photos(folder), load_photos(folder)
    assert fingerprint(taken) == fingerprint(again)
    prior = torch.ones(3, 48, 64)
    seen = [fingerprint(taken), fingerprint(taken, prior), fingerprint(taken, 2 * prior)]
    again.photos.rgb[0, 0, 0, 0] += 0.1
    seen.append(fingerprint(again))
    assert again.posed is not None
    again.posed.cameras.K[0, 0, 0] += 1
    seen.append(fingerprint(again))
    assert all(one != two for i, one in enumerate(seen) for two in seen[:i])


def test_a_folder_of_no_photos(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(InputError, match="got none"):
        load_photos(tmp_path)
