"""Losses in closed form, and a run that learns, stops, goes on, grows longer and starts from other weights."""

import json
import math
from dataclasses import replace

import pytest
import torch

from worldloom.apps.train_depth import PRESETS, train_panorama_depth
from worldloom.errors import InputError
from worldloom.ops.training import LOG
from worldloom.recon.panorama_depth import PanoramaDepth
from worldloom.recon.panorama_network import PLACES, PanoramaAnswer
from worldloom.recon.training.examples import Examples
from worldloom.recon.training.train_depth import depth_loss, multiscale_gradient
from worldloom.synth.panoramas.panorama_files import ENVELOPE, FLOOR, OBJECT, SKY

TRAINING = PRESETS["tiny"].training


def example(place="open"):
    part = torch.full((1, 16, 32), ENVELOPE, dtype=torch.uint8)
    part[:, :6], part[:, 10:], part[:, 12:, :8] = SKY, FLOOR, OBJECT
    log = torch.linspace(0, 2, 16)[None, :, None].expand(1, 16, 32).contiguous()
    return Examples(torch.rand(1, 3, 32, 64), log, part, torch.tensor([PLACES.index(place)]))


def perfect(examples):
    """An answer that is right and sure."""
    sky = (examples.part == SKY) & (examples.place != PLACES.index("indoors"))[:, None, None]
    place = torch.full((1, 3), -30.0)
    place[0, examples.place] = 30.0
    return PanoramaAnswer(
        examples.log_distance.clone(), 60.0 * (examples.part == FLOOR) - 30.0, 60.0 * sky - 30.0, place
    )


@pytest.mark.parametrize("place", PLACES)
def test_a_perfect_answer_costs_nothing(place):
    examples = example(place)
    loss, parts = depth_loss(perfect(examples), examples, TRAINING)
    assert float(loss) < 1e-6
    assert set(parts) == {"distance", "gradient", "floor", "sky", "place"}


def test_parts_weigh_as_they_should():
    examples = example()

    def cost(part, by=0.3):
        answer = perfect(examples)
        answer.log_distance[examples.part == part] += by
        area = torch.cos(math.pi * (0.5 - (torch.arange(16) + 0.5) / 16))[:, None] * (examples.part[0] == part)
        return depth_loss(answer, examples, replace(TRAINING, gradient=0.0))[1]["distance"] / max(float(area.sum()), 1)

    assert cost(OBJECT) / cost(ENVELOPE) == pytest.approx(TRAINING.object_weight, rel=1e-3)
    assert cost(FLOOR) / cost(ENVELOPE) == pytest.approx(TRAINING.floor_weight, rel=1e-3)
    assert cost(SKY) == 0


def test_too_far_costs_more_than_too_near_but_not_without_end():
    examples = example()

    def cost(by):
        answer = perfect(examples)
        answer.log_distance.add_(by)
        return depth_loss(answer, examples, TRAINING)[1]["distance"]

    assert cost(0.5) == pytest.approx(0.5 * 0.5 + 0.5 * (math.exp(0.5) - 1), rel=1e-4)
    assert cost(-0.5) == pytest.approx(0.5 * 0.5 + 0.5 * (1 - math.exp(-0.5)), rel=1e-4)
    assert cost(5.0) - cost(4.0) == pytest.approx(0.5, rel=1e-4)


def test_behind_a_window_is_far_and_no_sky():
    examples = example("indoors")
    answer = perfect(examples)
    answer.log_distance[examples.part == SKY] += 0.3
    assert depth_loss(answer, examples, TRAINING)[1]["distance"] > 0
    answer = perfect(examples)
    answer.sky[examples.part == SKY] = 30.0
    assert depth_loss(answer, examples, TRAINING)[1]["sky"] > 0.5


def test_gradients_ask_for_shape_not_scale():
    error, weight = torch.full((1, 16, 32), 0.7), torch.ones(1, 16, 32)
    assert float(multiscale_gradient(error, weight)) == pytest.approx(0, abs=1e-6)
    across = torch.zeros(1, 16, 32)
    across[..., 16:] = 1.0  # two steps around the panorama, one of them over the seam
    steps = sum(2 * gap / 32 for gap in (1, 2, 4, 8)) / 8
    assert float(multiscale_gradient(across, weight)) == pytest.approx(steps, rel=1e-5)
    down = torch.zeros(1, 16, 32)
    down[:, 8:] = 1.0  # no step from the bottom to the top
    steps = sum(gap / (16 - gap) for gap in (1, 2, 4, 8)) / 8
    assert float(multiscale_gradient(down, weight)) == pytest.approx(steps, rel=1e-5)
    weight[..., :17] = 0
    assert float(multiscale_gradient(across, weight)) == pytest.approx(0, abs=1e-6)


def test_a_run_learns_and_goes_on_and_its_weights_open(panorama_folder, tmp_path):
    out = tmp_path / "model"
    weights = train_panorama_depth(panorama_folder, out, panorama_folder, "tiny", steps=40)
    entries = [json.loads(line) for line in (out / "runs/depth" / LOG).read_text().splitlines()]
    assert entries[-1]["loss"] < 0.8 * entries[0]["loss"]
    assert {"val_absrel", "val_sky_iou", "val_object_recall"} <= set(entries[-1])
    assert "procedural worlds" in (weights / "card.md").read_text()
    depth = PanoramaDepth.from_pretrained(out)
    panorama = depth.predict(torch.rand(3, 64, 128), 1.6)
    assert bool(panorama.distance.isfinite().all())
    longer = train_panorama_depth(panorama_folder, tmp_path / "next", panorama_folder, "tiny", 10, 32, str(weights))
    assert PanoramaDepth.from_pretrained(longer).network.config.height == 32
    with pytest.raises(InputError, match=r"weights of .* expected those of"):
        train_panorama_depth(panorama_folder, tmp_path / "other", panorama_folder, "small", 10, 64, str(weights))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "huge"}, "expected a preset tiny, small, base, got 'huge'"),
        ({"steps": 0}, "at least 1 step"),
        ({"rows": 40}, "--rows: height must be a multiple of 32"),
        ({"start": "nowhere"}, "no weights called 'nowhere'"),
        ({"validation": "empty"}, "expected a folder of panoramas"),
        ({"validation": None}, "at least 2 worlds"),
    ],
)
def test_bad_arguments(panorama_folder, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    arguments = {"preset": "tiny", "validation": panorama_folder, **arguments}
    if arguments["validation"] == "empty":
        arguments["validation"] = tmp_path / "empty"
    with pytest.raises(InputError, match=message):
        train_panorama_depth(panorama_folder, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()
