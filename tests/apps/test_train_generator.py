"""Training of the generator by the command: runs that go on, weights that open, bad arguments."""

import json

import pytest
import torch

from worldloom.apps.train_generator import PRESETS, train_generator
from worldloom.errors import InputError
from worldloom.ops.training import LOG
from worldloom.scenegen.completion.panorama_generator import MADE_ROWS, PanoramaGenerator


@pytest.fixture(scope="module")
def wider_folder(tmp_path_factory):
    from worldloom.synth.panoramas.panorama_files import write_panoramas

    folder = tmp_path_factory.mktemp("panoramas")
    list(write_panoramas((200_001, 200_003), folder, 1, MADE_ROWS))
    return folder


def test_a_run_stops_goes_on_and_its_weights_make_panoramas(wider_folder, tmp_path):
    for part in ("panorama", "detail"):
        weights = train_generator(part, wider_folder, tmp_path / "mine", preset="tiny", steps=4)
        assert "Made again by" in (weights / "card.md").read_text()
        train_generator(part, wider_folder, tmp_path / "mine", preset="tiny", steps=4)  # which is done already
        log = (tmp_path / "mine" / "runs" / part / LOG).read_text().splitlines()
        assert json.loads(log[-1])["step"] == 4
    made = PanoramaGenerator.from_pretrained(tmp_path / "mine")
    known = torch.zeros(MADE_ROWS, 2 * MADE_ROWS, dtype=torch.bool)
    assert made.complete(torch.zeros(3, *known.shape), known, steps=1).shape == (3, *known.shape)


@pytest.mark.parametrize(
    ("options", "message"), [({"preset": "huge"}, "a preset tiny, small, base, got 'huge'"), ({"steps": 0}, "got 0")]
)
def test_bad_arguments(wider_folder, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        train_generator("panorama", wider_folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_presets_are_there():
    assert set(PRESETS) == {"tiny", "small", "base"}
