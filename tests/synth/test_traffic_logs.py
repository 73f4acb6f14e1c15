"""Logs of a town's traffic: everybody where the simulation has them, and a map that agrees with the town's ground."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("libsumo", reason="towns need the extra `traffic`")

from tests.synth.bare_town import GREY, ROAD, SIDEWALK, bare_town
from worldloom.errors import InputError
from worldloom.geometry import OCC3D_CLASSES
from worldloom.synth.dataset.traffic_log import CELL, TrafficLog
from worldloom.synth.dataset.traffic_logs import _maps, log_traffic
from worldloom.synth.shapes import box
from worldloom.synth.towns.town import Town
from worldloom.synth.traffic.drive import footprint_of
from worldloom.synth.world import Thing


@pytest.fixture(scope="module")
def log(small_town: Town) -> TrafficLog:
    return log_traffic(small_town, 3, 4.0)


def test_everybody_is_in_it(small_town: Town, log: TrafficLog) -> None:
    assert log.present.shape == (len(log.labels), 9)
    standing = log.poses[log.standing]
    assert len(standing) == len(small_town.standing)
    assert torch.allclose(standing[0, 4, :2], torch.tensor(footprint_of(small_town.standing[0])[:2]), atol=1e-4)
    cars = ~log.standing & (log.labels == OCC3D_CLASSES.index("car")) & log.present.all(1)
    assert cars.sum() > 5
    way = (log.poses[cars, -1, :2] - log.poses[cars, 0, :2]).norm(dim=-1)
    assert way.max() > 10  # metres in four seconds: somebody drives
    assert way.max() < 4.0 * 40
    assert not log.poses[~log.present].any()


def test_cars_head_where_they_go_and_stay_on_the_road(log: TrafficLog) -> None:
    cars = (~log.standing & (log.labels == OCC3D_CLASSES.index("car"))).nonzero()[:, 0]
    steps = log.poses[cars].diff(dim=1)
    both = log.present[cars, 1:] & log.present[cars, :-1] & (steps[..., :2].norm(dim=-1) > 2.0)
    assert both.sum() > 20
    heading = torch.atan2(steps[..., 1], steps[..., 0])[both]
    away = torch.remainder(heading - log.poses[cars, 1:, 2][both] + torch.pi, 2 * torch.pi) - torch.pi
    assert away.abs().median() < 0.05
    under = log.ground[log.sheet.index(log.poses[cars, 1:, :2][both])]
    assert (under == ROAD).float().mean() > 0.97


def test_a_log_is_kept_and_comes_again(small_town: Town, log: TrafficLog, tmp_path: Path) -> None:
    log.save(tmp_path / "a.npz")
    again = TrafficLog.load(tmp_path / "a.npz")
    for name in ("labels", "standing", "extents", "present", "poses", "ground"):
        assert torch.equal(getattr(again, name), getattr(log, name))
    assert again.sheet == log.sheet
    assert torch.allclose(again.rise, log.rise, atol=2e-3)
    log_traffic(small_town, 3, 4.0).save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert not torch.equal(log_traffic(small_town, 4, 1.0).poses[:5, :1], log.poses[:5, :1])


def test_the_map_shows_ground_and_what_stands() -> None:
    wall = Thing("wall", "manmade", (box((4.0, 0.6, 3.0), (10.0, -4.0, 1.5), GREY),))
    roof = Thing("roof", "manmade", (box((4.0, 4.0, 0.4), (-10.0, -4.0, 6.0), GREY),))
    sheet, ground, rise = _maps(bare_town([wall, roof]))
    at = lambda x, y: sheet.index(torch.tensor([x, y]))  # noqa: E731
    assert sheet.cell == CELL
    assert int(ground[at(0.0, 0.0)]) == ROAD
    assert int(ground[at(0.0, 20.0)]) == SIDEWALK
    assert float(rise[at(10.0, -4.0)]) == pytest.approx(3.0, abs=0.05)
    assert float(rise[at(10.0, -2.0)]) == 0
    assert float(rise[at(-10.0, -4.0)]) == 0  # a roof is in nobody's way


def test_bad_input_is_named(log: TrafficLog, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected 0\.5 s or more of traffic, got 0"):
        log_traffic(bare_town(), 0, 0)
    log.save(tmp_path / "log.npz")
    arrays = dict(np.load(tmp_path / "log.npz"))
    np.savez(tmp_path / "odd.npz", **(arrays | {"rise": arrays["rise"][:-1]}))
    with pytest.raises(InputError, match=r"odd\.npz: expected 'rise'"):
        TrafficLog.load(tmp_path / "odd.npz")
    np.savez(tmp_path / "other.npz", labels=np.zeros(3, np.uint8))
    with pytest.raises(InputError, match=r"other\.npz"):
        TrafficLog.load(tmp_path / "other.npz")
