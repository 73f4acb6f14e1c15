"""Driving scores: the published formulas' own checks, boxes by hand, and grids calibrated against boxes."""

import itertools
import math

import pytest
import torch

from worldloom.geometry import FREE, EgoPath, manoeuvre_path, path_from_steps, resample_path
from worldloom.occupancy.metrics.planning import (
    EgoBox,
    Traffic,
    agreement_by,
    agreement_of,
    at_ten_hertz,
    choose_tau,
    collision_probability,
    comfortable,
    consistent,
    driveable_compliance,
    driving_direction,
    ego_progress,
    epdms,
    histogram_log_likelihood,
    hugsim_frame,
    judge_on_grids,
    kinematics_of,
    lane_keeping,
    min_ade,
    neuro_ncap,
    no_collision,
    pdms,
    pdms_occ,
    progress_along,
    time_to_collision,
)
from worldloom.occupancy.metrics.planning.calibration import QUANTISATION
from worldloom.synth.traffic.footprints import gap, overlap

LENGTH, WIDTH = 4.08, 1.73


def test_published_checks() -> None:
    """EC = 0 and the rest 1 gives 0.875; TTC = 0 without EC gives 9/14."""
    ones = (1.0, 1.0, 1.0, 1.0)
    assert epdms(ones, 1, 1, 1, 1, 0.0) == 0.875
    assert epdms(ones, 0, 1, 1, 1, None) == pytest.approx(0.642857, abs=1e-6)
    assert epdms((0.0, 1.0, 1.0, 1.0), 1, 1, 1, 1, 1.0) == 0
    assert epdms((0.0, 1.0, 1.0, 1.0), 1, 1, 1, 1, 1.0, human=(0.0, 1.0, 1.0, 1.0)) == 1
    assert pdms(1, 1, 1, 1, 1) == 1
    assert pdms(0.5, 1, 0, 0.4, 1) == pytest.approx(0.5 * 4 / 12)
    assert pdms(1, 0, 1, 1, 1) == 0
    assert hugsim_frame(1, 1, 0, 1) == pytest.approx(2 / 7)


def test_small_formulas() -> None:
    assert [ego_progress(p, 10) for p in (-1, 5, 12)] == [0, 0.5, 1]
    assert ego_progress(0, 5) == 1
    assert neuro_ncap(None, 10) == 5
    assert [neuro_ncap(v, 10) for v in (0, 5, 20)] == [4, 2, 0]


def boxes(x: float, y: float, yaw: float, speed: float, n: int, size=(4.0, 2.0), dt: float = 0.1) -> torch.Tensor:
    t = torch.arange(n, dtype=torch.float64) * dt
    ones = torch.ones_like(t)
    rows = [x + math.cos(yaw) * speed * t, y + math.sin(yaw) * speed * t, yaw * ones, size[0] * ones, size[1] * ones]
    return torch.stack(rows, -1)


def traffic(footprints: torch.Tensor, speed: float, agent: bool = True) -> Traffic:
    n = len(footprints)
    there = torch.ones(1, n, dtype=torch.bool)
    return Traffic(footprints[None], there, torch.full((1, n), speed).double(), torch.tensor([agent]))


N = 41
EGO, EGO_SPEED = boxes(0, 0, 0, 5, N), torch.full((N,), 5.0).double()


def test_who_is_at_fault() -> None:
    standing = boxes(12, 0, 0, 0, N)
    assert no_collision(EGO, EGO_SPEED, traffic(standing, 0)) == 0
    assert no_collision(EGO, EGO_SPEED, traffic(standing, 0, agent=False)) == 0.5
    assert no_collision(EGO, EGO_SPEED, traffic(boxes(12, 5, 0, 0, N), 0)) == 1
    into_the_front = boxes(30, 0, math.pi, 5, N)
    assert no_collision(EGO, EGO_SPEED, traffic(into_the_front, 5)) == 0
    assert no_collision(boxes(0, 0, 0, 0, N), torch.zeros(N).double(), traffic(into_the_front, 5)) == 1
    from_behind = boxes(-12, 0, 0, 12, N)
    assert no_collision(EGO, EGO_SPEED, traffic(from_behind, 12)) == 1
    into_the_side = boxes(6.0, -8.0, math.pi / 2, 4, N)
    ego_side = boxes(0, 0, 0, 5, N)
    lost = torch.ones(N, dtype=torch.bool)
    assert no_collision(ego_side, EGO_SPEED, traffic(into_the_side, 4)) == 1
    assert no_collision(ego_side, EGO_SPEED, traffic(into_the_side, 4), astray=lost) == 0


