"""The `repr` of blocks: a call that makes the same block, without arguments that are defaults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from html import escape
from textwrap import indent
from typing import Any, ClassVar, Protocol, TypeGuard, cast

_LINE = 80  # characters of a text without line breaks
_MOST_ROWS = 60  # layers of a table of HTML


class _Dataclass(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def short_repr(block: object) -> str:
    """Return a call of the class that names only the fields that differ from their defaults.

    Fields without a default come first, by position. Different blocks have different texts. A list of layers
    that is too long for a line has a line for each layer.

    >>> from daskpar import Dense, Layout, ReLU, Sequential
    >>> Layout(data=2), Dense(16)
    (Layout(data=2), Dense(units=16))
    >>> Sequential([Dense(64, bias=False), ReLU(), Dense(64, bias=False), ReLU(), Dense(8)])
    Sequential([
        Dense(units=64, bias=False),
        ReLU(),
        Dense(units=64, bias=False),
        ReLU(),
        Dense(units=8),
    ])
    """
    arguments: list[tuple[str, str | list[str]]] = [
        ("" if required else f"{name}=", [*map(repr, value)] if _blocks(value) else repr(value))
        for name, value, required in differing(block)
    ]
    name = type(block).__name__
    text = f"{name}({', '.join(prefix + _in_brackets(value) for prefix, value in arguments)})"
    if len(text) <= _LINE and "\n" not in text:
        return text
    return f"{name}({', '.join(prefix + _in_lines(value) for prefix, value in arguments)})"


def _in_brackets(value: str | list[str]) -> str:
    return value if isinstance(value, str) else f"[{', '.join(value)}]"


def _in_lines(value: str | list[str]) -> str:
    if isinstance(value, str):
        return value
    lines = "".join(f"{indent(part, '    ')},\n" for part in value)
    return f"[\n{lines}]"


def block_html(block: object) -> str:
    """Return HTML of a block for a notebook: its layers and its other fields, as tables with help texts.

    The layers within a layer are indented below it. Of many rows, only the first and the last are shown.
    """
    helps = {field.name: field.metadata.get("help") or "" for field in _fields(block)}
    rows = [
        row_html(escape(name), code_html(value_repr(value)), f"<small>{escape(helps[name])}</small>")
        for name, value, _ in differing(block)
        if not _blocks(value)
    ]
    return f"<div><b>{escape(type(block).__name__)}</b>{parts_html(block)}{rows_html(rows)}</div>"


def parts_html(block: object) -> str:
    """Return an HTML table of the blocks within a block, each with its number; "" if there are none."""
    rows = [row_html(*cells) for cells in _part_cells(block, "", 0)]
    left_out = len(rows) - _MOST_ROWS
    if left_out > 0:
        half = _MOST_ROWS // 2
        rows[half:-half] = [row_html("…", f"{left_out:,} more")]
    return rows_html(rows)


def _part_cells(block: object, number: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the number and the HTML of each block within a block, in the order of its fields."""
    lists = [(name, value) for name, value, _ in differing(block) if _blocks(value)]
    pad = f'<span style="padding-left:{2 * depth}em"></span>'
    for first, (name, parts) in enumerate(lists):
        if first:
            yield "", f"{pad}<small>{escape(name)}:</small>"
        for index, part in enumerate(parts):
            place = "" if first or (depth and not number) else f"{number}{index}"
            inner = [*_part_cells(part, f"{place}." if place else "", depth + 1)]
            yield place, pad + code_html(_without_lists(part) if inner else repr(part))
            yield from inner


def _without_lists(block: object) -> str:
    """Return the `repr` of a block without the blocks within it: its name, if nothing else is left."""
    arguments = ", ".join(f"{name}={value!r}" for name, value, _ in differing(block) if not _blocks(value))
    return type(block).__name__ + (f"({arguments})" if arguments else "")


def code_html(text: str) -> str:
    """Return a text, escaped, in the font of code."""
    return f"<code>{escape(text)}</code>"


def row_html(*cells: str) -> str:
    """Return a row of a table for a notebook. The cells are HTML."""
    parts = (f'<td style="text-align:left;padding:1px 8px">{cell}</td>' for cell in cells)
    return f"<tr>{''.join(parts)}</tr>"


def rows_html(rows: list[str]) -> str:
    """Return the table of these rows; "" for none."""
    return f'<table style="border-collapse:collapse;margin:0">{"".join(rows)}</table>' if rows else ""


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
