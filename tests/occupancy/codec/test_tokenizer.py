import math
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry.occupancy import FREE, STATIC, Occupancy
from worldloom.occupancy.codec.corrections import code_corrections, round_guess
from worldloom.occupancy.codec.entropy import Reader, Writer
from worldloom.occupancy.codec.prior import CodePrior, CodePriorConfig
from worldloom.occupancy.codec.world import CELL
from worldloom.occupancy.static_tokenizer import UNKNOWN, StaticLogits
from worldloom.occupancy.tokenizer import EncodedClip, Tokenizer


@pytest.fixture(scope="module")
def streams(tokenizer: Tokenizer, clip: Occupancy) -> dict[float | None, EncodedClip]:
    return {budget: tokenizer.encode(clip, budget) for budget in (8.0, 40.0)}


def test_no_budget_is_exceeded_and_every_bit_is_booked(streams: dict[float | None, EncodedClip]) -> None:
    for budget, stream in streams.items():
        assert budget is not None
        assert stream.kbit == 8 * len(stream.data) / 1000
        assert 0.8 * budget < stream.kbit <= budget
        assert sum(stream.bits.values()) == pytest.approx(8 * len(stream.data), abs=1e-6)
        assert min(stream.bits.values()) >= 0


def test_a_clip_comes_back(tokenizer: Tokenizer, clip: Occupancy, streams: dict[float | None, EncodedClip]) -> None:
    shares = []
    for stream in streams.values():
        back = tokenizer.decode(stream)
        assert back.labels.shape == clip.labels.shape
        assert (back.grid, back.classes, back.dt) == (clip.grid, clip.classes, clip.dt)
        assert torch.allclose(back.world_from_ego, clip.world_from_ego.double(), atol=0.03)
        # The network fills the cells in which something was observed, and no others: those touch an observed column.
        columns = back.observed.any(-1).float()
        near = torch.nn.functional.max_pool2d(columns, 2 * 2 * CELL + 1, 1, 2 * CELL).bool()
        assert (back.labels[~near] == FREE).all()
        seen = clip.observed
        shares.append(float((back.labels == clip.labels)[seen].float().mean()))
        mover = seen & (clip.labels == 4)
        drawn = seen & (back.labels == 4)
        assert (mover & drawn).sum() > 0.6 * (mover | drawn).sum()  # cars need no network
    assert shares == sorted(shares)


def test_without_corrections_streams_are_shorter_and_need_no_exact_decoder(
    tokenizer: Tokenizer, clip: Occupancy, streams: dict[float | None, EncodedClip]
) -> None:
    plain = tokenizer.encode(clip, 40.0, corrected=False)
    assert plain.bits.get("corrections", 0) < 8 < streams[40.0].bits["corrections"]
    assert plain.kbit < streams[40.0].kbit
    bare = Tokenizer(tokenizer.static, tokenizer.prior)
    right = (bare.decode(plain).labels == clip.labels)[clip.observed].float().mean()
    assert bare._exact is None
    assert right < (bare.decode(streams[40.0]).labels == clip.labels)[clip.observed].float().mean()


def test_a_budget_that_nothing_fits(tokenizer: Tokenizer, clip: Occupancy) -> None:
    with pytest.raises(InputError, match="kbit for this clip, got 0"):
        tokenizer.encode(clip[:2], 0.5)