def test_absent_boxes_hit_nobody() -> None:
    there = traffic(boxes(12, 0, 0, 0, N), 0)
    absent = Traffic(there.footprints, ~there.present, there.speed, there.agent)
    assert no_collision(EGO, EGO_SPEED, absent) == 1
    assert time_to_collision(EGO, EGO_SPEED, absent, 0.1) == 1


def test_driveable_area_by_corners() -> None:
    def road(xy: torch.Tensor) -> torch.Tensor:
        return xy[:, 1].abs() <= 1.9

    assert driveable_compliance(boxes(0, 0.8, 0, 5, 5), road) == 1
    assert driveable_compliance(boxes(0, 1.0, 0, 5, 5), road) == 0
    assert driveable_compliance(boxes(0, 1.0, 0, 5, 5), road, tolerance=0.3) == 1


def test_time_to_collision() -> None:
    """A car that stands d ahead of the nose: within 0.9 s at 5 m/s if d < 4.5 m, whatever happens later."""
    ego, speed = boxes(0, 0, 0, 5, 2), torch.full((2,), 5.0).double()
    long_ego = torch.cat([ego, ego[-1:].expand(10, 5)])
    slow = torch.cat([speed, torch.zeros(10).double()])
    near, far = boxes(2 + 2 + 4.8, 0, 0, 0, 12), boxes(2 + 2 + 5.2, 0, 0, 0, 12)
    assert time_to_collision(long_ego, slow, traffic(near, 0), 0.1) == 0
    assert time_to_collision(long_ego, slow, traffic(far, 0), 0.1) == 1
    behind = boxes(-4.2, 0, 0, 5, 12)
    assert time_to_collision(long_ego, slow, traffic(behind, 5), 0.1) == 1
    with pytest.raises(ValueError, match="multiples of dt"):
        time_to_collision(long_ego, slow, traffic(near, 0), 0.5)


def test_lanes_and_progress() -> None:
    xy = torch.stack([torch.arange(N) * 0.3, torch.zeros(N)], -1).double()
    oncoming = torch.zeros(N, dtype=torch.bool)
    assert driving_direction(xy, oncoming, 0.1) == 1
    oncoming[5:11] = True  # 1.8 m
    assert driving_direction(xy, oncoming, 0.1) == 1
    assert driving_direction(xy, ~oncoming, 0.1) == 0.5  # 3 m within a second
    assert driving_direction(3 * xy, ~oncoming, 0.1) == 0
    off, free = torch.full((N,), -0.6), torch.zeros(N, dtype=torch.bool)
    assert lane_keeping(off, free, 0.1) == 0
    assert lane_keeping(off[:19], free[:19], 0.1) == 1
    assert lane_keeping(off, ~free, 0.1) == 1
    corner = torch.tensor([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]])
    assert progress_along(torch.tensor([[1.0, 0.5], [10.5, 4.0]]), corner) == pytest.approx(13)
    assert progress_along(torch.tensor([[10.5, 4.0], [1.0, 0.5]]), corner) == pytest.approx(-13)


def driven(acceleration: float, yaw_rate: float, speed: float = 8.0, n: int = 41) -> EgoPath:
    """Constant acceleration and yaw rate at 10 Hz, integrated finely."""
    fine = 50
    t = torch.arange((n - 1) * fine + 1, dtype=torch.float64) * 0.1 / fine
    yaw = yaw_rate * t
    v = speed + acceleration * t
    middle = (v[1:] + v[:-1]) / 2 * 0.1 / fine
    angle = (yaw[1:] + yaw[:-1]) / 2
    steps = torch.stack([middle * angle.cos(), middle * angle.sin()], -1)
    xy = torch.cat([torch.zeros(1, 2).double(), steps.cumsum(0)])[::fine]
    poses = torch.eye(4, dtype=torch.float64).repeat(n, 1, 1)
    heading = yaw[::fine]
    poses[:, 0, 0], poses[:, 0, 1], poses[:, 1, 0], poses[:, 1, 1] = (
        heading.cos(),
        -heading.sin(),
        heading.sin(),
        heading.cos(),
    )
    poses[:, :2, 3] = xy
    return EgoPath(poses, 0.1)


