"""Pickles from others, read as data: containers, numbers, texts and NumPy arrays, and nothing that is called.

A pickle is a program; the ordinary unpickler runs it. This one knows only the instructions that build plain data, and
in place of the few functions that NumPy's own pickles name it has functions of this module. Everything that takes
memory is bounded by the size of the file, so that a small file cannot ask for a large array. It is slower than the
ordinary one: some three million instructions a second.
"""

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from worldloom.errors import InputError

MAX_BYTES = 1 << 30  # of a file
MAX_CONTAINERS = 20_000_000  # lists, dicts, sets and marks: an empty one is a byte in the file and 200 in memory
MAX_ITEM_BYTES = 1 << 12  # of one element of an array: a text of a thousand letters
_ALLOWED = (
    *("PROTO", "STOP", "FRAME", "MARK", "POP", "POP_MARK", "DUP", "NONE", "NEWTRUE", "NEWFALSE"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
)
_COUNTED = ("MARK", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET")
_NAME_OF = {getattr(pickle, name): name for name in pickle.__all__ if isinstance(getattr(pickle, name), bytes)}
_PLAIN_KEYS = (str, bytes, int, float, bool, type(None))


def load_plain_pickle(path: str | Path, max_bytes: int = MAX_BYTES) -> Any:
    """What a pickle holds, where that is plain data: builtin containers, numbers, texts, NumPy arrays and scalars.

    Raises:
        InputError: no such file, too large, damaged, or something else in it; classes are named.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise InputError(f"{path}: expected a pickle of at most {max_bytes} bytes, got {size}")
        with path.open("rb") as file:
            return _PlainUnpickler(_Bounded(file, size), size).load()
    except InputError as error:
        raise error if str(error).startswith(str(path)) else InputError(f"{path}: {error}") from error
    except (MemoryError, RecursionError, OSError) as error:
        raise InputError(f"{path}: expected a pickle, got {type(error).__name__} {_short(error)}".rstrip()) from error
    # Whatever is wrong in a pickle, the machine that runs it meets it as one of these.
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InputError(f"{path}: expected a whole pickle of plain data, got {_short(error)}") from error
    except (OverflowError, AssertionError) as error:
        raise InputError(f"{path}: expected a whole pickle of plain data, got {_short(error)}") from error


class _Bounded:
    """A file that is never asked for more than it has, whatever length the pickle claims."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self._left:
            raise InputError(
                f"expected a whole pickle, got one that asks for {count} bytes where {self._left} are left"
            )
        data = self._file.read(count)
        self._left -= len(data)
        return data

    def readline(self) -> bytes:
        data = self._file.readline(self._left)
        self._left -= len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Function:
    """What stands for a function that a pickle may name. Nothing can be set on it."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call


class _Dtype:
    """The kind of an array's elements, while it is being built."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        self.dtype = _plain_dtype(code)

    def build(self, state: Any) -> None:
        """Byte order alone: the rest of a dtype's state can make it lie about what memory holds."""
        plain = isinstance(state, tuple) and len(state) == 8 and state[2:5] == (None, None, None)
        if not plain or state[1] not in ("<", ">", "=", "|"):
            raise InputError("expected arrays of numbers or texts, got a dtype with fields")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


_NDARRAY = object()  # the class, as an argument


def _plain_dtype(code: Any) -> np.dtype:
    if isinstance(code, bytes):
        code = code.decode("latin1")
    fits = isinstance(code, str) and code[:1] in "?bBhHiIlLqQefdgFDbiufcSUO" and code[1:].isascii()
    fits = fits and (code[1:].isdigit() or not code[1:])
    dtype = np.dtype(code) if fits and len(code) < 8 else None
    if dtype is None or dtype.kind not in "biufcSUO" or not 0 < dtype.itemsize <= MAX_ITEM_BYTES:
        raise InputError(f"expected arrays of numbers or texts, got dtype {_short(code)}")
    return dtype


def _bytes_of(data: Any) -> bytes:
    if isinstance(data, str):  # a text of Python 2
        data = data.encode("latin1")
    if not isinstance(data, (bytes, bytearray)):
        raise InputError(f"expected the bytes of an array, got {type(data).__name__}")
    return bytes(data)


def _shape_of(shape: Any) -> tuple[int, ...]:
    shape = (shape,) if type(shape) is int else shape
    fits = isinstance(shape, tuple) and len(shape) <= 16 and all(type(n) is int and 0 <= n < 1 << 40 for n in shape)
    if not fits:
        raise InputError(f"expected the shape of an array, got {type(shape).__name__}")
    return shape


def _array(shape: Any, dtype: Any, fortran: bool, data: Any) -> np.ndarray:
    """An array whose data are all there."""
    if not isinstance(dtype, _Dtype):
        raise InputError(f"expected a dtype, got {type(dtype).__name__}")
    shape, kind, order = _shape_of(shape), dtype.dtype, "F" if fortran else "C"
    count = math.prod(shape)
    if kind.hasobject:
        if not isinstance(data, list) or len(data) != count:
            raise InputError(f"expected a list of {count} objects in an array {shape}, got {type(data).__name__}")
        array = np.empty(count, object)
        array[:] = data
        return array.reshape(shape, order=order)
    data = _bytes_of(data)
    if len(data) != count * kind.itemsize:
        raise InputError(f"expected {count * kind.itemsize} bytes in an array {shape} of {kind}, got {len(data)}")
    array = np.frombuffer(data, kind, count).reshape(shape, order=order)
    return array.astype(kind.newbyteorder("="), copy=True)


def _reconstruct(kind: Any, shape: Any, typecode: Any) -> np.ndarray:
    if kind is not _NDARRAY:
        raise InputError("expected numpy.ndarray itself, got another class of array")
    return np.empty(0, np.uint8)


def _scalar(dtype: Any, data: Any = b"") -> Any:
    return _array((), dtype, False, [data] if isinstance(dtype, _Dtype) and dtype.dtype.hasobject else data)[()]


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return _array(shape, dtype, order == "F", data)


def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    """How protocols 0 to 2 write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise InputError(f"expected bytes as latin1, got encoding {_short(encoding)}")
    return text.encode("latin1")


def _plain_set(items: Any = ()) -> set[Any]:
    return {_key(item) for item in items}


def _plain_bytes(*args: Any) -> bytes:
    return _latin1(*args) if args else b""


def _plain_bytearray(*args: Any) -> bytearray:
    return bytearray(_latin1(*args) if args and isinstance(args[0], str) else _bytes_of(args[0] if args else b""))


def _plain_complex(real: Any = 0.0, imag: Any = 0.0) -> complex:
    if not isinstance(real, float) or not isinstance(imag, float):
        raise InputError("expected two floats in a complex number")
    return complex(real, imag)


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _latin1,
    **{
        (f"numpy.{core}.{module}", name): call
        for core in ("core", "_core")
        for module, name, call in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    **{
        (module, name): call
        for module in ("builtins", "__builtin__")
        for name, call in (
            ("set", _plain_set),
            ("frozenset", lambda items=(): frozenset(_plain_set(items))),
            ("bytes", _plain_bytes),
            ("bytearray", _plain_bytearray),
            ("complex", _plain_complex),
        )
    },
}


def _key(value: Any) -> Any:
    """A key of a dict, or a member of a set: never deep, because hashing a deep tuple ends the process."""
    flat = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(item, (*_PLAIN_KEYS, np.generic)) for item in flat):
        raise InputError(f"expected keys that are texts or numbers, got {type(value).__name__}")
    return value


class _PlainUnpickler(pickle._Unpickler):
    """The machine of a pickle with the instructions of `_ALLOWED`, some of them stricter."""

    stack: list[Any]

    def __init__(self, file: _Bounded, size: int) -> None:
        super().__init__(file, encoding="latin1")  # pyright: ignore[reportArgumentType]
        self._containers = 0
        self._left = 4 * size + (1 << 16)  # bytes of what our functions make: from one text many arrays can be made

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return _NDARRAY
        if (module, name) not in _FUNCTIONS:
            raise InputError(f"expected plain data (containers, numbers, NumPy arrays), got {module}.{name}"[:300])
        return _Function(_FUNCTIONS[module, name])

    def persistent_load(self, pid: Any) -> Any:
        raise InputError("expected plain data, got a persistent id")

    def marked(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        return self.pop_mark()  # pyright: ignore[reportAttributeAccessIssue]

    def count(self) -> None:
        """One more container."""
        self._containers += 1
        if self._containers > MAX_CONTAINERS:
            raise InputError(f"expected at most {MAX_CONTAINERS} containers, got more")

    def spend(self, made: Any) -> None:
        """Account for the memory of something that was made from what may be used again."""
        if isinstance(made, (np.ndarray, np.generic)):
            self._left -= made.nbytes
        elif isinstance(made, (bytes, bytearray)):
            self._left -= len(made)
        elif isinstance(made, (set, frozenset)):
            self._left -= 16 * len(made)
        if self._left < 0:
            raise InputError("expected arrays that are stored in the file, got some many times larger than the file")

    def reduce(self) -> None:
        """Call one of our own functions."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Function) or not isinstance(arguments, tuple):
            raise InputError(f"expected plain data, got a call of {type(function).__name__}")
        made = function.call(*arguments)
        self.spend(made)
        self.stack.append(made)

    def build(self) -> None:
        """Fill an array or a dtype."""
        state, thing = self.stack.pop(), self.stack[-1]
        if isinstance(thing, _Dtype):
            thing.build(state)
        elif type(thing) is np.ndarray and isinstance(state, tuple) and len(state) == 5:
            full = _array(state[1], state[2], bool(state[3]), state[4])
            self.spend(full)
            # In place, because others may hold it already. The dtype is ours, so that it tells the truth.
            content = full.flatten(order="F" if state[3] else "C")
            data = content.tolist() if full.dtype.hasobject else content.tobytes()
            thing.__setstate__((1, full.shape, full.dtype, bool(state[3]), data))  # pyright: ignore
        else:
            raise InputError(f"expected plain data, got a state for {type(thing).__name__}")

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise InputError(f"expected items of a dict, got them for {type(target).__name__}")
        for i in range(0, len(items), 2):
            target[_key(items[i])] = items[i + 1]

    def extend(self, items: list[Any], kind: type) -> None:
        target = self.stack[-1]
        if type(target) is not kind:
            raise InputError(f"expected items of a {kind.__name__}, got them for {type(target).__name__}")
        if kind is set:
            target.update(_key(item) for item in items)
        else:
            target.extend(items)


def _refused(name: str) -> Callable[[_PlainUnpickler], None]:
    def refuse(machine: _PlainUnpickler) -> None:
        raise InputError(f"expected plain data, got the instruction {name}")

    return refuse


def _counted(inner: Callable[[_PlainUnpickler], None]) -> Callable[[_PlainUnpickler], None]:
    def load(machine: _PlainUnpickler) -> None:
        machine.count()
        inner(machine)

    return load


def _two(machine: _PlainUnpickler) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _new_dict(machine: _PlainUnpickler) -> None:
    items = machine.marked()
    machine.stack.append({})
    machine.set_items(items)


def _frozen(machine: _PlainUnpickler) -> None:
    items = machine.marked()
    machine.stack.append(frozenset(_key(item) for item in items))


def _one(machine: _PlainUnpickler) -> None:
    item = machine.stack.pop()
    machine.extend([item], list)


def _instructions() -> dict[int, Callable[[_PlainUnpickler], None]]:
    ours: dict[str, Callable[[_PlainUnpickler], None]] = {
        "REDUCE": _PlainUnpickler.reduce,
        "BUILD": _PlainUnpickler.build,
        "SETITEM": _two,
        "SETITEMS": lambda machine: machine.set_items(machine.marked()),
        "DICT": _new_dict,
        "FROZENSET": _frozen,
        "APPEND": _one,
        "APPENDS": lambda machine: machine.extend(machine.marked(), list),
        "ADDITEMS": lambda machine: machine.extend(machine.marked(), set),
    }
    table = {}
    inherited: dict[int, Any] = dict(pickle._Unpickler.dispatch)
    for code, inner in inherited.items():
        name = _NAME_OF.get(bytes([code]), f"0x{code:02x}")
        allowed = ours[name] if name in ours else inner if name in _ALLOWED else _refused(name)
        table[code] = _counted(allowed) if name in _COUNTED else allowed
    return table


_PlainUnpickler.dispatch = _instructions()  # pyright: ignore[reportAttributeAccessIssue]


def _short(value: object) -> str:
    text = str(value) if isinstance(value, (str, Exception)) else type(value).__name__
    return " ".join(text.split())[:160]
