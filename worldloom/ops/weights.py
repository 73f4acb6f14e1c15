"""Weights on disk: a folder with config.json, model.safetensors and, for people, card.md. Nothing is ever unpickled."""

import json
import shutil
import struct
import uuid
from dataclasses import asdict, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from worldloom.errors import InputError
from worldloom.ops.dataclass_json import brief, dataclass_from_json, one_line, some_of

CONFIG, MODEL, CARD = "config.json", "model.safetensors", "card.md"
MAX_CONFIG_BYTES = 1 << 20
MAX_HEADER_BYTES = 8 << 20  # about 80,000 tensors; a longer header is an attack or a broken file

C = TypeVar("C")


def save_weights(folder: str | Path, module: nn.Module, config: Any, card: str = "") -> None:
    """Write `module` with the dataclass `config` that builds it, so that a crash never leaves half a folder.

    Everything is written to a new folder beside `folder`, which then takes its place.

    Raises:
        InputError: where `folder` exists and holds anything but weights.
    """
    folder = Path(folder)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
    bad = next((name for name, value in tensors.items() if not _finite(value)), None)
    if bad is not None:
        raise ValueError(f"weights to save must be finite, got NaN or infinity in {bad}")
    if folder.exists():
        strangers = (
            [] if not folder.is_dir() else [p.name for p in folder.iterdir() if p.name not in (CONFIG, MODEL, CARD)]
        )
        if strangers or not folder.is_dir():
            raise InputError(
                f"{folder} must be new or a folder of weights, it holds {', '.join(strangers) or 'a file'}"
            )
    fresh = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.new")
    fresh.mkdir(parents=True)
    try:
        (fresh / CONFIG).write_text(
            json.dumps(_config_to_json(config), indent=2, allow_nan=False) + "\n", encoding="utf-8"
        )
        save_file(tensors, fresh / MODEL)
        if card:
            (fresh / CARD).write_text(card, encoding="utf-8")
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def load_weights(folder: str | Path, module: nn.Module) -> None:
    """Fill `module` from a folder of weights. Names and shapes must be exactly those of the module.

    Values are converted to the module's dtypes (floating ones only) and devices. Nothing is changed on an error.

    Raises:
        InputError: in one line, for a file that is missing, broken, of another model, or not finite.
    """
    path = Path(folder) / MODEL
    _check_header(path)
    expected = module.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            found = set(file.keys())
            _check_names(path, set(expected), found)
            for name, value in expected.items():
                shape = tuple(file.get_slice(name).get_shape())
                if shape != tuple(value.shape):
                    raise InputError(f"{path}: {name} must be {tuple(value.shape)}, got {shape}")
            tensors = {name: file.get_tensor(name) for name in expected}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a readable safetensors file: {one_line(error)}") from error
    for name, value in tensors.items():
        wanted = expected[name].dtype
        if value.dtype != wanted and not (value.is_floating_point() and wanted.is_floating_point):
            raise InputError(f"{path}: {name} must hold {wanted}, got {value.dtype}")
        if not _finite(value):
            raise InputError(f"{path}: {name} holds NaN or infinity, expected finite numbers")
    module.load_state_dict(tensors, strict=True)


def load_config(folder: str | Path, config_class: type[C]) -> C:
    """Read config.json of a folder of weights as the dataclass that saved it.

    Raises:
        InputError: in one line, where the file is missing, is no JSON, or does not fit the dataclass.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise InputError(f"no weights in {folder}: expected {CONFIG} and {MODEL}")
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise InputError(f"{path} must be at most {MAX_CONFIG_BYTES} bytes, got {path.stat().st_size}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {one_line(error)}") from error
    if not isinstance(data, dict) or set(data) != {"config", "fields"}:
        raise InputError(f"{path} must hold 'config' and 'fields', got {brief(data)}")
    if data["config"] != config_class.__name__:
        raise InputError(f"{path} must be a {config_class.__name__}, got {brief(data['config'])}")
    return dataclass_from_json(data["fields"], config_class, str(path))


def weights_path(package: str, name_or_path: str | Path, part: str = "") -> Path:
    """The folder of weights called `name_or_path` in `package` (its weights/<name>), or at that path.

    A plain name means embedded weights if there are such, so a folder of the same name is written "./name".

    Args:
        part: of a model of several networks: embedded as weights/<name>-<part>, and a folder in a folder elsewhere.

    Raises:
        InputError: where there are none; the line lists the embedded names that it takes.
    """
    names = {}
    root = resources.files(package) / "weights"
    if root.is_dir():
        names = {entry.name: entry for entry in root.iterdir() if (entry / MODEL).is_file()}
    embedded_name = f"{name_or_path}-{part}" if part else str(name_or_path)
    if isinstance(name_or_path, str) and embedded_name in names:
        return Path(str(names[embedded_name]))
    folder = Path(name_or_path).expanduser() / part
    if (folder / MODEL).is_file():
        return folder
    ending = f"-{part}" if part else ""
    embedded = ", ".join(sorted(name.removesuffix(ending) for name in names if name.endswith(ending))) or "none"
    file = f"{part}/{MODEL}" if part else MODEL
    raise InputError(f"no weights called {str(name_or_path)!r}: expected a folder with {file} or one of: {embedded}")


def _swap(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder` by renames."""
    if not folder.exists():
        fresh.rename(folder)
        return
    old = fresh.with_suffix(".old")
    folder.rename(old)
    try:
        fresh.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)


def _check_header(path: Path) -> None:
    """Refuse a file whose first eight bytes promise more than a sane header, before anything is allocated."""
    if not path.is_file():
        raise InputError(f"no weights at {path}")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
    header = struct.unpack("<Q", start)[0] if len(start) == 8 else None
    if header is None or header > min(MAX_HEADER_BYTES, size - 8):
        raise InputError(f"{path} is not a safetensors file: {size} bytes with a header of {header}")


def _check_names(path: Path, expected: set[str], found: set[str]) -> None:
    missing, unexpected = sorted(expected - found), sorted(found - expected)
    if missing or unexpected:
        parts = [
            f"{word} {some_of(names)}" for word, names in (("misses", missing), ("has unexpected", unexpected)) if names
        ]
        raise InputError(f"{path} is of another model: it {' and '.join(parts)}")


def _finite(value: torch.Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())


def _config_to_json(config: Any) -> dict:
    if not is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"config must be a dataclass instance, got {type(config).__name__}")
    return {"config": type(config).__name__, "fields": asdict(config)}
