"""The `repr` of blocks: a call that makes the same block, without the arguments that are as usual."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from html import escape
from typing import Any, ClassVar, Protocol, TypeGuard, cast


class _Dataclass(Protocol):
    """An object of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def short_repr(block: object) -> str:
    """Return a call of the class that names only the fields that differ from their defaults.

    Fields without a default come first, by position. Blocks that differ have different texts.

    >>> from daskpar import Dense, Layout
    >>> Layout(data=2), Dense(16)
    (Layout(data=2), Dense(units=16))
    """
    arguments = ", ".join(
        value_repr(value) if required else f"{name}={value_repr(value)}"
        for name, value, required in differing(block)
    )
    return f"{type(block).__name__}({arguments})"


def block_html(block: object) -> str:
    """Return a block for a notebook: its layers as a list, its other fields with what they mean."""
    helps = {field.name: field.metadata.get("help") or "" for field in _fields(block)}
    lists, rows = [], []
    for name, value, _ in differing(block):
        if _blocks(value):
            items = "".join(f"<li><code>{escape(repr(part))}</code></li>" for part in value)
            lists.append(f'<ol start="0" style="margin:0">{items}</ol>')
        else:
            told = f"<code>{escape(value_repr(value))}</code>", f"<small>{escape(helps[name])}</small>"
            cells = (escape(name), *told)
            rows.append("".join(f'<td style="text-align:left;padding:1px 8px">{cell}</td>' for cell in cells))
    table = "".join(f"<tr>{row}</tr>" for row in rows)
    table = f'<table style="border-collapse:collapse;margin:0">{table}</table>' if rows else ""
    return f"<div><b>{escape(type(block).__name__)}</b>{''.join(lists)}{table}</div>"


def differing(block: object) -> list[tuple[str, Any, bool]]:
    """Return name, value, and whether it has no default, of each field that is not as usual.

    Those that can only be given by name come last.
    """
    listed = []
    for field in sorted(_fields(block), key=lambda field: bool(field.kw_only)):
        value = getattr(block, field.name, MISSING)
        if field.repr and value is not MISSING and not _as_usual(field, value):
            listed.append((field.name, value, _required(field)))
    return listed


def _fields(block: object) -> tuple[Field[Any], ...]:
    return fields(cast(_Dataclass, block))


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
    if _blocks(value):
        return f"[{', '.join(map(repr, value))}]"
    return repr(value)


def _blocks(value: object) -> TypeGuard[tuple[object, ...]]:
    return isinstance(value, tuple) and bool(value) and hasattr(type(value[0]), "kind")
