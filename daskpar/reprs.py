"""The `repr` of blocks: a call that makes the same block, without arguments that are defaults."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from html import escape
from typing import Any, ClassVar, Protocol, TypeGuard, cast


class _Dataclass(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def short_repr(block: object) -> str:
    """Return a call of the class that names only the fields that differ from their defaults.

    Fields without a default come first, by position. Different blocks have different texts.

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
    """Return HTML of a block for a notebook: its layers as a list, its other fields with their help texts."""
    helps = {field.name: field.metadata.get("help") or "" for field in _fields(block)}
    lists, rows = [], []
    for name, value, _ in differing(block):
        if _blocks(value):
            items = "".join(f"<li><code>{escape(repr(part))}</code></li>" for part in value)
            lists.append(f'<ol start="0" style="margin:0">{items}</ol>')
        else:
            code, help = escape(value_repr(value)), escape(helps[name])
            cells = (escape(name), f"<code>{code}</code>", f"<small>{help}</small>")
            rows.append("".join(f'<td style="text-align:left;padding:1px 8px">{cell}</td>' for cell in cells))
    table = "".join(f"<tr>{row}</tr>" for row in rows)
    table = f'<table style="border-collapse:collapse;margin:0">{table}</table>' if rows else ""
    return f"<div><b>{escape(type(block).__name__)}</b>{''.join(lists)}{table}</div>"


def differing(block: object) -> list[tuple[str, Any, bool]]:
    """Return (name, value, has no default) of each field that differs from its default.

    Fields that can only be given by keyword come last.
    """
    listed = []
    for field in sorted(_fields(block), key=lambda field: bool(field.kw_only)):
        value = getattr(block, field.name, MISSING)
        if field.repr and value is not MISSING and not _is_default(field, value):
            listed.append((field.name, value, _required(field)))
    return listed


def _fields(block: object) -> tuple[Field[Any], ...]:
    return fields(cast(_Dataclass, block))


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING and field.init and not field.kw_only


def _is_default(field: Field[Any], value: object) -> bool:
    default = field.default
    if default is MISSING and field.default_factory is not MISSING:
        default = field.default_factory()
    if default is MISSING:
        return False
    try:
        return value is default or (type(value) is type(default) and bool(value == default))
    except (TypeError, ValueError):  # the comparison of arrays has no single result
        return False


def value_repr(value: object) -> str:
    """Return the `repr` of a value. A tuple of blocks is written as a list, as people write it."""
    if _blocks(value):
        return f"[{', '.join(map(repr, value))}]"
    return repr(value)


def _blocks(value: object) -> TypeGuard[tuple[object, ...]]:
    return isinstance(value, tuple) and bool(value) and hasattr(type(value[0]), "kind")
