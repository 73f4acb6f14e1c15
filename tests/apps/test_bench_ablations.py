"""Ablations: every part is left out once, under one schedule, and what is left out is missed."""

from pathlib import Path

import pytest

from tests.apps.test_train import TINY
from tests.occupancy.moving_world import CAR, driving_clip, straight_street
from worldloom.apps import train
from worldloom.apps.bench import ablations
from worldloom.errors import InputError
from worldloom.synth.dataset.clips import save_driving_clip


@pytest.fixture
def towns(tmp_path: Path) -> Path:
    for number, split in enumerate(("train", "val")):
        folder = tmp_path / split / f"town-{number}"
        folder.mkdir(parents=True)
        street = straight_street(16, users=((CAR, 12, 2, 6.0),))
        save_driving_clip(folder / "scene-00.npz", driving_clip(street, 6.0))
    return tmp_path


@pytest.mark.slow
def test_all_parts_are_left_out_once(towns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(train.PRESETS, "small", TINY)
    rows = {row.metric: row for row in ablations.run(True, towns)}
    trained = {"path as one vector", "no context noise", "no counterfactual drives"}
    assert set(rows["ablation_error_3s"].baseline) == trained
    assert "1 seeds of 2 steps each on 1 towns" in rows["ablation_error_3s"].note
    assert set(rows["ablation_static_fine_miou"].baseline) == {"no class weights"}
    assert set(rows["ablation_frame_miou"].baseline) == {"Haar wavelets outermost"}
    moves = rows["ablation_dynamic_iou_3s"]
    assert moves.baseline["no dynamic stream"] == 0 < moves.value
    whole = rows["ablation_forecast_miou_3s"]
    assert whole.baseline["no anchoring in the world"] < whole.value - 1
    assert whole.baseline["no memory"] <= whole.value + 1
    log = (towns / "ablations" / "quick" / "traffic-all-of-it-0" / "log.jsonl").read_text()
    again = {row.metric: row for row in ablations.run(True, towns)}
    assert again["ablation_error_3s"].value == rows["ablation_error_3s"].value
    assert (towns / "ablations" / "quick" / "traffic-all-of-it-0" / "log.jsonl").read_text() == log


def test_towns_are_asked_for() -> None:
    with pytest.raises(InputError, match="--data TOWNS"):
        ablations.run(True)
