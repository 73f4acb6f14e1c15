"""Plants stand on the ground at their origin, as tall as asked, coarse ones cheap, and each seed its own."""

import numpy as np
import pytest
import torch

from worldloom.synth.outdoors.plants import (
    TREE_KINDS,
    make_bush,
    make_flowers,
    make_grass,
    make_hedge,
    make_tree,
    make_vine_row,
)
from worldloom.synth.world import Thing


def vertices(thing: Thing) -> torch.Tensor:
    return torch.cat([part.vertices for part in thing.parts])


def areas(thing: Thing) -> torch.Tensor:
    found = []
    for part in thing.parts:
        a, b, c = (part.vertices[part.faces[:, k].long()].double() for k in range(3))
        found.append(torch.linalg.cross(b - a, c - a).norm(dim=1) / 2)
    return torch.cat(found)


@pytest.mark.parametrize("detail", ["full", "coarse"])
@pytest.mark.parametrize("kind", TREE_KINDS)
def test_a_tree_stands_upright_and_is_as_tall_as_asked(kind: str, detail: str) -> None:
    tree = make_tree(5, kind, 8.0, detail)
    v = vertices(tree)
    assert torch.isfinite(v).all()
    assert (areas(tree) > 1e-10).all()
    assert float(v[:, 2].max()) == pytest.approx(8.0, abs=1e-3)
    assert -0.5 < float(v[:, 2].min()) <= 0.0
    wood = torch.cat([part.vertices for part in tree.parts if part.material.name == "bark"] or [v])
    foot = wood[wood[:, 2] < 0.2]
    assert float(foot[:, :2].norm(dim=1).max()) < 1.2  # a trunk, not a crown, comes out of the ground
    crown = v[v[:, 2] > 3.0]
    assert float(crown[:, :2].mean(0).norm()) < 1.5
    assert 0.3 < float(crown[:, :2].norm(dim=1).max()) < 8.0
    count = sum(len(part.faces) for part in tree.parts)
    assert count < 300 if detail == "coarse" else 1000 < count < 12_000


def test_seeds_differ_and_repeat() -> None:
    one, same, other = (vertices(make_tree(seed, "oak", 9)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert one.shape != other.shape or not torch.allclose(one, other)


def test_leaves_differ_in_tone_from_place_to_place_and_stay_in_range() -> None:
    for part in make_tree(3, "round", 8.0).parts:
        pattern = part.material.pattern
        assert pattern is not None
        colours = pattern(part.vertices, torch.nn.functional.normalize(part.vertices, dim=1))
        assert ((colours >= 0) & (colours <= 1)).all()
        assert colours.std(0).max() > 0.005


def test_low_plants_keep_to_their_size_and_stand_on_the_ground() -> None:
    hedge = vertices(make_hedge(2, 4.0, 0.8, 1.5))
    assert hedge.amax(0).tolist() == pytest.approx([2.0, 0.4, 1.5], abs=0.35)
    bush = vertices(make_bush(2, 1.6, 1.2))
    assert -0.1 < float(bush[:, 2].min()) < 0.15
    assert 0.5 < float(bush[:, 2].max()) < 2.2
    vines = vertices(make_vine_row(2, 10.0))
    assert float(vines[:, 0].abs().max()) == pytest.approx(5.0, abs=0.3)
    assert float(vines[:, 1].abs().max()) < 1.2


def test_grass_and_flowers_grow_from_their_roots() -> None:
    roots = np.array([[3.0, 4.0, 1.0], [-2.0, 5.0, -0.5]])
    for thing in (make_grass(1, roots, 0.4, (0.1, 0.2, 0.05)), make_flowers(1, roots, 0.4)):
        v = vertices(thing)
        nearest = (v[:, None] - torch.from_numpy(roots).float()).norm(dim=2).min(1).values
        assert float(nearest.max()) < 0.9
        assert float(v[:, 2].min()) > -0.6


@pytest.mark.parametrize(("kind", "height", "detail"), [("cactus", 3, "full"), ("oak", 0, "full"), ("oak", 3, "low")])
def test_bad_requests_are_refused(kind: str, height: int, detail: str) -> None:
    with pytest.raises(ValueError, match="expected a kind"):
        make_tree(1, kind, height, detail)
