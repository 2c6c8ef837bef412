"""The `repr` of blocks: a call that makes the same block, without the arguments that are as usual."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any


def short_repr(block: object) -> str:
    """Return a call of the class that names only the fields that differ from their defaults.

    Fields without a default come first, by position. Blocks that differ have different texts.

    >>> from daskpar import Dense, Layout
    >>> Layout(data=2), Dense(16)
    (Layout(data=2), Dense(16))
    """
    arguments = ", ".join(
        value_repr(value) if required else f"{name}={value_repr(value)}"
        for name, value, required in differing(block)
    )
    return f"{type(block).__name__}({arguments})"


def differing(block: Any) -> list[tuple[str, Any, bool]]:
    """Return name, value, and whether it has no default, of each field that is not as usual."""
    listed = []
    for field in fields(block):
        value = getattr(block, field.name, MISSING)
        if field.repr and value is not MISSING and not _as_usual(field, value):
            listed.append((field.name, value, _required(field)))
    return listed


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING and field.init and not field.kw_only


def _as_usual(field: Field[Any], value: object) -> bool:
    usual = field.default
    if usual is MISSING and field.default_factory is not MISSING:
        usual = field.default_factory()
    if usual is MISSING:
        return False
    try:
        return value is usual or (type(value) is type(usual) and bool(value == usual))
    except (TypeError, ValueError):  # arrays are neither equal nor not
        return False


def value_repr(value: object) -> str:
    """Return the `repr` of a value; a tuple of blocks is written as people write it, as a list."""
    if isinstance(value, tuple) and value and hasattr(type(value[0]), "kind"):
        return f"[{', '.join(map(repr, value))}]"
    return repr(value)
