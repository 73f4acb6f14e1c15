"""Pickles as data: what NumPy and Python write comes back, and nothing else is let in."""

import codecs
import collections
import datetime
import functools
import os
import pickle
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worldloom.errors import InputError
from worldloom.geometry.io import plain_pickle
from worldloom.geometry.io.plain_pickle import load_plain_pickle

PLAIN: dict[str, Any] = {
    "nested": [1, -(2**40), 2**100, 1.5, True, None, "é", b"\xff\x00", (1, (2,)), {3: {"x": []}}],
    "fortran": np.arange(6.0).reshape(2, 3).T,
    "scalars": [np.float32(0.5), np.int64(-3), np.bool_(True), np.str_("word")],
    "words": np.array(["a", "bcd"]),
    "bytes": np.array([b"a", b"bcd"]),
    "objects": np.array([{"k": 1}, None, [2]], dtype=object),
    "none": np.zeros((0, 5), np.float32),
    "single": np.array(3, np.int16),
    "big_endian": np.arange(3, dtype=">i4"),
    "complex": [1j, np.array([1 + 2j])],
    "sets": [{1, 2}, frozenset("ab"), bytearray(b"xyz"), set()],
    "bool": np.array([[True, False]]),
}


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def same(got: Any, expected: Any) -> bool:
    if isinstance(expected, np.ndarray):
        native = expected.dtype.newbyteorder("=")
        return (
            type(got) is np.ndarray and got.dtype == native and got.shape == expected.shape and (got == expected).all()
        )
    if isinstance(expected, (list, tuple)):
        pairs = zip(got, expected, strict=True)
        return type(got) is type(expected) and all(same(a, b) for a, b in pairs)
    return type(got) is type(expected) and got == expected


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    got = load_plain_pickle(write(tmp_path / "p.pkl", pickle.dumps(PLAIN, protocol)))
    assert list(got) == list(PLAIN)
    for name, expected in PLAIN.items():
        assert same(got[name], expected), name


def test_what_is_shared_stays_shared(tmp_path: Path) -> None:
    array, loop = np.arange(5), []
    loop.append(loop)
    got = load_plain_pickle(write(tmp_path / "p.pkl", pickle.dumps([array, {"again": array}, loop])))
    assert got[0] is got[1]["again"]
    assert got[2][0] is got[2]


def test_names_of_numpy_before_and_since_its_second_version(tmp_path: Path) -> None:
    data = pickle.dumps(PLAIN["fortran"], 2)
    for old, new in ((b"numpy._core.", b"numpy.core."), (b"numpy.core.", b"numpy._core.")):
        assert same(load_plain_pickle(write(tmp_path / "p.pkl", data.replace(old, new))), PLAIN["fortran"])


def test_texts_of_python_2(tmp_path: Path) -> None:
    data = b"\x80\x02U\x04\xe9abcU\x01x\x86."
    assert load_plain_pickle(write(tmp_path / "p.pkl", data)) == ("éabc", "x")


