"""Ablations: every part is left out once, under one schedule, and what is left out is missed."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.apps.test_train import TINY
from tests.occupancy.moving_world import CAR, driving_clip, straight_street
from worldloom.apps import train
from worldloom.apps.bench import ablations
from worldloom.errors import InputError
from worldloom.occupancy.training.train_traffic import train_traffic
from worldloom.synth.dataset.clips import save_driving_clip


@pytest.fixture
def towns(tmp_path: Path) -> Path:
    for number, split in enumerate(("train", "val")):
        folder = tmp_path / split / f"town-{number}"
        folder.mkdir(parents=True)
        street = straight_street(16, users=((CAR, 12, 2, 6.0),))
        drive = driving_clip(street, 6.0)
        save_driving_clip(folder / "scene-00.npz", drive)
        save_driving_clip(folder / "scene-00-left.npz", replace(drive, manoeuvre="left", branch_frame=4))
    return tmp_path


@pytest.mark.slow
def test_all_parts_are_left_out_once(towns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(train.PRESETS, "small", TINY)
    learned: list[tuple[bool, bool, bool, int]] = []

    def trains(files, tests, run, config, training, tell, logs):
        noisy = training.context_noise > 0
        learned.append((config.path_by_frame, noisy, training.counterfactual, len(files)))
        return train_traffic(files, tests, run, config, training, tell, logs)

    monkeypatch.setattr(ablations, "train_traffic", trains)
    rows = {row.metric: row for row in ablations.run(True, towns)}
    whole_one, *others = learned
    assert whole_one == (True, True, True, 2)
    assert others == [(False, True, True, 2), (True, False, True, 2), (True, True, False, 1)]  # one part less each
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
