"""The tokenizers of the baselines: shapes, bits, what they can learn, and what they must not see."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from worldloom.errors import InputError
from worldloom.geometry import FREE, OCC3D_CLASSES, Occupancy, VoxelGrid
from worldloom.geometry.io.clip import save_clip
from worldloom.occupancy.baselines import (
    OccSoraTokenizer,
    OccSoraTokenizerConfig,
    OccWorldTokenizer,
    OccWorldTokenizerConfig,
)
from worldloom.occupancy.baselines.train_tokenizer import (
    TokenizerTraining,
    train_occsora_tokenizer,
    train_occworld_tokenizer,
    validate_tokenizer,
)
from worldloom.occupancy.class_planes import ClassPlanes, asked_voxels, reconstruction_loss, shown_labels
from worldloom.ops.training import Schedule

CAR, ROAD, WALL = 4, 11, 15
GRID = VoxelGrid((-6.4, -6.4, -1.0), 0.4, (32, 32, 4))
SORA = OccSoraTokenizerConfig(4, 4, (16, 24, 32), 16, 1, 2, 16, 8)
WORLD = OccWorldTokenizerConfig(4, 4, (16, 24, 32), 1, 16, 8)


def street(frames: int = 16) -> Occupancy:
    """A road with a wall on the left and a car that drives ahead; behind the wall nobody looks."""
    labels = torch.full((frames, *GRID.shape), FREE, dtype=torch.uint8)
    labels[:, :, 8:24, 0] = ROAD
    labels[:, :, 24:28, :3] = WALL
    for t in range(frames):
        labels[t, 4 + t : 12 + t, 12:18, 1:3] = CAR
    observed = torch.ones_like(labels, dtype=torch.bool)
    observed[:, :, 28:] = False
    labels[:, :, 28:] = CAR  # what nobody saw
    return Occupancy(labels, observed, torch.eye(4).expand(frames, 4, 4), GRID, OCC3D_CLASSES, 0.5)


def filled(model: nn.Module) -> nn.Module:
    assert isinstance(model, (OccSoraTokenizer, OccWorldTokenizer))
    dice = torch.Generator().manual_seed(0)
    model.quantizer.initialise(torch.randn(64, model.config.code_width, generator=dice), dice)
    return model.eval()


@pytest.mark.parametrize(
    ("model", "shape"), [(OccSoraTokenizer(SORA), (2, 4, 4)), (OccWorldTokenizer(WORLD), (16, 8, 8))]
)
def test_a_clip_becomes_codes_of_known_bits_and_labels_again(model: nn.Module, shape: tuple[int, ...]) -> None:
    tokenizer = filled(model)
    assert isinstance(tokenizer, (OccSoraTokenizer, OccWorldTokenizer))
    code = tokenizer.encode(street())
    assert tuple(code.indices.shape) == shape
    assert code.bits == 4 * code.indices.numel()  # 16 codes
    labels = tokenizer.decode(code)
    assert labels.shape == street().labels.shape
    assert labels.dtype == torch.uint8


def test_published_sizes_in_bits() -> None:
    """32 frames of OccSora and one of OccWorld are 2,500 indices of 9 bits."""
    assert OccSoraTokenizerConfig().num_codes == OccWorldTokenizerConfig().num_codes == 512
    with torch.device("meta"):
        sora, world = OccSoraTokenizer(OccSoraTokenizerConfig()), OccWorldTokenizer(OccWorldTokenizerConfig())
        assert sora.encoder(torch.zeros(1, 128, 32, 200, 200)).shape[2:] == (4, 25, 25)
        assert world.encoder(torch.zeros(1, 128, 200, 200)).shape[2:] == (50, 50)


def test_what_nobody_saw_is_not_shown() -> None:
    clip = street()
    other = replace(clip, labels=torch.where(clip.observed, clip.labels, WALL))
    assert torch.equal(shown_labels(clip), shown_labels(other))
    for model in (filled(OccSoraTokenizer(SORA)), filled(OccWorldTokenizer(WORLD))):
        assert isinstance(model, (OccSoraTokenizer, OccWorldTokenizer))
        assert torch.equal(model.encode(clip).indices, model.encode(other).indices)


def test_a_frame_of_occworld_is_coded_by_itself() -> None:
    model = filled(OccWorldTokenizer(WORLD))
    assert isinstance(model, OccWorldTokenizer)
    clip = street()
    assert torch.equal(model.encode(clip).indices[3:4], model.encode(clip[3:4]).indices)


def test_planes_are_scored_by_the_table_that_folds_them() -> None:
    planes = ClassPlanes(18, 4)
    with torch.no_grad():
        planes.table.copy_(torch.eye(18))
    labels = torch.randint(0, 18, (2, 3, 5, 4), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    assert torch.equal(planes.unfold(planes.fold(labels)), labels)
    voxels = torch.tensor([0, 7, 119])
    assert torch.equal(planes.scores(planes.fold(labels), voxels).argmax(1), labels.flatten()[voxels].long())


def test_the_loss_is_weighted_as_published_and_asks_where_it_should() -> None:
    logits, labels = torch.zeros(4, 18), torch.tensor([0, 0, 0, 0], dtype=torch.uint8)
    loss, parts = reconstruction_loss(logits, labels, torch.tensor(0.5))
    assert loss.item() == pytest.approx(10 * parts["cross"] + parts["lovasz"] + 0.5)
    observed = torch.tensor([False, True, False, True])
    dice = torch.Generator().manual_seed(0)
    assert asked_voxels(observed, True, 10, dice).tolist() == [1, 3]
    assert len(asked_voxels(observed, True, 1, dice)) == 1
    everywhere = asked_voxels(torch.zeros(1000, dtype=torch.bool), False, 500, dice)
    assert len(everywhere) == 500
    assert everywhere.max() > 900


@pytest.mark.parametrize("kind", ["occsora", "occworld"])
def test_learns_one_clip(kind: str, tmp_path: Path) -> None:
    save_clip(tmp_path / "scene-00.npz", street())
    files = [tmp_path / "scene-00.npz"]
    schedule = Schedule(steps=120, learning_rate=6e-3, warm_up=10, ema=0.9, check_every=1000)
    training = TokenizerTraining(schedule, frames=8, columns=32, continuous=40)
    if kind == "occsora":
        model = train_occsora_tokenizer(files, files, tmp_path / "run", SORA, training)
    else:
        training = replace(training, frames=1, crops=2)
        model = train_occworld_tokenizer(files, files, tmp_path / "run", WORLD, training)
    figures = validate_tokenizer(model, [street()[:8]])
    assert figures["iou"] > 85
    assert figures["miou"] > 70
    assert figures["perplexity"] > 2


def test_clips_that_are_too_short_are_refused(tmp_path: Path) -> None:
    save_clip(tmp_path / "scene-00.npz", street(4))
    files = [tmp_path / "scene-00.npz"]
    training = TokenizerTraining(Schedule(steps=1), frames=8, columns=32)
    with pytest.raises(InputError, match="at least 8 frames"):
        train_occsora_tokenizer(files, files, tmp_path / "run", SORA, training)
    with pytest.raises(ValueError, match="multiples of 8"):
        OccSoraTokenizer(SORA).latents(street(4).labels[None])
