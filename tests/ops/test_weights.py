"""Weights folders: round trips, interrupted saves and hostile files."""

import json
import struct
from dataclasses import dataclass, field
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from worldloom.errors import InputError
from worldloom.ops import weights
from worldloom.ops.dataclass_json import dataclass_from_json
from worldloom.ops.weights import load_config, load_weights, save_weights, weights_path


@dataclass(frozen=True)
class Part:
    rate: float = 0.5
    name: str | None = None


@dataclass(frozen=True)
class Config:
    width: int
    levels: tuple[int, ...] = (8, 5)
    size: tuple[int, int] = (2, 3)
    mode: Literal["a", "b"] = "a"
    flag: bool = False
    part: Part = field(default_factory=Part)
    shares: dict[str, float] = field(default_factory=dict)

    def __post_init__(self):
        if self.width < 1:
            raise ValueError(f"width must be positive, got {self.width}")


def net(width: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))


def one_line(error: pytest.ExceptionInfo) -> bool:
    return "\n" not in str(error.value)


configs = st.builds(
    Config,
    width=st.integers(1, 9),
    levels=st.lists(st.integers(2, 9), max_size=4).map(tuple),
    size=st.tuples(st.integers(), st.integers()),
    mode=st.sampled_from(["a", "b"]),
    flag=st.booleans(),
    part=st.builds(Part, rate=st.floats(allow_nan=False, allow_infinity=False), name=st.none() | st.text(max_size=5)),
    shares=st.dictionaries(st.text(max_size=4), st.floats(-1, 1), max_size=3),
)


@settings(max_examples=40)
@given(configs)
def test_config_round_trip(config):
    text = json.dumps(weights._config_to_json(config), allow_nan=False)
    assert dataclass_from_json(json.loads(text)["fields"], Config, "c") == config


def test_weights_round_trip(tmp_path):
    folder = tmp_path / "Ordner mit Umlaut ä"
    source, config = net(), Config(4, part=Part(0.25, "x"))
    source.get_buffer("1.running_mean").fill_(3.0)
    save_weights(folder, source, config, card="# card\n")
    assert sorted(p.name for p in folder.iterdir()) == ["card.md", "config.json", "model.safetensors"]
    assert load_config(folder, Config) == config
    target = net()
    load_weights(folder, target)
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values(), strict=True)
    )
    # Half-precision weights fill a full-precision model.
    save_weights(folder, source.bfloat16(), config)
    load_weights(folder, target)
    assert target.get_parameter("0.weight").dtype == torch.float32
    assert torch.equal(target.get_parameter("0.weight"), source.get_parameter("0.weight").float())
    assert not (folder / "card.md").exists()
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


def test_tied_weights_are_written(tmp_path):
    model = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    model[1].weight = model[0].weight
    save_weights(tmp_path / "w", model, Config(2))
    load_weights(tmp_path / "w", model)


def test_interrupted_save_leaves_the_old_weights(tmp_path, monkeypatch):
    folder = tmp_path / "w"
    old = net()
    save_weights(folder, old, Config(4))
    monkeypatch.setattr(weights, "save_file", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_weights(folder, net(), Config(5))
    assert load_config(folder, Config).width == 4
    load_weights(folder, net())
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


def test_save_refuses_other_folders_and_nan(tmp_path):
    (tmp_path / "photo.png").touch()
    with pytest.raises(InputError, match=r"photo\.png"):
        save_weights(tmp_path, net(), Config(4))
    with pytest.raises(InputError, match="a file"):
        save_weights(tmp_path / "photo.png", net(), Config(4))
    broken = net()
    broken.get_parameter("0.weight").data[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"0\.weight"):
        save_weights(tmp_path / "w", broken, Config(4))
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


def test_load_names_what_differs(tmp_path):
    folder = tmp_path / "w"
    save_weights(folder, net(), Config(4))
    with pytest.raises(InputError, match=r"misses 2\.bias, 2\.weight") as error:
        load_weights(folder, nn.Sequential(*net(), nn.Linear(4, 1)))
    assert one_line(error)
    with pytest.raises(InputError, match=r"has unexpected 1\.bias, 1\.num_batches_tracked, 1\.running_mean and 2 more"):
        load_weights(folder, net()[:1])
    before = net(5)
    kept = before.get_parameter("0.bias").clone()
    with pytest.raises(InputError, match=r"must be \(5, 3\), got \(4, 3\)"):
        load_weights(folder, before)
    assert torch.equal(before.get_parameter("0.bias"), kept)


def hostile(folder, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\x02",
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc",
        b"\x80\x04\x95" + b"pickle" * 10,
    ],
    ids=["empty", "short", "huge header", "header past end", "no object", "no text", "pickle"],
)
def test_hostile_model_files(tmp_path, data):
    hostile(tmp_path, data)
    with pytest.raises(InputError, match="safetensors") as error:
        load_weights(tmp_path, net())
    assert one_line(error)


