"""Which engine runs a sparse convolution, and which engines this machine has."""

import functools
import importlib
import importlib.util
import warnings
from importlib.metadata import packages_distributions, version
from types import ModuleType

import torch
from torch import Tensor

from worldloom.errors import InputError, MissingExtra
from worldloom.ops.backend import Backend

BACKENDS = ("auto", "native", "torch", "spconv")


def backends() -> list[Backend]:
    """The status of every engine on this machine, for `worldloom doctor`."""
    native = native_module()
    spconv = spconv_module_name()
    cuda = torch.cuda.is_available()
    if spconv is None:
        cuda_detail = "not installed: pip install 'worldloom[cuda]'"
    else:
        package = packages_distributions()[spconv][0]  # spconv's wheels are named after a CUDA version
        cuda_detail = f"{package} {version(package)}" + ("" if cuda else ", but torch sees no GPU")
    return [
        Backend("native", native is not None, f"CPU, {native.isa()}" if native else "the extension is not built"),
        Backend("torch", True, f"torch {torch.__version__}, any device and dtype"),
        Backend("spconv", spconv is not None and cuda, cuda_detail),
    ]


def choose_backend(features: Tensor, backend: str = "auto") -> str:
    """The engine that will run: "native", "torch" or "spconv".

    "auto" takes native for float32 on the CPU and spconv on a GPU. Where that engine is missing it warns once and takes
    the torch twin. Other dtypes on the CPU always go to the twin.

    Raises:
        InputError: if the backend is unknown, or cannot take these features.
        MissingExtra: if a backend that was asked for is not installed.
    """
    if backend not in BACKENDS:
        raise InputError(f"expected backend {', '.join(BACKENDS)}, got {backend!r}")
    if backend == "auto":
        return _automatic(features.device.type, features.dtype)
    if backend == "native":
        if features.device.type != "cpu" or features.dtype != torch.float32:
            raise InputError(f"backend native takes float32 on the CPU, got {features.dtype} on {features.device}")
        if native_module() is None:
            raise MissingExtra("backend native needs the compiled extension; pip install worldloom with a C++ compiler")
    if backend == "spconv":
        if spconv_module_name() is None:
            raise MissingExtra("backend spconv needs spconv-triton or spconv; pip install 'worldloom[cuda]'")
        if features.device.type != "cuda":
            raise InputError(f"backend spconv takes features on a GPU, got {features.device}")
    return backend


def load_backend(name: str) -> ModuleType:
    """The module of an engine; each has convolve(features, weight, bias, kernel_map)."""
    module = {"native": "_cpu", "torch": "_torch", "spconv": "_spconv"}[name]
    return importlib.import_module(f"worldloom.ops.sparse.{module}")


@functools.cache
def native_module() -> ModuleType | None:
    """The compiled extension, or None where it was not built."""
    if importlib.util.find_spec("worldloom.ops._native") is None:
        return None
    return importlib.import_module("worldloom.ops._native")


@functools.cache
def spconv_module_name() -> str | None:
    """spconv_triton before spconv, which is no longer maintained; None where neither is installed."""
    return next((name for name in ("spconv_triton", "spconv") if importlib.util.find_spec(name)), None)


def _automatic(device: str, dtype: torch.dtype) -> str:
    if device == "cpu" and dtype == torch.float32:
        if native_module() is not None:
            return "native"
        _warn_once("the compiled extension is missing; sparse convolution runs on its slower torch twin")
    if device == "cuda" and dtype in (torch.float32, torch.float16):
        if spconv_module_name() is not None:
            return "spconv"
        _warn_once("neither spconv-triton nor spconv is installed; sparse convolution runs on its slower torch twin")
    return "torch"


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=4)
