"""Street furniture stands on the ground at its origin, looks towards +x, and has the size of its kind."""

from collections.abc import Callable
from functools import partial

import pytest
import torch

from worldloom.synth.cast import Caster
from worldloom.synth.outdoors.street_furniture import boxes, pavement, posts, yards
from worldloom.synth.outdoors.street_furniture.fences import FENCES, make_fence
from worldloom.synth.outdoors.street_furniture.signs import SIGNS, make_sign
from worldloom.synth.skies.sky import Sky
from worldloom.synth.world import Thing, World

# Half sizes that nothing reaches beyond, to the front and to the side, and the range of heights.
SIZES: dict[str, tuple[Callable[[int], Thing], float, float, tuple[float, float]]] = {
    "lantern": (posts.make_lamp, 0.4, 0.4, (5.4, 5.6)),
    "mast": (partial(posts.make_lamp, height=8.0, arm=1.6), 2.3, 0.2, (7.9, 8.2)),
    "signal": (posts.make_signal, 0.5, 0.2, (3.3, 3.5)),
    "signal over the road": (partial(posts.make_signal, reach=5.5), 0.5, 5.6, (5.7, 6.2)),
    "bollard": (posts.make_bollard, 0.25, 0.25, (0.7, 1.0)),
    "pole": (posts.make_utility_pole, 0.25, 1.05, (7.9, 8.2)),
    **{kind: (partial(make_sign, kind=kind), 0.7, 0.7, (2.4, 3.1)) for kind in SIGNS},
    # Crowns of hedges reach into the next piece.
    **{kind: (partial(make_fence, length=2.0, kind=kind), 0.45, 1.25, (0.9, 2.4)) for kind in FENCES},
    "bench": (pavement.make_bench, 0.4, 0.85, (0.8, 1.0)),
    "rack": (pavement.make_bike_rack, 0.4, 1.5, (0.7, 0.9)),
    "shelter": (pavement.make_bus_shelter, 0.9, 2.15, (2.4, 2.6)),
    "kiosk": (pavement.make_kiosk, 2.1, 1.75, (2.5, 2.7)),
    "table": (pavement.make_cafe_table, 1.4, 1.4, (2.4, 2.6)),
    "planter": (partial(pavement.make_planter, detail="coarse"), 0.7, 0.7, (0.6, 1.4)),
    "column": (pavement.make_advertising_column, 0.75, 0.75, (3.2, 3.5)),
    "bin": (boxes.make_bin, 0.3, 0.3, (0.7, 1.1)),
    "wheeled bin": (boxes.make_wheeled_bin, 0.4, 0.35, (1.0, 1.1)),
    "hydrant": (boxes.make_hydrant, 0.3, 0.3, (0.8, 0.85)),
    "letter box": (boxes.make_letter_box, 0.25, 0.3, (1.3, 1.5)),
    "cabinet": (boxes.make_cabinet, 0.25, 0.6, (1.2, 1.4)),
    "fountain": (yards.make_fountain, 2.0, 2.0, (2.0, 2.2)),
    "well": (yards.make_well, 1.1, 1.1, (2.2, 2.5)),
    "bale": (yards.make_hay_bale, 0.7, 0.7, (1.2, 1.4)),
    "mound": (partial(yards.make_mound, radius=3.0, height=1.0), 3.0, 3.0, (0.5, 1.3)),
    "shed": (yards.make_shed, 3.3, 3.2, (2.4, 3.8)),
}


def vertices(thing: Thing) -> torch.Tensor:
    return torch.cat([part.vertices for part in thing.parts])


@pytest.mark.parametrize("name", SIZES)
def test_each_has_the_size_of_its_kind_and_touches_the_ground(name: str) -> None:
    make, ahead, aside, (lowest, highest) = SIZES[name]
    for seed in range(4):
        v = vertices(make(seed))
        assert torch.isfinite(v).all()
        assert float(v[:, 0].abs().max()) <= ahead
        assert float(v[:, 1].abs().max()) <= aside
        assert -0.65 < float(v[:, 2].min()) < 0.005
        assert lowest < float(v[:, 2].max()) < highest


