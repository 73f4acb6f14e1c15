"""Training of the completion: masks as they are met, and a loss that a perfect answer does not pay."""

import random

import torch

from worldloom.ops.training import Schedule
from worldloom.scenegen.completion.network import ROWS, CompletionConfig, CompletionNetwork, to_signal
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
