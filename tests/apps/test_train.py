"""`worldloom train` on clips of a small analytic street: it writes weights that a world model takes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.occupancy.moving_world import CAR, driving_clip, straight_street
from worldloom.apps import train, train_baseline
from worldloom.apps.train import Preset, make_clips, run_folder, train_part
from worldloom.errors import InputError
from worldloom.geometry import EgoPath
from worldloom.geometry.io import save_occ3d_scene
from worldloom.occupancy.baselines import OccSora, OccWorld
from worldloom.occupancy.baselines.train_tokenizer import TokenizerTraining
from worldloom.occupancy.codec.prior import CodePriorConfig
from worldloom.occupancy.feature_net import FeatureNet, FeatureNetConfig
from worldloom.occupancy.static_tokenizer import StaticTokenizerConfig
from worldloom.occupancy.tokenizer import Tokenizer
from worldloom.occupancy.traffic import TrafficConfig
from worldloom.occupancy.training.train_features import FeatureTraining
from worldloom.occupancy.training.train_prior import PriorTraining
from worldloom.occupancy.training.train_static import StaticTraining
from worldloom.occupancy.training.train_traffic import TrafficTraining
from worldloom.occupancy.world_model import WorldModel
from worldloom.ops.training import Schedule
from worldloom.synth.dataset.clips import save_driving_clip

TINY = Preset(
    StaticTokenizerConfig((8, 8, 8, 8), decoder_blocks=1),
    StaticTraining(Schedule(2, warm_up=1, log_every=1, check_every=2), crops=1, columns=32),
    CodePriorConfig(width=8, layers=1),
    PriorTraining(Schedule(2, warm_up=1, log_every=1, check_every=2), crops=1, columns=32),
    TrafficConfig(width=64, blocks=1, max_users=4, map_width=16),
    TrafficTraining(Schedule(2, warm_up=1, log_every=1, check_every=2), batch=2),
    FeatureNetConfig(widths=(8, 8, 8), code_width=8, features=6),
    FeatureTraining(Schedule(2, warm_up=1, log_every=1, check_every=2), batch=2, columns=32),
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for town in range(2):
        (folder / f"town-{town}").mkdir()
        street = straight_street(16, users=((CAR, 12, 2, 6.0),))
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


def test_a_feature_net_describes_frames(clips: Path, tmp_path: Path) -> None:
    weights = train_part("feature-net", clips, tmp_path)
    card = (weights / "card.md").read_text()
    assert "worldloom train feature-net --data" in card
    assert " clips, sha256 " in card  # no logs of traffic, which it does not learn from
    assert "val_miou" in card
    net = FeatureNet.from_pretrained(tmp_path)
    assert net.mean.abs().sum() > 0  # of training truth, and with it the directions in which it varies
    features = net.features(straight_street(5))
    assert features.shape == (5, 6)
    assert features.var(0).sum() > 0


def test_recordings_are_learned_from_by_their_splits(tmp_path: Path) -> None:
    """An Occ3D folder without nuScenes' tables: no boxes, and what its publisher calls val is not learned from."""
    for number, split in enumerate(("train", "train", "val")):
        clip = straight_street(14, users=((CAR, 12, 2, 6.0),))
        save_occ3d_scene(tmp_path / "occ3d", f"scene-{number:04d}", clip, split=split)
    for part in ("tokenizer", "worldmodel", "feature-net"):
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["occsora", "occworld"])
def test_a_peer_is_trained_on_the_same_clips_and_forecasts(
    name: str, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = train_baseline.PEERS[name]
    schedule = Schedule(2, warm_up=1, check_every=2)
    frames = 8 if name == "occsora" else 2
    tokenizers = TokenizerTraining(schedule, frames=frames, columns=32, continuous=1)
    generators = replace(peer.generator_training, schedule=schedule)
    short = replace(peer, tokenizer_training=tokenizers, generator_training=generators)
    monkeypatch.setitem(train_baseline.PEERS, name, short)
    folder = train_baseline.train_peer(name, clips, tmp_path, steps=2)
    for card in folder.rglob("card.md"):
        assert f"worldloom train {name}" in card.read_text()
    street = straight_street(8)
    past, path = street[:5], EgoPath(street.world_from_ego[5:7], street.dt)
    if name == "occsora":
        future = OccSora.load(folder).forecast(past, path, num_steps=1, guidance=1.0)
    else:
        future = OccWorld.load(folder).forecast(past, path)
    assert future.labels.shape == (2, 200, 200, 16)
    with pytest.raises(InputError, match="at least 1 step, got 0"):
        train_baseline.train_peer(name, clips, tmp_path, steps=0)


def test_peers_learn_from_clips_of_towns_alone(clips: Path, tmp_path: Path) -> None:
    for number in range(2):
        save_occ3d_scene(tmp_path / "recorded", f"scene-{number:04d}", straight_street(14), split="train")
    with pytest.raises(InputError, match="got recordings"):
        train_baseline.train_peer("occsora", tmp_path / "recorded", tmp_path, clips)


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
        ({"part": "dreams"}, "expected tokenizer, prior, worldmodel, feature-net to train, got 'dreams'"),
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
