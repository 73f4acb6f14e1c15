from dataclasses import replace

import pytest
import torch

from worldloom.geometry.io.clip import load_clip
from worldloom.geometry.occupancy import Occupancy, VoxelGrid
from worldloom.occupancy.codec.prior import CodePrior, CodePriorConfig
from worldloom.occupancy.static_tokenizer import StaticTokenizer, StaticTokenizerConfig
from worldloom.occupancy.tokenizer import Tokenizer
from worldloom.synth.samples import sample_clip_path

CONFIG = StaticTokenizerConfig((8, 8, 16, 16), 1, 1, (8, 5, 5), (5, 5))


@pytest.fixture(scope="session")
def clip() -> Occupancy:
    """Five frames of the bundled sample, as far as 20 m ahead, behind and aside."""
    whole = load_clip(sample_clip_path())[4:9]
    grid = VoxelGrid((-20.0, -20.0, -1.0), 0.4, (100, 100, 16))
    labels, observed = (part[:, 50:150, 50:150].contiguous() for part in (whole.labels, whole.observed))
    return replace(whole, labels=labels, observed=observed, grid=grid)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    torch.manual_seed(0)
    static = StaticTokenizer(CONFIG)
    for head in (static.coarse_head, static.fine_head):
        torch.nn.init.normal_(head.weight, std=1.0)  # codes that differ from cell to cell
    return Tokenizer(static, CodePrior(CodePriorConfig(CONFIG.coarse, CONFIG.fine, 16, 1)))
