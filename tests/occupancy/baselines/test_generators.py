"""The generators of the baselines: who sees what, what each switch changes, and that they learn."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from worldloom.errors import InputError
from worldloom.geometry import FREE, OCC3D_CLASSES, EgoPath, Occupancy, VoxelGrid, path_from_steps
from worldloom.geometry.io.clip import save_clip
from worldloom.occupancy.baselines import (
    OccSora,
    OccSoraDiT,
    OccSoraDiTConfig,
    OccSoraTokenizer,
    OccSoraTokenizerConfig,
    OccWorld,
    OccWorldAR,
    OccWorldARConfig,
    OccWorldTokenizer,
    OccWorldTokenizerConfig,
    as_released,
)
from worldloom.occupancy.baselines.clip_windows import MOTION_UNITS, commands, mirrored, motions
from worldloom.occupancy.baselines.codes import (
    SoraWindows,
    load_occsora_codes,
    load_occworld_codes,
    write_occsora_codes,
    write_occworld_codes,
)
from worldloom.occupancy.baselines.occsora import add_noise, draw_latents
from worldloom.occupancy.baselines.occworld import occworld_loss
from worldloom.occupancy.baselines.train_generators import (
    OccSoraTraining,
    OccWorldTraining,
    forecast_scores,
    occsora_loss,
    train_occsora,
    train_occworld,
)
from worldloom.ops.training import Schedule

GRID = VoxelGrid((-3.2, -3.2, -1.0), 0.4, (16, 16, 2))
SORA = OccSoraTokenizerConfig(2, 4, (8, 8, 16), 8, 1, 2, 16, 8)
WORLD = OccWorldTokenizerConfig(2, 4, (8, 8, 16), 1, 16, 8)
DIT = OccSoraDiTConfig(32, 2, 16, 8, slots=2, plane=(2, 2))
AR = OccWorldARConfig(32, 1, 16, 8, 16, (4, 4), frames=6)


def clip(frames: int = 16, seed: int = 0) -> Occupancy:
    dice = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 18, (frames, *GRID.shape), generator=dice).to(torch.uint8)
    labels[:, :, :, 1] = FREE
    steps = torch.tensor([2.0, 0.0, 0.1]).expand(frames - 1, -1)
    poses = path_from_steps(torch.eye(4, dtype=torch.float64), steps.double(), 0.5).world_from_ego
    return Occupancy(labels, torch.ones_like(labels, dtype=torch.bool), poses, GRID, OCC3D_CLASSES, 0.5)


def sora_tokenizer() -> OccSoraTokenizer:
    torch.manual_seed(0)
    model, dice = OccSoraTokenizer(SORA), torch.Generator().manual_seed(0)
    model.quantizer.initialise(torch.randn(64, 8, generator=dice), dice)
    return model.eval()


def world_tokenizer() -> OccWorldTokenizer:
    torch.manual_seed(0)
    model, dice = OccWorldTokenizer(WORLD), torch.Generator().manual_seed(0)
    model.quantizer.initialise(torch.randn(64, 8, generator=dice), dice)
    return model.eval()


def lively_dit(config: OccSoraDiTConfig = DIT) -> OccSoraDiT:
    """With weights everywhere: an untrained one answers zero."""
    torch.manual_seed(1)
    model = OccSoraDiT(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape))
    return model.eval()


def lively_ar(config: OccWorldARConfig = AR) -> OccWorldAR:
    torch.manual_seed(1)
    return OccWorldAR(config).eval()


def answer(model: OccSoraDiT, steps: torch.Tensor, dropped: bool = False, given: bool = True) -> torch.Tensor:
    noisy = torch.randn(1, 2, 2, 2, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return model(noisy, torch.tensor([0.5]), steps, torch.tensor([given]), torch.tensor([dropped]))


def some_steps(seed: int = 3) -> torch.Tensor:
    return torch.randn(1, 16, 3, generator=torch.Generator().manual_seed(seed))


# --- motions ---


def test_motions_lead_to_each_frame_in_the_frame_before() -> None:
    moved = motions(clip().world_from_ego, 0.5) * torch.tensor(MOTION_UNITS)
    assert not moved[0].any()
    assert torch.allclose(moved[1:], torch.tensor([2.0, 0.0, 0.1]).expand(15, -1), atol=1e-5)


def test_a_mirrored_clip_turns_to_the_other_side() -> None:
    one, other = clip(), mirrored(clip())
    sign = torch.tensor([1.0, -1.0, -1.0])
    assert torch.allclose(motions(other.world_from_ego, 0.5), sign * motions(one.world_from_ego, 0.5), atol=1e-6)
    assert torch.equal(other.labels, one.labels.flip(2))
    assert torch.equal(mirrored(other).world_from_ego, one.world_from_ego)


def test_commands_tell_left_from_right() -> None:
    unit = torch.tensor(MOTION_UNITS)
    left = torch.tensor([2.0, 0.0, 0.15]).expand(8, -1) / unit
    straight = torch.tensor([2.0, 0.0, 0.0]).expand(8, -1) / unit
    assert commands(left)[0].tolist() == [0, 1]
    assert commands(left * torch.tensor([1.0, -1.0, -1.0]))[0].tolist() == [1, 0]
    assert commands(straight)[0].tolist() == [0, 0]


# --- OccSora ---


def test_one_vector_or_one_for_each_slot() -> None:
    """The path's last frame reaches the first slot's modulation only through the one vector of all."""
    changed = some_steps()
    changed[:, 12:] += 1
    for conditioning, shared in (("global", True), ("frame", False)):
        model = lively_dit(replace(DIT, conditioning=conditioning, blocks=0))  # without attention between slots
        difference = (answer(model, some_steps()) - answer(model, changed)).abs().amax((0, 2, 3, 4))
        assert bool(difference[0] > 0) == shared
        assert difference[1] > 0


def test_each_switch_of_the_path_hides_what_it_says() -> None:
    turned = some_steps() + torch.tensor([0.0, 0.0, 0.5])
    assert not torch.equal(answer(lively_dit(), some_steps()), answer(lively_dit(), turned))
    no_yaw = lively_dit(replace(DIT, yaw=False))
    assert torch.equal(answer(no_yaw, some_steps()), answer(no_yaw, turned))
    flags = lively_dit(replace(DIT, path_values="command"))
    slow, fast = (torch.tensor([v, 0.0, 0.0]).expand(1, 16, 3) for v in (0.2, 2.0))
    assert torch.equal(answer(flags, slow), answer(flags, fast))
    assert torch.equal(answer(lively_dit(), slow, dropped=True), answer(lively_dit(), fast, dropped=True))


@pytest.mark.parametrize("diffusion", ["ddpm", "flow"])
def test_each_switch_of_guidance_does_what_it_says(diffusion: str) -> None:
    def drawn(guidance: float, **switches: bool) -> torch.Tensor:
        model = lively_dit(replace(DIT, diffusion=diffusion, **switches))
        return draw_latents(model, some_steps(), None, torch.Generator().manual_seed(0), 1, guidance)

    plain, guided = drawn(1.0), drawn(3.0)
    assert bool((plain != guided).flatten(0, 3).any(0).all())
    assert torch.equal(drawn(1.0, null_half=False), drawn(3.0, null_half=False))  # inert, as released
    few = drawn(3.0, guide_all=False)
    assert torch.equal(few[..., 3:], plain[..., 3:])
    assert torch.equal(few[..., :3], guided[..., :3])


def test_as_released_turns_every_repair_back() -> None:
    released = as_released(DIT)
    assert released == OccSoraDiTConfig(
        32, 2, 16, 8, 2, (2, 2), "ddpm", "command", False, 0.0, False, False, False, False, "global"
    )  # fmt: skip


def test_a_given_past_is_kept_and_heard() -> None:
    past = torch.randn(1, 2, 2, 8, generator=torch.Generator().manual_seed(5))
    drawn = draw_latents(lively_dit(), some_steps(), past, torch.Generator().manual_seed(0), 2, 1.0)
    other = draw_latents(lively_dit(), some_steps(), past + 1, torch.Generator().manual_seed(0), 2, 1.0)
    assert torch.equal(drawn[:, 0], past)
    assert not torch.equal(drawn[:, 1], other[:, 1])


@pytest.mark.parametrize("diffusion", ["ddpm", "flow"])
def test_the_sampler_finds_data_with_the_true_answer(diffusion: str) -> None:
    """For a single data point the right answer is known; every sample must end there."""
    config = replace(DIT, diffusion=diffusion)
    data = torch.randn(1, 2, 2, 2, 8, generator=torch.Generator().manual_seed(6))

    class Knowing(OccSoraDiT):
        def forward(self, noisy, level, steps, given, dropped):
            at_data, _ = add_noise(config, data, torch.zeros_like(data), level)
            with_noise, _ = add_noise(config, torch.zeros_like(data), torch.ones_like(data), level)
            noise = (noisy - at_data) / with_noise
            return add_noise(config, data, noise, level)[1]

    drawn = draw_latents(Knowing(config), some_steps(), None, torch.Generator().manual_seed(0), 10, 1.0)
    assert torch.allclose(drawn, data, atol=2e-2)


def test_the_loss_asks_only_for_slots_that_are_true_and_not_given() -> None:
    model, dice = lively_dit(), torch.Generator().manual_seed(0)
    codebook = torch.randn(16, 8, generator=dice)
    windows = SoraWindows(
        torch.randint(16, (1, 2, 2, 2), generator=dice), torch.zeros(1, 2, 2, dtype=torch.int64), some_steps(),
        torch.tensor([1]), torch.tensor([True]),
    )  # fmt: skip

    def loss(windows: SoraWindows, given: bool) -> float:
        asked = torch.tensor([given]), torch.tensor([False]), torch.Generator().manual_seed(1)
        return occsora_loss(model, windows, codebook, *asked).item()

    untrue = windows._replace(indices=torch.cat([windows.indices[:, :1], 15 - windows.indices[:, 1:]], 1))
    assert loss(windows, False) == loss(untrue, False) > 0
    assert loss(windows, True) == 0
    full = windows._replace(slots=torch.tensor([2]))
    hidden = full._replace(indices=torch.cat([15 - full.indices[:, :1], full.indices[:, 1:]], 1))
    assert loss(full, True) == loss(hidden, True) > 0  # the true first slot does not leak past the given one


def test_occsora_forecasts_any_length_and_is_saved(tmp_path: Path) -> None:
    model = OccSora(sora_tokenizer(), lively_dit())
    world = clip(24)
    path = EgoPath(world.world_from_ego[5:], 0.5)
    future = model.forecast(world[:5], path, seed=1, num_steps=2)
    assert future.labels.shape == (19, *GRID.shape)  # three windows of eight new frames
    assert torch.equal(future.world_from_ego, path.world_from_ego)
    assert future.observed.all()
    model.save(tmp_path / "occsora")
    again = OccSora.load(tmp_path / "occsora").forecast(world[:5], path, seed=1, num_steps=2)
    assert torch.equal(again.labels, future.labels)
    assert model.imagine(some_steps()[0], num_steps=1).shape == (16, *GRID.shape)
    with pytest.raises(InputError, match="one frame or more"):
        model.forecast(world[:5], path[:0])


def test_occsora_learns_one_window(tmp_path: Path) -> None:
    (tmp_path / "town").mkdir()
    save_clip(tmp_path / "town" / "scene-00.npz", clip(24))
    tokenizer, files = sora_tokenizer(), [tmp_path / "town" / "scene-00.npz"]
    codes = write_occsora_codes(tokenizer, files, tmp_path, tmp_path / "codes", slots=2, stride=8)
    windows = load_occsora_codes(codes)
    assert windows.indices.shape == (4, 2, 2, 2)  # two starts, two sides
    assert windows.first.tolist() == [True, False, True, False]
    assert torch.equal(windows.past[0], tokenizer.encode(clip(24)[:8]).indices[0])
    schedule = Schedule(steps=80, learning_rate=5e-3, warm_up=10, ema=0.9, check_every=1000)
    training = OccSoraTraining(schedule, batch=4)
    model = train_occsora(codes, codes, tokenizer.quantizer.codebook, tmp_path / "run", DIT, training)
    arguments = torch.ones(4).bool(), torch.zeros(4).bool(), torch.Generator().manual_seed(0)
    loss = occsora_loss(model, windows, tokenizer.quantizer.codebook, *arguments, torch.full((4,), 0.4))
    assert loss < 0.5  # zero, the untrained answer, has 1


# --- OccWorld ---


def test_a_later_frame_leaves_earlier_answers() -> None:
    model = lively_ar()
    indices = torch.randint(0, 16, (1, 6, 4, 4), generator=torch.Generator().manual_seed(0))
    steps = some_steps()[:, :6]
    other, moved = indices.clone(), steps.clone()
    other[:, 4] = 15 - other[:, 4]
    moved[:, 4] += 1
    with torch.no_grad():
        logits, plan = model(indices, steps)
        for changed, plan_changed in (model(other, steps), model(indices, moved)):
            assert torch.equal(logits[:, :4], changed[:, :4])
            assert torch.equal(plan[:, :4], plan_changed[:, :4])
            assert bool((logits[:, 4:] != changed[:, 4:]).any())


def test_the_ego_is_given_or_predicted() -> None:
    world = clip()
    straight = EgoPath(world.world_from_ego[5:8], 0.5)
    turned = EgoPath(torch.linalg.inv(world.world_from_ego[5:8]), 0.5)
    given = OccWorld(world_tokenizer(), lively_ar())
    assert torch.equal(given.forecast(world[:5], turned).world_from_ego, turned.world_from_ego)
    predicted = OccWorld(world_tokenizer(), lively_ar(replace(AR, ego="predicted")))
    one, other = (predicted.forecast(world[:5], path) for path in (straight, turned))
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.world_from_ego, other.world_from_ego)
    indices = torch.zeros(1, 4, 4, 4, dtype=torch.int64)
    steps = some_steps()[:, :4]
    moved = torch.cat([steps[:, :3], steps[:, 3:] + 1], 1)  # the last motion: known beforehand only where it is given
    assert occworld_loss(given.transformer, indices, steps)[0] != occworld_loss(given.transformer, indices, moved)[0]
    losses = [occworld_loss(predicted.transformer, indices, s)[1] for s in (steps, moved)]
    assert losses[0]["cross"] == losses[1]["cross"]
    assert losses[0]["plan"] != losses[1]["plan"]


def test_occworld_forecasts_any_length_and_is_saved(tmp_path: Path) -> None:
    model = OccWorld(world_tokenizer(), lively_ar())
    world = clip(20)
    path = EgoPath(world.world_from_ego[5:], 0.5)
    future = model.forecast(world[:5], path)
    assert future.labels.shape == (15, *GRID.shape)
    assert torch.equal(future[:6].labels, model.forecast(world[:5], path[:6]).labels)
    assert not torch.equal(future.labels, model.forecast(world[:5], path, temperature=5.0).labels)
    model.save(tmp_path / "occworld")
    assert torch.equal(OccWorld.load(tmp_path / "occworld").forecast(world[:5], path).labels, future.labels)


def test_occworld_learns_one_clip(tmp_path: Path) -> None:
    (tmp_path / "town").mkdir()
    save_clip(tmp_path / "town" / "scene-00.npz", clip(8))
    tokenizer, files = world_tokenizer(), [tmp_path / "town" / "scene-00.npz"]
    codes = write_occworld_codes(tokenizer, files, tmp_path, tmp_path / "codes")
    windows = load_occworld_codes(codes)[0]
    assert windows.indices.shape == (2, 8, 4, 4)
    assert torch.equal(windows.indices[0], tokenizer.encode(clip(8)).indices)
    schedule = Schedule(steps=80, learning_rate=5e-3, warm_up=10, ema=0.9, check_every=1000)
    model = train_occworld(codes, codes, tmp_path / "run", AR, OccWorldTraining(schedule, batch=2, frames=7))
    right = occworld_loss(model, windows.indices[:1, :7], F.pad(windows.steps[:1, 1:7], (0, 0, 1, 0)))[1]["right"]
    assert right > 0.9
    scores = forecast_scores(OccWorld(tokenizer, model).forecast, [clip(12)])
    assert set(scores) == {f"{kind}_{s}s" for kind in ("miou", "iou", "movers") for s in (1, 2, 3)}
