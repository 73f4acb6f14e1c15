"""What the package's own weights can do, on the bundled street, whose town no network has seen."""

import pytest
import torch

from worldloom.geometry import MOVERS, STATIC, EgoPath, Occupancy
from worldloom.geometry.io import load_clip
from worldloom.occupancy import Tokenizer, WorldModel, copy_warp, score_forecast
from worldloom.occupancy.metrics import measured_path
from worldloom.occupancy.metrics.following import follow
from worldloom.synth.samples import sample_clip_path


@pytest.fixture(scope="module")
def clip() -> Occupancy:
    return load_clip(sample_clip_path())


@pytest.fixture(scope="module")
def model() -> WorldModel:
    return WorldModel.from_pretrained("small")


def test_the_future_is_better_than_the_past_moved(model: WorldModel, clip: Occupancy) -> None:
    past, truth = clip[:5], clip[5:11]
    path = EgoPath(truth.world_from_ego, truth.dt)
    ours = score_forecast(model.generate(past, path).occupancy[0], truth)
    floor = score_forecast(copy_warp(past, path), truth)
    for frame in (1, 3, 5):
        assert ours.group_iou()[frame] > floor.group_iou()[frame] + 0.05
        assert ours.miou(classes=STATIC)[frame] > floor.miou(classes=STATIC)[frame] + 0.05
    assert ours.group_iou(MOVERS)[1] > 0.3


def test_turning_turns(model: WorldModel, clip: Occupancy) -> None:
    past, truth = clip[:5], clip[5:17]
    path = EgoPath(truth.world_from_ego, truth.dt)
    start = path.world_from_ego[:1].double().inverse()
    commanded = EgoPath(start @ path.world_from_ego.double(), path.dt)
    made = measured_path(model.generate(past, path).occupancy[0])
    assert made.headline
    assert follow(made.path, commanded).ade < 0.5


def test_a_clip_fits_a_few_kilobytes(clip: Occupancy) -> None:
    tokenizer = Tokenizer.from_pretrained("small")
    assert tokenizer.prior is not None
    stream = tokenizer.encode(clip, 22.5)
    assert len(stream.data) * 8 <= 22_500
    back = tokenizer.decode(stream.data)
    score = score_forecast(back, clip).pooled()
    assert score.group_iou() > 0.6
    assert score.miou() > 0.4
    assert torch.equal(tokenizer.decode(stream.data).labels, back.labels)
