"""Training of the generator: masks as they are met, a loss that a perfect answer does not pay, runs that go on."""

import json
import random

import pytest
import torch

from worldloom.apps.train_generator import PRESETS, train_generator
from worldloom.errors import InputError
from worldloom.ops.training import LOG, Schedule
from worldloom.scenegen.completion.network import ROWS, CompletionConfig, CompletionNetwork, to_signal
from worldloom.scenegen.completion.panorama_generator import MADE_ROWS, PanoramaGenerator
from worldloom.scenegen.training.masks import random_known
from worldloom.scenegen.training.train_completion import CompletionTraining, completion_loss, draw_batch
from worldloom.synth.panoramas.panorama_files import panoramas_of


def test_masks_show_nothing_a_photo_several_or_most():
    dice = random.Random(0)
    shares = torch.tensor([float(random_known(64, dice).float().mean()) for _ in range(200)])
    assert 0.15 < float((shares == 0).float().mean()) < 0.35
    assert 0.3 < float(((shares > 0) & (shares < 0.3)).float().mean()) < 0.65
    assert 0.1 < float((shares > 0.39).float().mean()) < 0.35
    assert float(shares.max()) < 1


class Perfect(CompletionNetwork):
    """Knows the picture."""

    def __init__(self, rgb):
        super().__init__(CompletionConfig(16, 1, 64, 16, 1))
        self.rgb = rgb

    def forward(self, noisy, t, known, words):
        return to_signal(self.rgb)


def test_the_truth_costs_nothing_and_known_pixels_little(panorama_folder):
    training = CompletionTraining(Schedule(1), batch=4)
    batch = draw_batch(panoramas_of(panorama_folder), training, random.Random(3))
    assert batch.rgb.shape == (4, 3, ROWS, 2 * ROWS)
    dice = torch.Generator().manual_seed(0)
    assert float(completion_loss(Perfect(batch.rgb), batch, training, dice)) < 1e-9
    share = batch.known.share
    wrong_known, wrong_open = batch.rgb + 0.1 * (share > 0.99), batch.rgb + 0.1 * (share < 0.01)
    losses = [
        float(completion_loss(Perfect(rgb), batch, training, torch.Generator().manual_seed(0)))
        / float((rgb != batch.rgb).float().mean())
        for rgb in (wrong_known, wrong_open)
    ]
    assert losses[0] < 0.6 * losses[1]


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
