"""Clips as codes on disk: made once, so that the generators train without their tokenizers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from worldloom.errors import InputError
from worldloom.geometry.io.atomic import atomic_path
from worldloom.geometry.io.clip import load_clip
from worldloom.geometry.io.npz import load_npz, save_npz
from worldloom.occupancy.baselines.clip_windows import mirrored, motions
from worldloom.occupancy.baselines.occsora import held
from worldloom.occupancy.baselines.occsora_tokenizer import STRIDE, OccSoraTokenizer
from worldloom.occupancy.baselines.occworld_tokenizer import OccWorldTokenizer
from worldloom.occupancy.class_planes import shown_labels

_SORA_KEYS = {
    "indices": "int16 n s h w", "past": "int16 n h w", "steps": "float32 n t 3", "slots": "int64 n", "first": "bool n",
}  # fmt: skip
_WORLD_KEYS = {"indices": "int16 m t h w", "steps": "float32 m t 3"}


class SoraWindows(NamedTuple):
    """n windows of OccSora's frames, each also left and right exchanged."""

    indices: Int64[Tensor, "n s h w"]
    past: Int64[Tensor, "n h w"]  # of the first eight frames encoded by themselves, as a forecast has to
    steps: Float[Tensor, "n t 3"]
    slots: Int64[Tensor, " n"]  # that are true; a short clip does not fill a window
    first: Bool[Tensor, " n"]  # the first window of its clip, which alone the released code uses


class WorldClip(NamedTuple):
    """The frames of a clip, both as they are and with left and right exchanged, or of a window of one of these."""

    indices: Int64[Tensor, "*m t h w"]
    steps: Float[Tensor, "*m t 3"]


def write_occsora_codes(
    tokenizer: OccSoraTokenizer,
    files: Sequence[Path],
    root: Path,
    out: Path,
    slots: int = 4,
    stride: int = 4,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Encode windows every `stride` frames; what is there already is not made again.

    Args:
        root: files below it keep their place below `out`.
    """
    return [
        _written(out / path.relative_to(root), lambda path=path: _sora_arrays(tokenizer, path, slots, stride), tell)
        for path in files
    ]


def write_occworld_codes(
    tokenizer: OccWorldTokenizer,
    files: Sequence[Path],
    root: Path,
    out: Path,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Encode every frame; what is there already is not made again. See `write_occsora_codes`."""
    return [
        _written(out / path.relative_to(root), lambda path=path: _world_arrays(tokenizer, path), tell) for path in files
    ]


def load_occsora_codes(files: Sequence[Path]) -> SoraWindows:
    """All windows of files of `write_occsora_codes`."""
    parts = [load_npz(path, _SORA_KEYS) for path in files]
    joined = {name: torch.from_numpy(np.concatenate([part[name] for part in parts])) for name in _SORA_KEYS}
    if not len(joined["slots"]):
        raise InputError(f"expected windows of codes, got none in {len(files)} files")
    return SoraWindows(
        joined["indices"].long(), joined["past"].long(), joined["steps"], joined["slots"], joined["first"]
    )


def load_occworld_codes(files: Sequence[Path]) -> list[WorldClip]:
    """The clips of files of `write_occworld_codes`."""
    parts = [load_npz(path, _WORLD_KEYS) for path in files]
    return [WorldClip(torch.from_numpy(a["indices"]).long(), torch.from_numpy(a["steps"])) for a in parts]


def draw_window(clips: Sequence[WorldClip], frames: int, dice: Random) -> WorldClip:
    """Some frames of some clip, one orientation."""
    clip, side = dice.choice(clips), dice.randrange(2)
    start = dice.randrange(clip.indices.shape[1] - frames + 1)
    steps = clip.steps[side, start : start + frames].clone()
    steps[0] = 0  # a forecast does not know it
    return WorldClip(clip.indices[side, start : start + frames], steps)


def _written(path: Path, arrays: Callable[[], dict[str, np.ndarray]], tell: Callable[[str], None]) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        content = arrays()
        with atomic_path(path) as temporary:
            save_npz(temporary, content)
        tell(str(path))
    return path


def _sora_arrays(tokenizer: OccSoraTokenizer, path: Path, slots: int, stride: int) -> dict[str, np.ndarray]:
    clip = load_clip(path)
    true = min(slots, len(clip) // STRIDE)
    starts = range(0, len(clip) - true * STRIDE + 1, stride) if true >= 2 else range(0)
    h, w = (n // STRIDE for n in clip.grid.shape[:2])
    count = 2 * len(starts)
    indices, past = np.zeros((count, slots, h, w), np.int16), np.zeros((count, h, w), np.int16)
    steps = np.zeros((count, slots * STRIDE, 3), np.float32)
    for side, one in enumerate((clip, mirrored(clip))):
        labels, moved = shown_labels(one), motions(one.world_from_ego, one.dt)
        for i, start in enumerate(starts, side * len(starts)):
            window = slice(start, start + true * STRIDE)
            indices[i, :true] = tokenizer.indices(labels[window][None])[0].numpy()
            past[i] = tokenizer.indices(labels[window][None, :STRIDE])[0, 0].numpy()
            steps[i] = held(moved[window], slots * STRIDE).numpy()
            steps[i, 0] = 0  # a forecast does not know it
    first = np.tile(np.array(starts) == 0, 2)
    return {"indices": indices, "past": past, "steps": steps, "slots": np.full(count, true, np.int64), "first": first}


def _world_arrays(tokenizer: OccWorldTokenizer, path: Path) -> dict[str, np.ndarray]:
    clip = load_clip(path)
    both = (clip, mirrored(clip))
    indices = torch.stack(
        [torch.cat([tokenizer.encode(one[i : i + 1]).indices for i in range(len(one))]) for one in both]
    )
    steps = torch.stack([motions(one.world_from_ego, one.dt) for one in both])
    return {"indices": indices.numpy().astype(np.int16), "steps": steps.numpy().astype(np.float32)}