def test_every_truncation_is_refused(tmp_path):
    model = nn.Linear(2, 2)
    save_weights(tmp_path / "w", model, Config(1))
    data = (tmp_path / "w" / "model.safetensors").read_bytes()
    for size in range(len(data)):
        hostile(tmp_path / "w", data[:size])
        with pytest.raises(InputError):
            load_weights(tmp_path / "w", model)


def test_header_that_lies(tmp_path):
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 1 << 40]}}).encode()
    hostile(tmp_path, struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(InputError, match="safetensors"):
        load_weights(tmp_path, nn.Linear(2, 2, bias=False))
    save_file({"weight\n\x1b[31mred": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="another model") as error:
        load_weights(tmp_path, nn.Linear(2, 2, bias=False))
    assert one_line(error)
    assert "\x1b" not in str(error.value)


def test_values_must_be_finite_and_of_their_kind(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.tensor([[1.0, torch.inf]])}, path)
    with pytest.raises(InputError, match="weight holds NaN or infinity"):
        load_weights(tmp_path, nn.Linear(2, 1, bias=False))
    save_file({"weight": torch.ones(1, 2, dtype=torch.int64)}, path)
    with pytest.raises(InputError, match=r"float32, got torch\.int64"):
        load_weights(tmp_path, nn.Linear(2, 1, bias=False))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "must hold"),
        ('{"config": "Other", "fields": {}}', "must be a Config"),
        ('{"config": "Config", "fields": {}}', "misses width"),
        ('{"config": "Config", "fields": {"width": 3, "depth": 1}}', "unexpected depth"),
        ('{"config": "Config", "fields": {"width": true}}', "width must be int"),
        ('{"config": "Config", "fields": {"width": 0}}', "width must be positive"),
        ('{"config": "Config", "fields": {"width": 1, "mode": "c"}}', "mode must be"),
        ('{"config": "Config", "fields": {"width": 1, "size": [1]}}', "size must be"),
        ('{"config": "Config", "fields": {"width": 1, "levels": [1, "2"]}}', r"levels\[1\] must be int"),
        ('{"config": "Config", "fields": {"width": 1, "part": {"rate": NaN}}}', "rate must be float"),
        ('{"config": "Config", "fields": {"width": 1, "part": {"rate": 1' + 400 * "0" + "}}}", "rate must be float"),
        ('{"config": "Config", "fields": {"width": 1, "part": {"name": 1}}}', "name must be str or NoneType"),
    ],
)
def test_hostile_configs(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        load_config(tmp_path, Config)
    assert one_line(error)


def test_missing_folder(tmp_path):
    with pytest.raises(InputError, match="no weights in"):
        load_config(tmp_path / "nowhere", Config)
    with pytest.raises(InputError, match="no weights at"):
        load_weights(tmp_path / "nowhere", net())


def test_weights_path(tmp_path, monkeypatch):
    package = tmp_path / "loompack"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="one of: none"):
        weights_path("loompack", "small")
    save_weights(package / "weights" / "small", net(), Config(4))
    save_weights(tmp_path / "small", net(), Config(4))
    save_weights(tmp_path / "mine", net(), Config(4))
    assert weights_path("loompack", "small") == package / "weights" / "small"
    assert weights_path("loompack", "./small").resolve() == tmp_path / "small"
    assert weights_path("loompack", tmp_path / "mine") == tmp_path / "mine"
    for name in ("smal", "../small/nothing", "", "..", "small/../../..", "a\x00b"):
        with pytest.raises(InputError, match="one of: small") as error:
            weights_path("loompack", name)
        assert one_line(error)
    save_weights(package / "weights" / "small-half", net(), Config(4))
    save_weights(tmp_path / "mine" / "half", net(), Config(4))
    assert weights_path("loompack", "small", "half") == package / "weights" / "small-half"
    assert weights_path("loompack", tmp_path / "mine", "half") == tmp_path / "mine" / "half"
    with pytest.raises(InputError, match=r"folder with other/model\.safetensors or one of: none$"):
        weights_path("loompack", "small", "other")
    with pytest.raises(InputError, match=r"one of: small$"):  # as it is to be called, not small-half
        weights_path("loompack", "smal", "half")