def test_derivatives_of_a_known_motion() -> None:
    k = kinematics_of(driven(1.5, 0.3))
    middle = 20
    speed = 8 + 1.5 * 0.1 * middle
    assert k.longitudinal[middle] == pytest.approx(1.5, abs=0.02)
    assert k.lateral[middle] == pytest.approx(0.3 * speed, abs=0.02)
    assert k.yaw_rate[middle] == pytest.approx(0.3, abs=1e-6)
    assert k.longitudinal_jerk[middle] == pytest.approx(0, abs=0.1)
    with pytest.raises(ValueError, match="t >= 4"):
        kinematics_of(driven(0, 0, n=3))


@pytest.mark.parametrize(
    ("acceleration", "yaw_rate", "speed", "good"),
    [
        (0.0, 0.0, 8.0, True),
        (2.3, 0.0, 8.0, True),
        (2.6, 0.0, 8.0, False),
        (-3.9, 0.0, 20.0, True),
        (-4.3, 0.0, 20.0, False),
        (0.0, 0.55, 8.0, True),
        (0.0, 0.7, 8.0, False),  # 5.6 m/s² sideways
        (0.0, 1.1, 2.0, False),
    ],
)
def test_comfort_has_its_limits(acceleration, yaw_rate, speed, good) -> None:
    assert comfortable(driven(acceleration, yaw_rate, speed)) is good
    assert comfortable(driven(acceleration, yaw_rate, speed), with_jerk=False) is good


def test_plans_agree_with_themselves() -> None:
    assert consistent(driven(1.0, 0.2), driven(1.0, 0.2))
    assert not consistent(driven(1.0, 0.2), driven(2.0, 0.2))
    assert not consistent(driven(1.0, 0.2), driven(1.0, 0.35))


def test_resampling_to_ten_hertz_keeps_comfort() -> None:
    """A manoeuvre at 2 Hz, resampled by a cubic, is as comfortable as at 10 Hz; linear resampling is not."""
    slow = manoeuvre_path("left", 5.0, 8, 0.5)
    fast = at_ten_hertz(slow)
    assert len(fast) == 41
    torch.testing.assert_close(fast.world_from_ego[::5, :3, 3], slow.world_from_ego[:, :3, 3].double())
    assert kinematics_of(fast).jerk.max() < 0.5 * kinematics_of(resample_path(slow, 0.1)).jerk.max()


def test_futures_in_samples() -> None:
    assert collision_probability(torch.tensor([[True, False, False, True]])).tolist() == [0.5]
    truth = torch.zeros(3, 2)
    assert min_ade(torch.stack([truth + 1, truth + torch.tensor([0.0, 0.5])]), truth) == pytest.approx(0.5)
    samples = torch.linspace(0, 0.999, 200)[:, None].expand(200, 2)
    flat = histogram_log_likelihood(samples, torch.tensor([0.2, 0.7]), 0.0, 1.0, 10)
    assert flat == pytest.approx(math.log(0.1), abs=1e-6)
    sharp = histogram_log_likelihood(torch.full((200, 1), 0.25), torch.tensor([0.25]), 0.0, 1.0, 10)
    assert sharp > -0.01 > flat


def test_agreement_by_hand() -> None:
    """3 hits, 1 miss, 1 false alarm, 5 quiet: p_o 0.8, p_e (16 + 36) / 100, kappa 0.28 / 0.48."""
    exact = torch.tensor([True] * 4 + [False] * 6)
    said = torch.tensor([True] * 3 + [False] + [True] + [False] * 5)
    a = agreement_of(said, exact)
    assert (a.precision, a.recall, a.n) == (0.75, 0.75, 10)
    assert a.kappa == pytest.approx(0.28 / 0.48)
    assert agreement_of(exact, exact).kappa == 1
    by = agreement_by(said, exact, ["car"] * 4 + ["walker"] * 6)
    assert by["car"].recall == 0.75
    assert math.isnan(by["walker"].recall)
    with pytest.raises(ValueError, match="calibration split"):
        choose_tau(torch.rand(3), torch.ones(3, dtype=torch.bool))


@pytest.fixture(scope="module")
def passing(small):
    """A parked car beside or in the way: for each clearance, the clip's grids and the exact answer."""

    def world(y: float, yaw: float):
        car = small.Box(4, [(6.0, y, yaw)], (4.4, 1.8, 1.6))
        return small.SmallTown([*small.standing_things(4), car]), torch.tensor([[6.0, y, yaw, 4.4, 1.8]])

    return world


