"""Depth networks of users, as functions from pictures to numbers: ONNX files and transformers' models."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from worldloom.errors import InputError, require

_MAX_BYTES = 2 << 30  # of an ONNX file; larger ones need files beside them
_MAX_SIDE = 2048  # pixels of a view
_DEFAULT_SIZE = (256, 320)  # of a view where the network takes any
_EXTERNAL = b"\x0a\x08location"  # how an ONNX file names another one that holds its weights
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_BATCH = 4


@runtime_checkable
class DepthNetwork(Protocol):
    """Something that answers perspective pictures with a number for each pixel that rises or falls with depth."""

    @property
    def size(self) -> tuple[int, int]: ...  # (height, width) of the pictures that it takes

    @property
    def ranges(self) -> Sequence["InputRange"]: ...  # what its input may have to be, the likeliest first

    def __call__(self, views: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v h w"]: ...


@dataclass(frozen=True)
class InputRange:
    """How display values in [0, 1] become a network's input: (x - mean) / deviation, for each colour."""

    name: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def __call__(self, views: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v 3 h w"]:
        mean, deviation = (views.new_tensor(x)[:, None, None] for x in (self.mean, self.deviation))
        return (views - mean) / deviation


RANGES = (
    InputRange("0 to 255", (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    InputRange("ImageNet's mean and deviation", *_IMAGENET),
    InputRange("0 to 1", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
)


def open_depth_network(name_or_path: str | Path) -> DepthNetwork:
    """An .onnx file, or a folder that `transformers` wrote with `save_pretrained`. Nothing is ever downloaded.

    Raises:
        InputError: neither of them, or it cannot be used.
        MissingExtra: onnxruntime or transformers is not installed.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file() and path.suffix == ".onnx":
        return OnnxDepth(path)
    if path.is_dir() and (path / "config.json").is_file():
        return TransformersDepth(path)
    raise InputError(f"expected a depth network as an .onnx file or a folder of transformers, got {str(path)!r}")


class OnnxDepth:
    """A network in an ONNX file with one picture as its input, and one map of numbers as its first output."""

    def __init__(self, path: Path) -> None:
        onnxruntime = require("onnxruntime", "onnx", "an ONNX depth network")
        if not path.is_file():
            raise InputError(f"no ONNX file at {path}")
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} must be at most {_MAX_BYTES} bytes, got {path.stat().st_size}")
        content = path.read_bytes()
        if _EXTERNAL in content:
            raise InputError(f"{path} keeps its weights in other files; expected an ONNX file that holds all of them")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        self.path = path
        try:
            self._session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of many classes, which onnxruntime does not export
            raise InputError(f"{path} is no usable ONNX file: {_one_line(error)}") from error
        self.size, self._input = self._checked_input()
        self.ranges = RANGES

    def __call__(self, views: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v h w"]:
        answers = [self._one(view) for view in views]
        return torch.stack(answers)

    def _one(self, view: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
        try:
            values = self._session.run(None, {self._input: view[None].float().contiguous().numpy()})[0]
        except Exception as error:
            raise InputError(f"{self.path} cannot be run: {_one_line(error)}") from error
        return _one_map(str(self.path), torch.as_tensor(values), 1, self.size)[0]

    def _checked_input(self) -> tuple[tuple[int, int], str]:
        inputs = self._session.get_inputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        fits = len(shape) == 4 and inputs[0].type == "tensor(float)"
        if not fits or (isinstance(shape[0], int) and shape[0] != 1) or (isinstance(shape[1], int) and shape[1] != 3):
            told = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
            raise InputError(f"{self.path} must take one picture as float 1 3 h w, got {_one_line(told)}")
        sides = [side if isinstance(side, int) else usual for side, usual in zip(shape[2:], _DEFAULT_SIZE, strict=True)]
        if not all(16 <= side <= _MAX_SIDE for side in sides):
            raise InputError(f"{self.path} must take pictures of 16 to {_MAX_SIDE} pixels a side, got {sides}")
        return (sides[0], sides[1]), inputs[0].name


class TransformersDepth:
    """A depth model of `transformers` (DPT, Depth Anything, ZoeDepth …) from a folder with safetensors weights."""

    def __init__(self, path: Path) -> None:
        transformers = require("transformers", "transformers", "a depth network of transformers")
        self.path = path
        try:
            self._model: Any = transformers.AutoModelForDepthEstimation.from_pretrained(
                str(path), local_files_only=True, trust_remote_code=False, use_safetensors=True
            ).eval()
        except Exception as error:  # whatever a folder that someone else wrote provokes
            raise InputError(f"{path} is no depth model of transformers: {_one_line(error)}") from error
        told = _preprocessing(path)
        self.ranges = (InputRange("the model's own mean and deviation", *told["statistics"]),)
        multiple = _multiple(self._model.config)
        height, width = (max(multiple, round(side / multiple) * multiple) for side in told["size"])
        self.size = (height, width)

    @torch.no_grad()
    def __call__(self, views: Float[Tensor, "v 3 h w"]) -> Float[Tensor, "v h w"]:
        maps = []
        for batch in views.split(_BATCH):
            try:
                values = self._model(pixel_values=batch).predicted_depth
            except (RuntimeError, ValueError) as error:
                raise InputError(f"{self.path} cannot be run: {_one_line(error)}") from error
            maps.append(_one_map(str(self.path), values, len(batch), self.size))
        return torch.cat(maps)


def _preprocessing(path: Path) -> dict[str, Any]:
    """Mean and deviation of colours, and the size of pictures, from preprocessor_config.json if there is one."""
    file = path / "preprocessor_config.json"
    if not file.is_file():
        return {"statistics": _IMAGENET, "size": _DEFAULT_SIZE}
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        mean, deviation = (
            tuple(map(float, told.get(key, usual)))
            for key, usual in zip(("image_mean", "image_std"), _IMAGENET, strict=True)
        )
        size = told.get("size", {})
        sides = (int(size.get("height", _DEFAULT_SIZE[0])), int(size.get("width", _DEFAULT_SIZE[1])))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is no preprocessor's description: {_one_line(error)}") from error
    if len(mean) != 3 or len(deviation) != 3 or min(deviation) <= 0 or not all(16 <= s <= _MAX_SIDE for s in sides):
        raise InputError(f"{file} must tell 3 means, 3 positive deviations and a size up to {_MAX_SIDE}, got {told}")
    return {"statistics": (mean, deviation), "size": sides}


def _multiple(config: Any) -> int:
    """What a model's sides must be multiples of."""
    for one in (config, getattr(config, "backbone_config", None)):
        patch = getattr(one, "patch_size", None)
        if isinstance(patch, int) and 1 <= patch <= 64:
            return patch
    return 32


def _one_map(name: str, values: Tensor, num: int, size: tuple[int, int]) -> Float[Tensor, "v h w"]:
    """A network's answer as one finite number for each pixel of its input."""
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 3 or len(values) != num or not values.is_floating_point() or min(values.shape) < 1:
        raise InputError(f"{name} must answer {num} maps of one number a pixel, got {tuple(values.shape)}")
    if max(values.shape[1:]) > 2 * _MAX_SIDE or not bool(values.isfinite().all()):
        raise InputError(f"{name} must answer finite numbers of the picture's size, got others")
    if tuple(values.shape[1:]) != size:
        values = F.interpolate(values[:, None].float(), size, mode="bilinear", align_corners=False)[:, 0]
    return values.float()


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:200]
