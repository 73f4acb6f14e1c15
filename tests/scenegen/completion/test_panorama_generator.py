"""What is known stays, what is not is made, joined without a step; networks turn with the panorama."""

import pytest
import torch

from worldloom.errors import InputError
from worldloom.ops import save_weights
from worldloom.scenegen.completion.detail_network import FACTOR, DetailConfig, DetailNetwork, enlarged
from worldloom.scenegen.completion.network import (
    ROWS,
    CompletionConfig,
    CompletionNetwork,
    Known,
    from_signal,
    to_signal,
    word_numbers,
)
from worldloom.scenegen.completion.panorama_generator import MADE_ROWS, PanoramaGenerator, joined, known_small
from worldloom.scenegen.words import MAX_THINGS, THINGS, Words

TINY, TINY_DETAIL = CompletionConfig(16, 1, 64, 16, 1), DetailConfig(16, 1, 8, 1)


def random_weights(network, seed=0):
    """With no weight at its quiet start: zeros would hide every fault."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator) / max(1, weight[0].numel()) ** 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def generator():
    return PanoramaGenerator(random_weights(CompletionNetwork(TINY)), random_weights(DetailNetwork(TINY_DETAIL)))


def half_known():
    rgb = torch.rand(3, MADE_ROWS, 2 * MADE_ROWS, generator=torch.Generator().manual_seed(1))
    known = torch.zeros(MADE_ROWS, 2 * MADE_ROWS, dtype=torch.bool)
    known[:, 100:300] = True
    return rgb, known


def test_what_is_known_stays_to_the_bit_and_the_rest_does_not_matter(generator):
    rgb, known = half_known()
    made = generator.complete(rgb, known, steps=2)
    assert torch.equal(made[:, known], rgb[:, known])
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    other = torch.where(known, rgb, 0.3)
    assert torch.equal(generator.complete(other, known, steps=2), made)


def test_seeds_and_words_decide(generator):
    rgb, known = half_known()
    one = generator.complete(rgb, known, seed=1, steps=2)
    assert torch.equal(generator.complete(rgb, known, seed=1, steps=2), one)
    assert not torch.equal(generator.complete(rgb, known, seed=2, steps=2), one)
    assert not torch.equal(generator.complete(rgb, known, Words("street"), seed=1, steps=2), one)


def test_progress_rises(generator):
    told = []
    generator.complete(*half_known(), steps=3, progress=told.append)
    assert told == sorted(told)
    assert told[0] == 0


@pytest.mark.parametrize("kind", ["completion", "detail"])
def test_turning_the_panorama_turns_the_answer(kind):
    dice = torch.Generator().manual_seed(2)
    rgb = torch.rand(1, 3, ROWS, 2 * ROWS, generator=dice)
    if kind == "detail":
        network = random_weights(DetailNetwork(TINY_DETAIL))
        turned = network(rgb.roll(8, -1)), network(rgb).roll(8 * FACTOR, -1)
    else:
        network = random_weights(CompletionNetwork(TINY))
        share = (torch.rand(1, 1, ROWS, 2 * ROWS, generator=dice) > 0.5).float()
        t, words = torch.tensor([0.6]), word_numbers([Words("room")])
        noisy = torch.randn(1, 3, ROWS, 2 * ROWS, generator=dice)
        turned = (
            network(noisy.roll(8, -1), t, Known(rgb.roll(8, -1), share.roll(8, -1)), words),
            network(noisy, t, Known(rgb, share), words).roll(8, -1),
        )
    torch.testing.assert_close(*turned, atol=2e-4, rtol=0)


def test_before_training_the_answer_is_what_is_filled_in():
    rgb, known = half_known()
    given = known_small(rgb[None], known[None])
    fresh = PanoramaGenerator(CompletionNetwork(TINY), DetailNetwork(TINY_DETAIL))
    torch.testing.assert_close(fresh.complete_small(given, Words(), 0, 4, 1.0), given.rgb[0], atol=2e-2, rtol=0)
    torch.testing.assert_close(fresh.detail(given.rgb), enlarged(given.rgb))


def test_holes_are_filled_and_borders_counted():
    rgb, known = half_known()
    given = known_small(rgb[None], known[None])
    assert given.rgb.shape == (1, 3, ROWS, 2 * ROWS)
    assert float(given.share.mean()) == pytest.approx(200 / (2 * MADE_ROWS))
    whole = slice(26, 74)
    torch.testing.assert_close(
        given.rgb[0, :, :, whole], torch.nn.functional.avg_pool2d(rgb[None], FACTOR)[0, :, :, whole]
    )
    nothing = known_small(rgb[None], torch.zeros_like(known)[None])
    assert not bool(nothing.share.any() or nothing.rgb.any())


def test_where_known_and_made_meet_there_is_no_step():
    known = torch.zeros(64, 128, dtype=torch.bool)
    known[:, :64] = True
    rgb, made = torch.full((3, 64, 128), 0.7), torch.full((3, 64, 128), 0.3)
    both = joined(rgb, known, made)
    assert float((both[:, :, 64] - 0.7).abs().max()) < 0.1
    assert float((both[:, :, 96] - 0.3).abs().max()) < 0.02
    assert torch.equal(joined(rgb, torch.zeros_like(known), made), made)
    assert torch.equal(joined(rgb, torch.ones_like(known), made), rgb)


def test_words_become_numbers_that_differ():
    words = [Words(), Words("room"), Words("room", None, None, (("bed", "red"),)), Words(things=(("bed", None),))]
    numbers = word_numbers(words)
    assert not bool(numbers[0].any())
    assert len({tuple(row.flatten().tolist()) for row in numbers}) == len(words)
    full = Words("room", "small", "dim", tuple((name, "red") for name in THINGS[:MAX_THINGS]))
    assert bool((word_numbers([full])[0, :, 0] > 0).all())


def test_signals_come_back():
    rgb = torch.rand(1, 3, 4, 8)
    torch.testing.assert_close(from_signal(to_signal(rgb)), rgb)


def test_weights_open_and_other_folders_do_not(generator, tmp_path):
    save_weights(tmp_path / "mine" / "panorama", generator.network, TINY)
    with pytest.raises(InputError, match="detail"):
        PanoramaGenerator.from_pretrained(tmp_path / "mine")
    save_weights(tmp_path / "mine" / "detail", generator.detail, TINY_DETAIL)
    opened = PanoramaGenerator.from_pretrained(tmp_path / "mine")
    rgb, known = half_known()
    assert torch.equal(opened.complete(rgb, known, steps=1), generator.complete(rgb, known, steps=1))


@pytest.mark.parametrize(
    ("shape", "steps", "message"),
    [((64, 128), 4, "expected a panorama of 512x256"), ((MADE_ROWS, 2 * MADE_ROWS), 0, "at least 1 step, got 0")],
)
def test_bad_arguments(generator, shape, steps, message):
    with pytest.raises(InputError, match=message):
        generator.complete(torch.zeros(3, *shape), torch.zeros(shape, dtype=torch.bool), steps=steps)


@pytest.mark.parametrize("sizes", [(12, 2, 64, 64, 1), (16, 0, 64, 64, 1), (16, 1, 100, 64, 1), (16, 1, 64, 0, 1)])
def test_impossible_sizes(sizes):
    with pytest.raises(ValueError, match="got"):
        CompletionConfig(*sizes)
