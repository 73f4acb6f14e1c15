"""`worldloom train` on clips of a small analytic street: it writes weights that a world model takes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.occupancy.moving_world import CAR, straight_street
from worldloom.apps import train, train_baseline
from worldloom.apps.train import Preset, make_clips, run_folder, train_part
from worldloom.errors import InputError
from worldloom.geometry import EgoPath, Occupancy
from worldloom.geometry.io import save_occ3d_scene
from worldloom.occupancy.baselines.occsora import load_occsora_tokenizer
from worldloom.occupancy.baselines.train_tokenizer import TokenizerTraining
from worldloom.occupancy.codec.prior import CodePriorConfig
from worldloom.occupancy.static_tokenizer import StaticTokenizerConfig
from worldloom.occupancy.tokenizer import Tokenizer
from worldloom.occupancy.traffic import TrafficConfig
from worldloom.occupancy.training.train_prior import PriorTraining
from worldloom.occupancy.training.train_static import StaticTraining
from worldloom.occupancy.training.train_traffic import TrafficTraining
from worldloom.occupancy.world_model import WorldModel
from worldloom.ops.training import Schedule
from worldloom.synth.dataset.clips import DrivingClip, Tracks, save_driving_clip
from worldloom.synth.traffic.risk import Risk

TINY = Preset(
    StaticTokenizerConfig((8, 8, 8, 8), decoder_blocks=1),
    StaticTraining(Schedule(2, warm_up=1, log_every=1, check_every=2), crops=1, columns=32),
    CodePriorConfig(width=8, layers=1),
    PriorTraining(Schedule(2, warm_up=1, log_every=1, check_every=2), crops=1, columns=32),
    TrafficConfig(width=64, blocks=1, max_users=4, map_width=16),
    TrafficTraining(Schedule(2, warm_up=1, log_every=1, check_every=2), batch=2),
)


def driving_clip(clip: Occupancy, speed: float) -> DrivingClip:
    """A street of `straight_street` with one car at (12, 2) and its box."""
    t = len(clip)
    centres = torch.zeros(1, t, 3)
    centres[0, :, 0], centres[0, :, 1] = 12 + 0.5 * speed * torch.arange(t), 2.0
    tracks = Tracks(
        ("car",),
        torch.tensor([CAR], dtype=torch.uint8),
        torch.tensor([False]),
        torch.tensor([[4.0, 1.6, 1.6]]),
        torch.ones(1, t, dtype=torch.bool),
        centres,
        torch.zeros(1, t),
        torch.tensor([speed, 0, 0]).expand(1, t, 3).clone(),
    )
    never = torch.zeros(t, dtype=torch.bool)
    risk = Risk(torch.full((t,), 10.0), torch.full((t,), torch.inf), never, never)
    ego = EgoPath(clip.world_from_ego.float(), 0.5)
    return DrivingClip(clip, clip.observed, ego, torch.full((t,), 8.0), tracks, risk)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for town in range(2):
        (folder / f"town-{town}").mkdir()
        street = straight_street(14, users=((CAR, 12, 2, 6.0),))
        save_driving_clip(folder / f"town-{town}" / "scene-00.npz", driving_clip(street, 6.0))
    return folder


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(train.PRESETS, "small", TINY)


def test_all_parts_become_a_model(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"static/model\.safetensors"):
        train_part("prior", clips, tmp_path)
    static = train_part("tokenizer", clips, tmp_path)
    card = (static / "card.md").read_text()
    assert "worldloom train tokenizer --data" in card
    assert "complete_miou" in card
    train_part("worldmodel", clips, tmp_path)
    street = straight_street(5)
    future = WorldModel.from_pretrained(tmp_path).generate(street[:3], EgoPath(street.world_from_ego[3:], 0.5))
    assert len(future.occupancy[0]) == 2
    assert Tokenizer.from_pretrained(tmp_path).prior is None
    train_part("prior", clips, tmp_path)
    assert Tokenizer.from_pretrained(tmp_path).prior is not None


def test_recordings_are_learned_from_by_their_splits(tmp_path: Path) -> None:
    """An Occ3D folder without nuScenes' tables: no boxes, and what its publisher calls val is not learned from."""
    for number, split in enumerate(("train", "train", "val")):
        clip = straight_street(14, users=((CAR, 12, 2, 6.0),))
        save_occ3d_scene(tmp_path / "occ3d", f"scene-{number:04d}", clip, split=split)
    for part in ("tokenizer", "worldmodel"):
        weights = train_part(part, tmp_path / "occ3d", tmp_path / "model")
        assert "recordings" in (weights / "card.md").read_text()
    prepared = {
        p.relative_to(tmp_path / "model/examples") for p in (tmp_path / "model/examples").rglob("*.traffic.npz")
    }
    assert prepared == {
        Path("train/scene-0000.traffic.npz"),
        Path("train/scene-0001.traffic.npz"),
        Path("check/scene-0002.traffic.npz"),
    }


def test_the_baseline_is_trained_on_the_same_clips(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = TokenizerTraining(Schedule(2, warm_up=1, check_every=2), frames=8, columns=32, continuous=1)
    monkeypatch.setattr(train_baseline, "TokenizerTraining", lambda schedule: replace(small, schedule=schedule))
    folder = train_baseline.train_occsora(clips, tmp_path, steps=2)
    assert "--steps 2" in (folder / "card.md").read_text()
    tokenizer = load_occsora_tokenizer(folder)
    code = tokenizer.encode(straight_street(8))
    assert tokenizer.decode(code).shape == (8, 200, 200, 16)
    with pytest.raises(InputError, match="at least 1 step, got 0"):
        train_baseline.train_occsora(clips, tmp_path, steps=0)
    for number in range(2):
        save_occ3d_scene(tmp_path / "recorded", f"scene-{number:04d}", straight_street(14), split="train")
    with pytest.raises(InputError, match="got recordings"):
        train_baseline.train_occsora(tmp_path / "recorded", tmp_path, clips)


def test_a_finished_run_is_taken_as_it_is(clips: Path, tmp_path: Path) -> None:
    log = run_folder(tmp_path, "tokenizer") / "log.jsonl"
    train_part("tokenizer", clips, tmp_path)
    before = log.read_text()
    train_part("tokenizer", clips, tmp_path)
    assert log.read_text() == before
    assert json.loads(before.splitlines()[-1])["step"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "huge"}, "expected a preset small, base, got 'huge'"),
        ({"steps": 0}, "expected at least 1 step, got 0"),
        ({"part": "dreams"}, "expected tokenizer, prior, worldmodel to train, got 'dreams'"),
        ({"data": Path("nowhere")}, "nowhere: expected town-.* a folder with gts/"),
    ],
)
def test_bad_requests_are_named(clips: Path, tmp_path: Path, arguments: dict, message: str) -> None:
    wanted = {"part": "tokenizer", "data": clips, "out": tmp_path / "run"} | arguments
    with pytest.raises(InputError, match=message):
        train_part(**wanted)


@pytest.mark.parametrize("seeds", ["a", "5:", "7:7", "9:3", "-1:4"])
def test_bad_seeds_are_named(tmp_path: Path, seeds: str) -> None:
    with pytest.raises(InputError, match="expected --seeds"):
        make_clips(tmp_path, seeds=seeds, scenes=1, alternatives=0, log_seconds=0, num_workers=1)
