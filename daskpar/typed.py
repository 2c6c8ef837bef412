"""The types of settings: conversion of a value to a plain Python value of the type that a hint declares.

NumPy scalars and arrays without axes become Python numbers, lists and arrays become tuples, and paths become
texts. Nothing else is converted: 16.0 is not an integer, "16" is not a number, and True is not 1.
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
"""Integers must be below this, so that they stay integers in arrays. Seeds may be larger."""
PLAIN_TYPES: tuple[type, ...] = (bool, int, float, str, NoneType)


class Unfit(Exception):
    """A value of the wrong type. The argument is the reason."""


def checked(where: str, value: Any, hint: Any) -> Any:
    """Return `value` as a plain value of the type `hint`.

    Raises InputError if it has another type. The message begins with `where`, the name of the setting.
    """
    try:
        value = fitted(value, hint)
    except Unfit:
        raise InputError(f"{where}={shown(value, 80)}: expected {described(hint)}") from None
    if not where.endswith("seed") and any(abs(number) >= LARGEST for number in within(value, int)):
        raise InputError(f"{where}={shown(value, 80)}: expected whole numbers below 2**63")
    return value


def fitted(value: Any, hint: Any) -> Any:
    """Return `value` as a plain value of the type `hint`. Raises Unfit if it has another type."""
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
    except ValueError as error:  # pydantic's ValidationError; its import is slow
        raise Unfit(error.errors()[0]["msg"].lower()) from None  # type: ignore[attr-defined]


@cache
def is_ours(hint: Any) -> bool:
    """Return whether settings may have this type hint. Other values in users' blocks are not checked."""
    if hint in (*PLAIN_TYPES, Path) or is_dataclass(hint) or get_origin(hint) is Sequence:
        return True
    parts = [part for part in get_args(hint) if part is not ...]
    return get_origin(hint) in (tuple, Union, UnionType) and all(map(is_ours, parts))


def _listed(value: Any, kind: Any) -> Any:
    """Return a list or tuple as it is, after a check of the type of its items."""
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
    """Return a hint in which dataclasses stand for their instances; pydantic would validate their fields."""
    from pydantic import InstanceOf

    if is_dataclass(hint):
        return Annotated[hint, InstanceOf()]
    origin, parts = get_origin(hint), tuple(map(_by_instance, get_args(hint)))
    if origin in (UnionType, Union):
        return Union[parts]  # noqa: UP007
    return GenericAlias(tuple, parts) if origin is tuple else hint


def options_of(hint: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the one type."""
    return get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)


def plain(value: Any) -> Any:
    """Return a value with NumPy scalars as Python numbers, and with lists and arrays as tuples."""
    if type(value) in PLAIN_TYPES:
        return value
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
        return float(value) if isinstance(value, np.floating) else value  # long doubles remain NumPy's
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    return plain(value.tolist()) if isinstance(value, np.ndarray) else value


def within(value: Any, kind: Any) -> Iterator[Any]:
    """Yield the values of a type in nested tuples."""
    if isinstance(value, tuple):
        for part in value:
            yield from within(part, kind)
    elif isinstance(value, kind):
        yield value


def plain_types(hint: Any) -> tuple[type, ...]:
    """Return the plain types that a hint accepts. Integers are accepted as floats."""
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
    """Return a type in words, e.g. "a whole number or None"."""
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