def test_damaged_streams_end_in_one_line(tokenizer: Tokenizer, streams: dict[float | None, EncodedClip]) -> None:
    data = streams[8.0].data
    for broken in (b"", data[:-4], data[:100], data + b"\0" * 4, bytes([data[0] ^ 1]) + data[1:], b"\xff" * (1 << 25)):
        with pytest.raises(InputError, match="expected") as caught:
            tokenizer.decode(broken)
        assert "\n" not in str(caught.value)
    for position in range(5, len(data), len(data) // 20):
        with pytest.raises(InputError):
            tokenizer.decode(data[:position] + bytes([data[position] ^ 16]) + data[position + 1 :])


def test_forged_streams_end_in_one_line_or_in_a_clip(
    tokenizer: Tokenizer, clip: Occupancy, streams: dict[float | None, EncodedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a checksum that fits, damage decodes to what it says; it never takes another kind of exception."""
    monkeypatch.setattr("worldloom.occupancy.tokenizer.draw_clip", lambda parts, field: clip)  # slow, and not asked
    monkeypatch.setattr(Tokenizer, "_decoded", lambda self, parts, exact: (None, None))
    words = streams[40.0].data[4:]
    rng = np.random.default_rng(0)
    refused = []
    for at in [*range(8, 200, 40), *range(200, 900, 150)]:
        forged = bytearray(words)
        forged[at : at + 4] = rng.bytes(4)
        try:
            tokenizer.decode(zlib.crc32(forged).to_bytes(4, "little") + bytes(forged))
        except InputError as error:
            refused.append(str(error))
    assert refused
    assert not any("\n" in line for line in refused)


def test_streams_of_other_weights(tokenizer: Tokenizer, streams: dict[float | None, EncodedClip]) -> None:
    without = Tokenizer(tokenizer.static)
    with pytest.raises(InputError, match="stream of weights"):
        without.decode(streams[8.0])
    with pytest.raises(InputError, match="expected a prior for codes"):
        Tokenizer(tokenizer.static, CodePrior(CodePriorConfig(width=8, layers=1)))


def test_clips_that_cannot_be_written(tokenizer: Tokenizer, clip: Occupancy) -> None:
    odd = replace(clip.grid, voxel_size=0.5)
    poses = clip.world_from_ego.clone()
    poses[1, 0, 3] = math.nan
    bad = [
        replace(clip, grid=odd), replace(clip, classes=clip.classes[:-1]), replace(clip, world_from_ego=poses),
        replace(clip, dt=100.0), clip[:0],
    ]  # fmt: skip
    for one in bad:
        with pytest.raises(InputError, match="expected"):
            tokenizer.encode(one, 22.5)


def test_corrections_spend_bits_on_likely_mistakes_and_come_back() -> None:
    rng = np.random.default_rng(0)
    shape = (12, 14, 6)
    true = rng.integers(0, len(STATIC) + 1, shape).astype(np.uint8)
    true[rng.random(shape) < 0.3] = UNKNOWN
    occupied = torch.from_numpy(rng.normal(0, 2, (1, 6, 12, 14)))
    semantic = torch.from_numpy(rng.normal(0, 2, (1, len(STATIC), 6, 12, 14)))
    guess = round_guess(StaticLogits(occupied, semantic, torch.from_numpy(rng.normal(1, 2, (1, 6, 12, 14)))))
    count = 700
    writer = Writer()
    said = code_corrections(writer, guess, true, count)
    data, _ = writer.finish()
    back = code_corrections(Reader(data), guess, None, None)
    assert (back.places == said.places).all()
    assert (back.symbols == said.symbols).all()
    assert (back.symbols == true.reshape(-1)[back.places]).all()
    order = np.argsort(-guess.doubt.reshape(-1).astype(int), kind="stable")[:count]
    likeliest = guess.symbols_at(np.arange(true.size)).reshape(true.shape)
    wrong = (true != likeliest) & (true != UNKNOWN)
    assert set(back.places.tolist()) == set(order[wrong.reshape(-1)[order]].tolist())
    other = guess._replace(below=guess.below ^ 1)
    with pytest.raises(InputError, match="on this machine"):
        code_corrections(Reader(data), other, None, None)


def test_listed_classes_leave_the_rest_as_it_was() -> None:
    """P(occupied) loses the listed class's part; the others keep their ratio."""
    from worldloom.occupancy.codec.corrections import without_classes

    semantic = torch.tensor([0.2, 0.3, 0.5]).log().reshape(1, 3, 1, 1, 1).double()
    semantic = torch.cat([semantic, torch.full((1, len(STATIC) - 3, 1, 1, 1), -1e3).double()], 1)
    occupied = torch.logit(torch.tensor(0.8)).double().reshape(1, 1, 1, 1)
    rest = without_classes(StaticLogits(occupied, semantic, occupied), [2])
    assert rest.occupied.sigmoid().item() == pytest.approx(0.8 * 0.5)
    assert rest.semantic.softmax(1)[0, :3].flatten().tolist() == pytest.approx([0.4, 0.6, 0.0])


def test_weights_from_a_folder(tokenizer: Tokenizer, tmp_path) -> None:
    from worldloom.ops import save_weights

    save_weights(tmp_path / "small" / "static", tokenizer.static, tokenizer.static.config)
    alone = Tokenizer.from_pretrained(tmp_path / "small")
    assert alone.prior is None
    assert tokenizer.prior is not None
    save_weights(tmp_path / "small" / "prior", tokenizer.prior, tokenizer.prior.config)
    both = Tokenizer.from_pretrained(tmp_path / "small")
    for name, value in tokenizer.static.state_dict().items():
        assert torch.equal(both.static.state_dict()[name], value)
    with pytest.raises(InputError, match="no weights"):
        Tokenizer.from_pretrained(tmp_path)
