"""The world model with nets that have learned nothing: what holds by construction."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch

from tests.occupancy.moving_world import CAR, ROAD, WALL, straight_street
from worldloom.errors import InputError
from worldloom.geometry import EgoPath
from worldloom.occupancy.static_tokenizer import StaticTokenizer, StaticTokenizerConfig
from worldloom.occupancy.tracks import Track
from worldloom.occupancy.traffic import TrafficConfig, TrafficNet
from worldloom.occupancy.world_model import WorldModel, _stands
from worldloom.ops import save_weights

STATIC_TINY = StaticTokenizerConfig(widths=(8, 8, 8, 8), decoder_blocks=1)
TRAFFIC_TINY = TrafficConfig(width=64, blocks=1, max_users=4, future=4, map_width=16)


@pytest.fixture(scope="module")
def model() -> WorldModel:
    torch.manual_seed(0)
    traffic = TrafficNet(TRAFFIC_TINY)
    for parameter in traffic.parameters():  # gates and last layers are zero before training: nobody would move
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.1)
    return WorldModel(StaticTokenizer(STATIC_TINY), traffic)


def past_and_future(frames: int = 6, speed: float = 0.0) -> tuple:
    clip = straight_street(3 + frames, users=((CAR, 12, 2, speed),))
    return clip[:3], clip[3:], EgoPath(clip.world_from_ego[3:], 0.5)


def test_what_was_seen_stays_as_it_was_seen(model: WorldModel) -> None:
    past, truth, path = past_and_future()
    future = model.generate(past, path).occupancy[0]
    assert future.labels.shape == truth.labels.shape
    # Behind and beside the ego all was seen: the forecast is the truth there, at every frame.
    static = (truth.labels == WALL) | (truth.labels == ROAD)
    static[:, 140:] = False
    agree = (future.labels == truth.labels) & static
    assert int(agree.sum()) / int(static.sum()) > 0.97  # the car's own column may differ


def test_what_is_made_up_once_stays_too(model: WorldModel) -> None:
    """A place that comes into view twice is the same place."""
    past, _, _ = past_and_future()
    there = EgoPath(straight_street(7).world_from_ego[3:], 0.5)
    back = EgoPath(there.world_from_ego.flip(0), 0.5)
    generator = torch.Generator().manual_seed(0)
    state, out = model.step(model.observe(past), there, generator)
    _, again = model.step(state, back, generator)
    still = out.occupancy.labels.flip(0), again.occupancy.labels
    static = [torch.isin(labels, torch.tensor([11, 12, 13, 14, 15, 16, 0, 1, 8])) for labels in still]
    both = static[0] & static[1]
    assert torch.equal(still[0][both], still[1][both])
    assert int((static[0] ^ static[1]).sum()) < 0.01 * int(both.sum())


def test_calls_are_pure(model: WorldModel) -> None:
    past, _, path = past_and_future()
    state = model.observe(past)
    before = state.static.labels.clone(), [track.points.clone() for track in state.tracks]
    first = model.step(state, path[:4], torch.Generator().manual_seed(5))[1]
    second = model.step(state, path[:4], torch.Generator().manual_seed(5))[1]
    assert torch.equal(first.occupancy.labels, second.occupancy.labels)
    assert torch.equal(state.static.labels, before[0])
    assert all(torch.equal(track.points, points) for track, points in zip(state.tracks, before[1], strict=True))


def test_the_first_future_is_expected_and_the_others_differ_by_seed_and_number(model: WorldModel) -> None:
    past, _, path = past_and_future(speed=10.0)
    a = model.generate(past, path, num_futures=3, seed=3)
    b = model.generate(past, path, num_futures=2, seed=4)
    assert torch.equal(a.occupancy[0].labels, b.occupancy[0].labels)
    assert not torch.equal(a.occupancy[0].labels, a.occupancy[1].labels)
    ways = [futures.users[number][0].world_from_actor for futures, number in ((a, 0), (a, 1), (a, 2), (b, 1))]
    assert not any(torch.equal(one, other) for one, other in combinations(ways, 2))
    drawn = model.generate(past, path, num_futures=2, seed=3, expected=False)
    assert torch.equal(drawn.occupancy[1].labels, a.occupancy[1].labels)
    assert not torch.equal(drawn.users[0][0].world_from_actor, ways[0])
    assert float(a.uncertainty().max()) > 0
    assert a.risk.shape == (3, 6, 2)
    assert bool((a.risk.diff(dim=1) >= 0).all())


def test_who_stands_and_hardly_moves_stands(model: WorldModel) -> None:
    past, _, path = past_and_future()
    (before,) = model.observe(past).tracks
    state, _ = model.step(model.observe(past), path[:4], torch.Generator().manual_seed(0))
    assert torch.equal(state.tracks[0].world_from_object[-1], before.world_from_object[-1].double())


def test_a_path_of_its_own(model: WorldModel) -> None:
    past, _, _ = past_and_future()
    futures = model.generate(past, mode="policy", horizon=5)
    assert len(futures.ego_paths[0]) == 5
    assert bool(futures.occupancy[0].world_from_ego.isfinite().all())


def test_many_paths_are_imagined_at_once(model: WorldModel) -> None:
    past, _, _ = past_and_future()
    paths = torch.zeros(3, 4, 3)
    paths[1, :, 0] = torch.arange(1, 5) * 2.0
    imagined = model.imagine(model.observe(past), paths, torch.Generator().manual_seed(0))
    assert imagined.users.shape == (3, 1, 4, 3)
    assert imagined.risk.shape == (3, 4, 2)
    assert imagined.labels.tolist() == [CAR]


def test_bad_requests_are_named(model: WorldModel) -> None:
    past, _, path = past_and_future()
    with pytest.raises(InputError, match="at least one future"):
        model.generate(past, path, num_futures=0)
    with pytest.raises(InputError, match="a path as long, got 1 futures, 9 frames and a path of 6"):
        model.generate(past, path, horizon=9)
    with pytest.raises(InputError, match=r"0\.5 s between frames"):
        model.observe(replace(past, dt=0.1))


def test_weights_come_from_a_folder(model: WorldModel, tmp_path) -> None:
    save_weights(tmp_path / "static", model.static, STATIC_TINY)
    save_weights(tmp_path / "traffic", model.traffic, TRAFFIC_TINY)
    again = WorldModel.from_pretrained(tmp_path)
    past, _, path = past_and_future(2)
    assert torch.equal(again.generate(past, path).occupancy[0].labels, model.generate(past, path).occupancy[0].labels)
    with pytest.raises(InputError, match="no weights"):
        WorldModel.from_pretrained(tmp_path / "static")


def test_who_stood_stands_until_it_is_drawn_to_go_far() -> None:
    def track(*x: float) -> Track:
        poses = torch.eye(4, dtype=torch.float64).repeat(len(x), 1, 1)
        poses[:, 0, 3] = torch.tensor(x)
        return Track(4, poses, torch.ones(len(x), dtype=torch.bool), torch.zeros(1, 3))

    def drawn(track: Track, metres: float) -> torch.Tensor:
        poses = track.world_from_object[-1:].repeat(8, 1, 1)
        poses[-1, 1, 3] += metres
        return poses

    stood, jumped, walks = track(0, 0.1, 0, 0.1, 0), track(0, 0, 0, 0, 2.8), track(0, 0.7, 1.4, 2.1, 2.8)
    assert _stands(stood, drawn(stood, 3.5))
    assert _stands(jumped, drawn(jumped, 3.5))  # one step is a wrong fit as likely as a start
    assert not _stands(stood, drawn(stood, 4.5))
    assert not _stands(walks, drawn(walks, 1.0))
    assert not _stands(track(0, 0.1), drawn(stood, 1.0))  # one step tells too little
    gone = replace(stood, present=torch.tensor([True, False, True, False, True]))
    assert not _stands(gone, drawn(stood, 1.0))