def test_equal_arguments_give_the_same_object() -> None:
    assert make_fence(1, 2.0, "bricks") is make_fence(1, 2.0, "bricks")
    one, other = make_sign(0, "name"), make_sign(1, "name")
    assert not torch.equal(vertices(one), vertices(other))


@pytest.mark.parametrize("kind", FENCES)
def test_pieces_of_a_fence_meet_without_sharing_posts(kind: str) -> None:
    """Two pieces end to end leave no gap, and no upright of one lies in the other."""
    v = vertices(make_fence(2, 2.0, kind))
    beyond = 0.25 if "hedge" in kind else 0.05
    assert -1.0 - beyond <= float(v[:, 1].min()) <= -0.95
    assert 0.95 <= float(v[:, 1].max()) <= 1.0 + beyond
    if kind in ("rail", "pickets", "iron", "wire", "boards"):
        deep = v[v[:, 2] < -0.4]
        assert len(deep)
        assert float(deep[:, 1].abs().max()) < 0.95


def test_a_fence_follows_a_slope_and_its_posts_stay_upright() -> None:
    level, sloping = vertices(make_fence(2, 3.0, "rail")), vertices(make_fence(2, 3.0, "rail", rise=0.6))
    torch.testing.assert_close(sloping[:, :2], level[:, :2])
    torch.testing.assert_close(sloping[:, 2] - level[:, 2], 0.2 * level[:, 1])


def painted_on(kind: str, up: float, right: float = 0.0) -> torch.Tensor:
    """Albedo of a sign, seen along -x: `right` and `up` metres from the middle of its plate."""
    sign = make_sign(3, kind)
    plate = next(part for part in sign.parts if part.material.name == "sign")
    middle = (plate.vertices.amax(0) + plate.vertices.amin(0)) / 2
    if kind == "yield":  # of a triangle, the middle of its three corners
        middle[2] = float(plate.vertices[:, 2].max()) - 0.23
    caster = Caster(World("street", 0, (sign,), Sky((0.0, 0.0, 1.0)), torch.zeros(1, 3)))
    origin = torch.tensor([[3.0, float(middle[1]) + right, float(middle[2]) + up]], dtype=torch.float64)
    ahead = torch.tensor([[-1.0, 0.0, 0.0]], dtype=torch.float64)
    hits = caster.cast(origin, ahead)
    assert hits.found.all()
    return caster.surface(origin, ahead, hits).albedo[0]


def test_signs_say_what_they_should_and_are_not_mirrored() -> None:
    def red(c: torch.Tensor) -> bool:
        return bool(c[0] > 2.5 * c[2])

    def white(c: torch.Tensor) -> bool:
        return bool(c.min() > 0.5)

    assert red(painted_on("stop", 0.2))
    assert white(painted_on("stop", 0.36))
    assert red(painted_on("yield", 0.19))
    assert white(painted_on("yield", 0.0))
    assert red(painted_on("yield", -0.38))
    assert white(painted_on("speed", 0.2))
    assert red(painted_on("speed", 0.3))
    # The stem of the P is on the left, its bow above.
    assert white(painted_on("parking", -0.16, -0.08))
    assert not white(painted_on("parking", -0.16, 0.08))
    assert white(painted_on("parking", 0.08, 0.08))


def test_a_signal_looks_ahead_and_shows_one_light() -> None:
    for seed, up in ((0, 3.12), (1, 2.83), (2, 2.54)):
        lit = [part for part in posts.make_signal(seed).parts if max(part.material.emission) > 0]
        (lens,) = lit
        assert float(lens.vertices[:, 2].mean()) == pytest.approx(up, abs=0.02)
        assert float(lens.vertices[:, 0].min()) > 0.2


@pytest.mark.parametrize("make", [make_sign, make_fence])
def test_unknown_kinds_are_refused(make: Callable[..., Thing]) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        make(0, kind="igloo", **({"length": 2.0} if make is make_fence else {}))