def footprint(pose: torch.Tensor) -> torch.Tensor:
    yaw = math.atan2(float(pose[1, 0]), float(pose[0, 0]))
    x, y = float(pose[0, 3]) + 1.4 * math.cos(yaw), float(pose[1, 3]) + 1.4 * math.sin(yaw)
    return torch.tensor([[x, y, yaw, LENGTH, WIDTH]])


def test_contact_on_grids_agrees_with_boxes(small, passing) -> None:
    """Beyond the quantisation bound of 0.28 m the two never differ, and tau is frozen on other worlds."""
    shares, exact, gaps = [], [], []
    for y, yaw in itertools.product((0.3, 1.0, 1.3, 1.6, 1.9, 2.1, 2.4, 3.0), (0.0, 0.3)):
        town, car = passing(y, yaw)
        path = path_from_steps(torch.eye(4, dtype=torch.float64), torch.tensor([[2.1, 0.05, 0.01]] * 3).double(), 0.5)
        for i in range(2, 4):
            one = EgoPath(path.world_from_ego[i : i + 1], 0.5)
            safety = judge_on_grids(town.clip(one), one.world_from_ego)
            shares.append(float(safety.contact[0]))
            exact.append(bool(overlap(footprint(path.world_from_ego[i]), car)))
            gaps.append(float(gap(footprint(path.world_from_ego[i]), car)))
    contact, truth = torch.tensor(shares), torch.tensor(exact)
    tau = choose_tau(contact[::2], truth[::2])
    agreement = agreement_of(contact[1::2] > tau, truth[1::2])
    assert agreement.kappa > 0.8
    assert not (contact[torch.tensor(gaps) > QUANTISATION] > tau).any()


def test_a_path_through_a_car(small, passing) -> None:
    town, _ = passing(0.0, 0.0)
    path = small.arc(4.0, 0.0, 5)
    safety = judge_on_grids(town.clip(path), path.world_from_ego)
    assert safety.collided
    assert safety.no_collision == 0
    assert safety.ttc == 0
    assert safety.min_ttc <= 1.0
    assert safety.driveable == 1
    assert pdms_occ(safety, 1.0, 1.0) == 0
    clear = judge_on_grids(passing(3.4, 0.0)[0].clip(path), path.world_from_ego)
    assert (clear.no_collision, clear.ttc, clear.min_ttc) == (1, 1, math.inf)
    assert pdms_occ(clear, 1.0, 1.0) == 1


def test_a_wall_is_half_a_sin_and_grass_a_whole_one(small) -> None:
    town = small.SmallTown([small.Box(15, [(6.0, 0.0, 0.0)], (1.0, 2.0, 3.0))])
    path = small.arc(4.0, 0.0, 5)
    assert judge_on_grids(town.clip(path), path.world_from_ego).no_collision == 0.5
    off = small.arc(8.0, 0.35, 5)
    judged = judge_on_grids(small.SmallTown([]).clip(off), off.world_from_ego)
    assert judged.driveable == 0
    assert judged.no_collision == 1


def test_the_car_is_not_at_the_middle_of_its_origin(small) -> None:
    """The rear axle is the origin: what stands 3.2 m ahead of it is hit, what stands 1.5 m behind is not."""
    ahead, behind = (small.SmallTown([small.Box(15, [(x, 0.0, 0.0)], (0.8, 0.8, 3.0))]) for x in (2.9, -1.5))
    still = small.arc(0.0, 0.0, 1)
    assert judge_on_grids(ahead.clip(still), still.world_from_ego).collided
    assert not judge_on_grids(behind.clip(still), still.world_from_ego).collided
    centred = EgoBox(ahead=0.0)
    assert judge_on_grids(behind.clip(still), still.world_from_ego, centred).collided


def test_an_unknown_road_is_abstained_from(small) -> None:
    path = small.arc(4.0, 0.0, 4)
    clip = small.hidden_by_box(small.SmallTown([]).clip(path), (0, 0, 0), (100, 100, 8))
    judged = judge_on_grids(clip, path.world_from_ego)
    assert judged.known == 0
    assert judged.driveable is None
    assert pdms_occ(judged, 1.0, 1.0) is None
    empty = small.with_labels(clip, torch.full_like(clip.labels, FREE))
    assert not judge_on_grids(empty, path.world_from_ego).collided
    with pytest.raises(ValueError, match="one frame for each pose"):
        judge_on_grids(clip, path.world_from_ego[:2])
