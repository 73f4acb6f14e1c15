"""Dataclasses from JSON: every value is held against the annotated type, and what does not fit is said in one line."""

import re
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union

from worldloom.errors import InputError


def dataclass_from_json(value: Any, kind: Any, where: str) -> Any:
    """`value`, as `json.loads` gives it, as the annotated type `kind`: a dataclass, or what its fields may be.

    Fields may be bool, int, float, str, None, tuples, mappings with text keys, literals, unions and other dataclasses.
    Unknown and missing fields are refused, and so are numbers that a float cannot hold.

    Args:
        where: begins the message, such as a file and its line.
    Raises:
        InputError: anything that does not fit, the dataclass's own checks included.
    """
    return _parse(value, kind, where)


def _parse(value: Any, kind: Any, where: str) -> Any:
    """`value` from JSON as the annotated type `kind`; anything that does not fit is an InputError."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _parse_dataclass(value, kind, where)
    if origin in (Union, types.UnionType):
        return _parse_union(value, args, where)
    if origin is Literal:
        if any(type(value) is type(choice) and value == choice for choice in args):
            return value
    elif origin is tuple and isinstance(value, list):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(kinds) == len(value):
            return tuple(_parse(v, k, f"{where}[{i}]") for i, (v, k) in enumerate(zip(value, kinds, strict=True)))
    elif origin in (dict, Mapping) and isinstance(value, dict) and args[0] is str:
        return {key: _parse(v, args[1], f"{where}.{key}") for key, v in value.items()}
    elif (
        kind is float
        and isinstance(value, (int, float))
        and type(value) is not bool
        and abs(value) <= sys.float_info.max
    ):
        return float(value)
    elif kind in (int, bool, str, type(None)) and type(value) is kind:
        return value
    raise InputError(f"{where} must be {getattr(kind, '__name__', None) if not args else kind}, got {brief(value)}")


def _parse_union(value: Any, kinds: tuple[Any, ...], where: str) -> Any:
    for kind in kinds:
        try:
            return _parse(value, kind, where)
        except InputError:
            continue
    raise InputError(
        f"{where} must be {' or '.join(getattr(k, '__name__', str(k)) for k in kinds)}, got {brief(value)}"
    )


def _parse_dataclass(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be an object for {kind.__name__}, got {brief(value)}")
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}
    needed = {f.name for f in known.values() if f.default is MISSING and f.default_factory is MISSING}
    missing, unexpected = sorted(needed - set(value)), sorted(set(value) - set(known))
    if missing or unexpected:
        parts = [
            f"{word} {some_of(names)}" for word, names in (("misses", missing), ("has unexpected", unexpected)) if names
        ]
        raise InputError(f"{where}: {kind.__name__} {' and '.join(parts)}")
    parsed = {name: _parse(v, hints[name], f"{where}: {name}") for name, v in value.items()}
    try:
        return kind(**parsed)
    except ValueError as error:  # the dataclass's own checks
        raise InputError(f"{where}: {one_line(error)}") from error


def one_line(text: object) -> str:
    """At most 300 printable characters."""
    return re.sub(r"[^ -~]+", " ", str(text))[:300].strip()


def some_of(names: list[str]) -> str:
    """The first three names, and how many more there are."""
    shown = ", ".join(name[:80] for name in names[:3])
    return one_line(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def brief(value: object) -> str:
    """A value in at most 60 characters, for a message."""
    return one_line(repr(value))[:60]
