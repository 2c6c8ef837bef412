"""The types of settings: a value becomes a plain Python value of the type that a hint declares.

NumPy's numbers count as Python's, an array of no axes as its number, lists and arrays as tuples, and paths
as texts. Nothing else is converted: 16.0 is no whole number, "16" no number, True no 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import numpy as np

from daskpar.errors import InputError, shown

LARGEST = 2**63
"""Whole numbers must be below this, so that they stay whole numbers in arrays; seeds may be larger."""
PLAIN_TYPES: tuple[type, ...] = (bool, int, float, str, NoneType)


class Unfit(Exception):
    """A value is not of the type that was asked for; the argument says why."""


def checked(where: str, value: Any, hint: Any) -> Any:
    """`value` as a plain value of the type `hint`. `where` names the setting.

    Raises InputError, in one line, for a value of another type.
    """
    try:
        value = fitted(value, hint)
    except Unfit:
        raise InputError(f"{where}={shown(value, 80)}: expected {described(hint)}") from None
    if not where.endswith("seed") and any(abs(number) >= LARGEST for number in within(value, int)):
        raise InputError(f"{where}={shown(value, 80)}: expected whole numbers below 2**63")
    return value


def fitted(value: Any, hint: Any) -> Any:
    """`value` as a plain value of the type `hint`. Raises Unfit where it is of another type."""
    if not is_ours(hint):
        return value
    if get_origin(hint) is Sequence:
        return _listed(value, get_args(hint)[0])
    if is_dataclass(hint):
        if not isinstance(value, hint):  # type: ignore[arg-type]
            raise Unfit(f"input should be a {described(hint)}")
        return value
    options = options_of(hint)
    if isinstance(value, os.PathLike) and str in options and Path not in options:
        value = os.fspath(value)
    try:
        return _adapter(hint).validate_python(plain(value))
    except ValueError as error:  # pydantic's ValidationError, which is heavy to import
        raise Unfit(error.errors()[0]["msg"].lower()) from None  # type: ignore[attr-defined]


@cache
def is_ours(hint: Any) -> bool:
    """Return whether a hint is one of settings; whatever else users' own blocks hold is left alone."""
    if hint in (*PLAIN_TYPES, Path) or is_dataclass(hint) or get_origin(hint) is Sequence:
        return True
    parts = [part for part in get_args(hint) if part is not ...]
    return get_origin(hint) in (tuple, Union, UnionType) and all(map(is_ours, parts))


def _listed(value: Any, kind: Any) -> Any:
    """A list or tuple as it is, all of whose parts must be of a kind, where that is a class."""
    if not isinstance(value, list | tuple):
        raise Unfit("input should be a list")
    if kind is not Any and not all(isinstance(part, kind) for part in value):
        raise Unfit(f"input should be a list of {kind.__name__}")
    return value


@cache
def _adapter(hint: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(_by_instance(hint), config=ConfigDict(strict=True))


def _by_instance(hint: Any) -> Any:
    """A hint in which dataclasses stand for their instances; pydantic would look at their fields."""
    from pydantic import InstanceOf

    if is_dataclass(hint):
        return Annotated[hint, InstanceOf()]
    origin, parts = get_origin(hint), tuple(map(_by_instance, get_args(hint)))
    if origin in (UnionType, Union):
        return Union[parts]  # noqa: UP007
    return GenericAlias(tuple, parts) if origin is tuple else hint


def options_of(hint: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    return get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)


def plain(value: Any) -> Any:
    """NumPy's numbers, and arrays of no axes, as Python's; lists, tuples and other arrays as tuples."""
    if type(value) in PLAIN_TYPES:
        return value
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
        return float(value) if isinstance(value, np.floating) else value  # long doubles stay NumPy's
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    return plain(value.tolist()) if isinstance(value, np.ndarray) else value


def within(value: Any, kind: Any) -> Iterator[Any]:
    """The values of a kind in nested tuples."""
    if isinstance(value, tuple):
        for part in value:
            yield from within(part, kind)
    elif isinstance(value, kind):
        yield value


def plain_types(hint: Any) -> tuple[type, ...]:
    """The plain types that a hint takes; whole numbers pass for numbers."""
    types = tuple(option for option in options_of(hint) if option in PLAIN_TYPES)
    return (*types, int) if float in types else types


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a text",
    Path: "a path",
    NoneType: "None",
}


def described(hint: Any) -> str:
    """A type in words, e.g. "a whole number or None"."""
    if hint in _WORDS:
        return _WORDS[hint]
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return " or ".join(dict.fromkeys(map(described, parts)))
    if origin is tuple and parts[-1:] == (...,):
        return f"a list, each {described(parts[0])}"
    if origin is tuple:
        return f"({', '.join(map(described, parts))})"
    if origin is Sequence:
        return "a list" if parts[0] in (Any, object) else f"a list, each {described(parts[0])}"
    return f"a {hint.__name__}" if isinstance(hint, type) else str(hint)
