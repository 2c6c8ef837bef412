"""Conversion of values from users' callbacks, metrics and blocks to JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from daskpar.errors import InputError
from daskpar.settings import Block, called
from daskpar.typed import PLAIN_TYPES, plain


def for_json(value: object, where: str = "JSON") -> Any:
    """Return a value with NumPy's numbers and arrays, paths and blocks as plain Python; keys, too.

    Raises InputError for a value that JSON cannot hold; `where` is its name in the message.
    """
    if type(value) in PLAIN_TYPES:
        return value
    if isinstance(value, Mapping):
        keys = (key if isinstance(key, str) else for_json(key, where) for key in value)
        return {key: for_json(part, f"{where}.{key}") for key, part in zip(keys, value.values(), strict=True)}
    value = plain(value)
    if isinstance(value, tuple):
        return [for_json(part, f"{where}.{i}") for i, part in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Block) and is_dataclass(value):
        written = [f for f in fields(value) if not (f.kw_only and getattr(value, f.name) == f.default)]
        return {called(value): {f.name: for_json(getattr(value, f.name), where) for f in written}}
    if not isinstance(value, PLAIN_TYPES):
        raise InputError(
            f"{where}: a {type(value).__name__} cannot be kept as JSON; use numbers, texts, lists and "
            "dictionaries"
        )
    return value