class Calls:
    """Pickles to a call of whatever it is given."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


class Custom:
    pass


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (Calls(os.system, "touch /tmp/owned"), r"(posix|nt|os)\.system"),
        (Calls(eval, "1"), r"(builtins|__builtin__)\.eval"),
        (Calls(getattr, "a", "upper"), r"(builtins|__builtin__)\.getattr"),
        (Calls(subprocess.Popen, ["true"]), r"(subprocess|commands)\.Popen"),
        (Calls(codecs.lookup, "utf-8"), r"codecs"),
        (Calls(np.load, "x.npy"), r"numpy.*\.load"),
        (Calls(functools.partial, print), r"functools\.partial"),
        (collections.OrderedDict(a=1), r"collections\.OrderedDict"),
        (collections.defaultdict(list), r"collections\.defaultdict"),
        (datetime.date(2020, 1, 1), r"datetime\.date"),
        (Path("x"), r"pathlib"),
        (Custom, r"Custom"),
        (Custom(), r"copyreg?\._reconstructor|copy_reg\._reconstructor|Custom"),
        (np.random.default_rng(0), r"numpy\.random|NEWOBJ"),
        (np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), r"dtype"),
        (np.array(["2020"], dtype="datetime64[D]"), r"dtype"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), r"numpy\.ma|expected"),
    ],
)
def test_classes_are_refused_by_name(tmp_path: Path, thing: Any, name: str, protocol: int) -> None:
    with pytest.raises(InputError, match=name) as error:
        load_plain_pickle(write(tmp_path / "p.pkl", pickle.dumps(thing, protocol)))
    assert "\n" not in str(error.value)
    assert str(tmp_path / "p.pkl") in str(error.value)
    assert not Path("/tmp/owned").exists()


def array_pickle(dtype: bytes, state: bytes, shape: bytes, data: bytes) -> bytes:
    """An array of protocol 2 by hand, with any state for its dtype."""
    head = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R("
    return (
        head
        + b"K\x01"
        + shape
        + b"cnumpy\ndtype\nU"
        + bytes([len(dtype)])
        + dtype
        + b"K\x00K\x01\x87R"
        + state
        + (b"b\x89" + data + b"tb.")
    )


PLAIN_STATE = b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"


def test_the_array_by_hand_is_one(tmp_path: Path) -> None:
    data = array_pickle(b"f8", PLAIN_STATE, b"K\x02\x85", b"U\x10" + struct.pack("<2d", 1.5, -2))
    assert load_plain_pickle(write(tmp_path / "p.pkl", data)).tolist() == [1.5, -2]


def deep_tuple_key(depth: int) -> bytes:
    return b"\x80\x02}" + b")" + b"\x85" * depth + b"K\x01s."


HOSTILE = {
    # a dtype that calls eight bytes of the file a pointer to an object
    "lying_dtype": array_pickle(
        b"V8", b"(K\x03U\x01|NU\x01a\x85}U\x01acnumpy\ndtype\nU\x02O8K\x00K\x01\x87RK\x00\x86sK\x08K\x01K\x00tb"[:-1],
        b"K\x01\x85", b"U\x08AAAAAAAA",
    ),
    "fields": array_pickle(
        b"f8", b"(K\x03U\x01<NU\x01a\x85}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t", b"K\x01\x85", b"U\x08AAAAAAAA"
    ),
    "zero_bytes_each": array_pickle(b"S0", PLAIN_STATE, b"J\xff\xff\xff\x7f\x85", b"U\x00"),
    "object_bytes": array_pickle(b"O8", PLAIN_STATE, b"K\x01\x85", b"U\x08AAAAAAAA"),
    "too_few_bytes": array_pickle(b"f8", PLAIN_STATE, b"J\xff\xff\xff\x7f\x85", b"U\x08AAAAAAAA"),
    "negative_shape": array_pickle(b"f8", PLAIN_STATE, b"J\xff\xff\xff\xff\x85", b"U\x00"),
    "shape_of_texts": array_pickle(b"f8", PLAIN_STATE, b"U\x01a\x85", b"U\x08AAAAAAAA"),
    "wide_texts": array_pickle(b"U99999", PLAIN_STATE, b"K\x00\x85", b"U\x00"),
    "many_axes": array_pickle(b"u1", PLAIN_STATE, b"(" + b"K\x00" * 40 + b"t", b"U\x00"),
    "claims_4_gb": b"\x80\x04B\xff\xff\xff\xffabc.",
    "claims_8_eb": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "bytearray_8_eb": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "frame_8_eb": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
    "memo_far_away": b"\x80\x02Nr\xff\xff\xff\xffh\x00.",
    "deep_key": deep_tuple_key(50_000),
    "key_is_list": b"\x80\x02}]K\x01s.",
    "set_of_lists": b"\x80\x04\x8f(]\x90.",
    "set_of_lists_by_call": b"\x80\x02c__builtin__\nset\n]]a\x85R.",
    "many_arrays_of_one_text": (
        b"\x80\x05C\xff" + b"a" * 255 + b"q\x000" + b"cnumpy.core.numeric\n_frombuffer\nq\x010cnumpy\ndtype\nU\x02u1"
        b"K\x00K\x01\x87Rq\x020" + b"](" + b"h\x01(h\x00h\x02K\xff\x85U\x01CtR" * 20_000 + b"e."
    ),
    "attribute_of_function": b"\x80\x02cnumpy.core.multiarray\nscalar\n}U\x08__code__K\x01sb.",
    "state_of_dict": b"\x80\x02}}U\x01aK\x01sb.",
    "slots_of_list": b"\x80\x02]N}U\x01aK\x01s\x86b.",
    "call_of_list": b"\x80\x02])R.",
    "call_of_dtype": b"\x80\x02cnumpy\ndtype\nU\x02f8\x85R)R.",
    "call_of_ndarray": b"\x80\x02cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85\x85R.",
    "instruction_newobj": b"\x80\x02c__builtin__\nset\n)\x81.",
    "instruction_inst": b"(i__builtin__\nset\n.",
    "instruction_obj": b"(c__builtin__\nset\no.",
    "instruction_extension": b"\x80\x02\x82\x01.",
    "instruction_buffer": b"\x80\x05\x97.",
    "persistent_text": b"Pname\n.",
    "persistent_id": b"\x80\x02K\x01Q.",
    "other_codec": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aU\x04idna\x86R.",
    "items_on_array": array_pickle(b"f8", PLAIN_STATE, b"K\x01\x85", b"U\x08AAAAAAAA")[:-1] + b"K\x00U\x01as.",
    "no_stop": b"\x80\x02N",
    "empty": b"",
    "text": b"hello world",
    "unknown_instruction": b"\x80\x02\xf9.",
    "stack_underflow": b"\x80\x02a.",
    "mark_underflow": b"\x80\x02t.",
    "future_protocol": b"\x80\x63N.",
    "get_of_nothing": b"\x80\x02h\x07.",
    "pops_everything": b"00000.",
    "no_such_module": b"\x80\x02cno_such_module_of_ours\nf\n.",
    "dotted": b"\x80\x04\x8c\x08builtins\x8c\x0bset.__sub__\x93.",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_pickles(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as error:
        load_plain_pickle(write(tmp_path / "p.pkl", HOSTILE[name]))
    message = str(error.value)
    assert message.startswith(str(tmp_path / "p.pkl"))
    assert "expected" in message
    assert "\n" not in message
    assert len(message) < 600


def test_a_deep_list_is_read_and_let_go(tmp_path: Path) -> None:
    assert load_plain_pickle(write(tmp_path / "p.pkl", b"\x80\x02" + b"]" * 10_000 + b"a" * 9_999 + b".")) != []


def test_sizes_are_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "p.pkl", pickle.dumps(list(range(1000))))
    with pytest.raises(InputError, match=rf"at most 100 bytes, got {path.stat().st_size}"):
        load_plain_pickle(path, max_bytes=100)
    monkeypatch.setattr(plain_pickle, "MAX_CONTAINERS", 50)
    with pytest.raises(InputError, match="at most 50 containers"):
        load_plain_pickle(write(tmp_path / "p.pkl", b"\x80\x02" + b"]" * 60 + b"a" * 59 + b"."))
    with pytest.raises(InputError, match="expected a pickle"):
        load_plain_pickle(tmp_path / "none.pkl")
    with pytest.raises(InputError, match="expected a pickle"):
        load_plain_pickle(tmp_path)


def test_nothing_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module beside the pickle is not even looked at."""
    (tmp_path / "evil_module_beside.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"evil_module_beside\.f"):
        load_plain_pickle(write(tmp_path / "p.pkl", b"\x80\x02cevil_module_beside\nf\n."))
