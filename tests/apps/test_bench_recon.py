"""The measures of the reconstruction benchmark; its runs are for the command."""

from pathlib import Path

import pytest
import torch

from worldloom.apps.bench import command
from worldloom.apps.bench.recon import _f1, _seeds
from worldloom.errors import InputError
from worldloom.synth.panoramas.world_splits import kind_of_world, split_of_world


def test_f1_counts_what_is_near_both_ways() -> None:
    truth = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0), torch.zeros(1))
    assert _f1(truth + 0.01, truth, 0.05) == 1
    assert _f1(truth[:8], truth, 0.05) == pytest.approx(2 * 0.5 / 1.5)  # all right, half of it there
    assert _f1(truth + 9, truth, 0.05) == 0
    assert _f1(truth[:0], truth, 0.05) == 0


def test_worlds_are_those_that_nothing_is_learned_from() -> None:
    seeds = _seeds(2)
    assert [kind_of_world(seed) for seed in seeds] == ["room", "room", "street", "street"]
    assert {split_of_world(seed) for seed in seeds} == {"test"}


def test_data_is_refused_where_none_is_taken(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--data is not for io"):
        command.run_benchmark("io", quick=True, json_path=None, data=tmp_path)
