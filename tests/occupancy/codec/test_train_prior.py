from pathlib import Path

import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry.occupancy import Occupancy
from worldloom.occupancy.codec.prior import CodePrior, CodePriorConfig
from worldloom.occupancy.tokenizer import Tokenizer
from worldloom.occupancy.training.static_examples import save_static_scene, static_scene
from worldloom.occupancy.training.train_prior import CodedCrop, PriorTraining, prior_bits, train_prior, validate_prior
from worldloom.ops.training import Schedule

LEVELS = (5, 3)


def _stripes() -> CodedCrop:
    """Planes whose rows repeat in a way that a neighbour tells: the row below is one level higher."""
    row = torch.arange(16)[:, None].expand(16, 16)
    coarse = torch.stack([row % 5, row % 3])[None]
    fine_row = torch.arange(32)[:, None].expand(32, 32)
    fine = torch.stack([fine_row % 5, fine_row % 3])[None]
    ones = torch.ones(1, 32, 32, dtype=torch.bool)
    return CodedCrop(coarse, fine, ones[:, :16, :16], ones)


def test_a_prior_learns_what_neighbours_tell() -> None:
    torch.manual_seed(0)
    model = CodePrior(CodePriorConfig(LEVELS, LEVELS, 16, 1))
    crop = _stripes()
    before = validate_prior(model, [crop])
    optimizer = torch.optim.Adam(model.parameters(), 6e-3)
    for step in range(80):
        loss = sum(prior_bits(model, crop, step % 4), torch.zeros(()))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = validate_prior(model, [crop])
    assert before["coarse_order0_bits"] == pytest.approx(3.9, abs=0.05)  # log2(5) + log2(3)
    assert before["coarse_bits"] > 3.5
    assert after["coarse_bits"] < 0.6 * after["coarse_order0_bits"]
    assert after["fine_bits"] < 0.6 * after["fine_order0_bits"]


def test_a_run_from_files(tokenizer: Tokenizer, clip: Occupancy, tmp_path: Path) -> None:
    path = tmp_path / "scene.static.npz"
    save_static_scene(path, static_scene(clip))
    static = tokenizer.static
    config = CodePriorConfig(static.config.coarse, static.config.fine, 8, 1)
    training = PriorTraining(Schedule(2, log_every=1, check_every=2), crops=1, columns=32)
    lines: list[str] = []
    prior = train_prior(static, [path], [path], tmp_path / "run", config, training, lines.append)
    assert prior.config == config
    assert "coarse_order0_bits" in lines[-1]
    with pytest.raises(InputError, match="expected a prior for codes"):
        train_prior(static, [path], [path], tmp_path / "other", CodePriorConfig(), training)
    with pytest.raises(InputError, match="expected static scenes"):
        train_prior(static, [], [path], tmp_path / "none", config, training)
