"""The choice of engine is visible, and what was asked for is never silently replaced."""

import subprocess
import sys

import pytest
import torch

from worldloom.errors import InputError, MissingExtra
from worldloom.ops.sparse import backend as engines
from worldloom.ops.sparse import backends, choose_backend


def test_status_names_every_engine():
    assert [engine.name for engine in backends()] == ["native", "torch", "spconv"]
    assert all(engine.detail for engine in backends())


def test_status_of_an_spconv_wheel(monkeypatch):
    """Its distribution is named after a CUDA version, unlike its module."""
    monkeypatch.setattr(engines, "spconv_module_name", lambda: "spconv")
    monkeypatch.setattr(engines, "packages_distributions", lambda: {"spconv": ["spconv-cu126"]})
    monkeypatch.setattr(engines, "version", lambda name: {"spconv-cu126": "2.3.8"}[name])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status = backends()[2]
    assert not status.available
    assert status.detail == "spconv-cu126 2.3.8, but torch sees no GPU"


def test_other_dtypes_go_to_the_twin():
    assert choose_backend(torch.zeros(1, 1, dtype=torch.float64)) == "torch"
    assert choose_backend(torch.zeros(1, 1, dtype=torch.bfloat16)) == "torch"
    with pytest.raises(InputError, match=r"native takes float32 on the CPU, got torch\.float64 on cpu"):
        choose_backend(torch.zeros(1, 1, dtype=torch.float64), "native")


def test_missing_engines(monkeypatch):
    monkeypatch.setattr(engines, "native_module", lambda: None)
    monkeypatch.setattr(engines, "spconv_module_name", lambda: None)
    engines._warn_once.cache_clear()
    x = torch.zeros(1, 1)
    with pytest.warns(RuntimeWarning, match="the compiled extension is missing"):
        assert choose_backend(x) == "torch"
    assert choose_backend(x) == "torch"  # a second warning would fail this test
    engines._warn_once.cache_clear()
    with pytest.raises(MissingExtra, match="compiled extension"):
        choose_backend(x, "native")
    with pytest.raises(MissingExtra, match=r"pip install 'worldloom\[cuda\]'"):
        choose_backend(x, "spconv")


def test_spconv_needs_a_gpu(monkeypatch):
    monkeypatch.setattr(engines, "spconv_module_name", lambda: "spconv_triton")
    with pytest.raises(InputError, match="spconv takes features on a GPU, got cpu"):
        choose_backend(torch.zeros(1, 1), "spconv")


def test_import_loads_no_extension_or_extra():
    code = (
        "import sys, worldloom.ops.sparse; "
        "print([m for m in ('worldloom.ops._native', 'spconv', 'spconv_triton', 'triton') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
