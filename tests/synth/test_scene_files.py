"""Worlds as folders: the cameras that are written are those of the pictures, and stand in the air."""

import json
import random
from pathlib import Path

import pytest
import torch

pytest.importorskip("embreex", reason="rays need the extra `synth`")
pytest.importorskip("shapely", reason="worlds need the extra `synth`")

from worldloom.geometry import apply, directions, invert
from worldloom.geometry.io import load_cameras
from worldloom.synth.cast import Caster
from worldloom.synth.light.metering import metered_exposure
from worldloom.synth.scene_files import WORLD_FILE, SceneOptions, make_world, view_cameras, write_world
from worldloom.synth.truth_file import load_truth

ROOM = 16
OPTIONS = SceneOptions(64, 1, 6, (24, 32), mesh=False)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds")
    write_world(folder, lambda share, doing: None, "room", ROOM, OPTIONS)
    return folder / f"room-{ROOM:06d}"


def test_views_and_the_panorama_are_one_world(room: Path) -> None:
    """Points that the panorama sees lie, through the poses of cameras.json, no nearer than their view's depth.

    A view that looks at such a point sees it, or something that stands before it.
    """
    panorama = load_truth(room / "panoramas/000")
    stand = make_world("room", ROOM).stands[0]
    points = (stand + panorama.distance[..., None] * directions(64).float())[~panorama.sky]
    posed = load_cameras(room / "cameras.json")
    assert posed.names == tuple(f"views/{i:03d}.png" for i in range(OPTIONS.num_views))
    seen = agreeing = 0
    for i, name in enumerate(posed.names):
        depth = load_truth(room / name).depth
        assert depth is not None
        local = apply(invert(posed.cameras.world_from_cam[i]), points)
        u, v, _ = (local / local[:, 2:] @ posed.cameras.K[i].T).unbind(-1)
        inside = (local[:, 2] > 0.1) & (u >= 0) & (u < 32) & (v >= 0) & (v < 24)
        behind = depth[v[inside].long(), u[inside].long()] / local[inside, 2]
        assert (behind < 1.15).float().mean() > 0.93, name  # the rest are edges between pixels
        seen += int(inside.sum())
        agreeing += int((behind.log().abs() < 0.1).sum())
    assert seen > 400
    assert agreeing > 0.6 * seen


def test_the_exposure_is_told(room: Path) -> None:
    """It is what turns light into the pictures."""
    told = json.loads((room / WORLD_FILE).read_text())["exposure"]
    assert told == metered_exposure(Caster(make_world("room", ROOM)))


@pytest.mark.parametrize(("kind", "seed"), [("room", ROOM), ("room", 3), ("courtyard", 1)])
def test_cameras_stand_in_the_air_about_their_stands(kind: str, seed: int) -> None:
    """Nothing is between a camera and its stand, nor within a quarter of a metre behind it."""
    caster = Caster(make_world(kind, seed))
    cameras = view_cameras(caster, SceneOptions(num_views=60), random.Random(seed))
    stands = caster.world.stands
    stand = stands[torch.arange(60) % len(stands)]
    eyes = torch.stack([camera.world_from_cam[:3, 3] for camera in cameras])
    step = eyes - stand
    length = step.norm(dim=-1)
    assert (length > 0.5).float().mean() > 0.3
    assert (length <= 1.43).all()  # at most a metre along x and along y
    moved = length > 0.01
    hits = caster.cast(stand[moved], step[moved])
    assert (~hits.found | (hits.distance > length[moved] + 0.249)).all()
