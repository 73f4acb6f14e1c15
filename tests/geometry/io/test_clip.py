"""Our clip file: what goes in comes out, and nothing else comes in."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldloom.errors import InputError
from worldloom.geometry import Occupancy, VoxelGrid, compose, rotz
from worldloom.geometry.io import load_clip, save_clip
from worldloom.geometry.io.clip import load_clip_with_tokens
from worldloom.geometry.io.npz import save_npz


def made_up_clip(seed: int = 0, t: int = 3, shape: tuple[int, int, int] = (5, 4, 3), dtype=torch.float32) -> Occupancy:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (t, *shape), dtype=torch.uint8, generator=generator)
    observed = torch.rand((t, *shape), generator=generator) < 0.5
    yaw = torch.rand(t, generator=generator, dtype=dtype)
    poses = compose(rotz(yaw), torch.randn(t, 3, generator=generator, dtype=dtype))
    return Occupancy(labels, observed, poses, VoxelGrid((-1.0, 0.5, 2.0), 0.3, shape), ("a", "b", "é", "free"), 0.5)


@given(st.integers(0, 99), st.integers(1, 4), st.tuples(*[st.integers(1, 6)] * 3), st.booleans())
@settings(max_examples=30, deadline=None)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, seed: int, t: int, shape, double: bool):
    path = tmp_path_factory.mktemp("clip") / "x.npz"
    clip = made_up_clip(seed, t, shape, torch.float64 if double else torch.float32)
    tokens = [f"token-{i}" for i in range(t)]
    save_clip(path, clip, tokens)
    back, names = load_clip_with_tokens(path)
    for name in ("labels", "observed", "world_from_ego"):
        assert torch.equal(getattr(back, name), getattr(clip, name))
        assert getattr(back, name).dtype == getattr(clip, name).dtype
    assert (back.grid, back.classes, back.dt, names) == (clip.grid, clip.classes, clip.dt, tokens)


def test_same_bytes_and_packed_masks(tmp_path: Path):
    clip = made_up_clip(t=8, shape=(40, 40, 8))
    save_clip(tmp_path / "x.npz", clip)
    save_clip(tmp_path / "y.npz", clip)
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()
    assert np.load(tmp_path / "x.npz")["observed"].nbytes == clip.observed.numel() // 8
    assert load_clip_with_tokens(tmp_path / "x.npz")[1] is None


def contents(path: Path) -> dict[str, np.ndarray]:
    save_clip(path, made_up_clip())
    return dict(np.load(path, allow_pickle=False))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.full((3, 5, 4, 3), 4, np.uint8)}, r"class ids below 4 .* got 4"),
        ({"labels": np.zeros((3, 5, 4, 3), np.int64)}, "'labels' to be uint8 t x y z, got int64 3 5 4 3"),
        ({"labels": np.zeros((0, 5, 4, 3), np.uint8), "world_from_ego": np.zeros((0, 4, 4))}, "at least one frame"),
        ({"observed": np.zeros(22, np.uint8)}, "23 bytes of packed 'observed', got 22"),
        ({"world_from_ego": np.eye(4)[None].repeat(2, 0)}, "t = 3, got float64 2 4 4"),
        ({"world_from_ego": np.full((3, 4, 4), np.nan)}, "finite numbers, got NaN or infinity in frame 0"),
        ({"world_from_ego": np.stack([np.eye(4), 2 * np.eye(4), np.eye(4)])}, "rigid transforms.* in frame 1"),
        ({"world_from_ego": np.stack([np.eye(4), np.eye(4), np.diag([1.0, -1, 1, 1])])}, "mirrored in frame 2"),
        ({"dt": np.float64(-0.5)}, "positive dt"),
        ({"dt": np.float64(np.nan)}, "positive dt"),
        ({"voxel_size": np.float64(0)}, "positive dt and voxel_size"),
        ({"origin": np.array([0, np.inf, 0])}, "positive dt and voxel_size"),
        ({"clip_version": np.int64(2)}, "clip version 1, got 2"),
        ({"labels": None}, "an array 'labels'"),
        ({"tokens": np.array(["one"])}, "'tokens' to be str t"),
    ],
)
def test_wrong_contents(tmp_path: Path, change: dict, message: str):
    arrays = {**contents(tmp_path / "x.npz"), **change}
    save_npz(tmp_path / "y.npz", {name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(InputError, match=message) as caught:
        load_clip(tmp_path / "y.npz")
    assert "\n" not in str(caught.value)
    assert "y.npz" in str(caught.value)


def test_what_cannot_be_saved(tmp_path: Path):
    clip = made_up_clip()
    with pytest.raises(ValueError, match="3 tokens"):
        save_clip(tmp_path / "x.npz", clip, ["one"])
    batch = Occupancy(clip.labels[None], clip.observed[None], clip.world_from_ego[None], clip.grid, clip.classes, 0.5)
    with pytest.raises(ValueError, match="t x y z"):
        save_clip(tmp_path / "x.npz", batch)
    assert not list(tmp_path.iterdir())
