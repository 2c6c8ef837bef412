"""Sources and parts in words, for terminals and notebooks: rows, shapes, dtypes and classes.

Only values that are known or cheap are shown. A text is made even if a file has gone: printing must not fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Protocol

import numpy as np

from daskpar.data.records import TEXT, is_records, kinds, names_of
from daskpar.data.source import Source
from daskpar.errors import InputError

_FAILURES = InputError, OSError, TypeError, ValueError  # of sources, also of people's own
_COUNTED = 100_000  # rows up to which all targets are read to count the classes
_MOST = 1_000  # different values up to which whole numbers may be classes
_NAMED = 4  # classes that are listed by name

Line = tuple[str, str]
"""A name and a text, side by side."""


class Rows(Protocol):
    """A source or a part of one."""

    @property
    def rows(self) -> int:
        """The number of rows."""
        ...


def content(source: Source) -> list[Line]:
    """Return a line about the examples and one about the targets of a source; [] if it cannot be read."""
    try:
        targets = [_array(source.y_shape, source.y_dtype), _classes(source)]
        lines = [("x", _examples(source)), ("y", ", ".join(filter(None, targets)))]
        return [*lines, ("weights", "one for each row")] if source.weighted else lines
    except _FAILURES:
        return []


def row_count(rows: Rows) -> int | None:
    """Return the number of rows of a source or a part; None if it cannot be read."""
    try:
        return rows.rows
    except _FAILURES:
        return None


def source_text(source: Source) -> str:
    """Return a source of arrays in one line: `InMemory(5 rows, x: 3 float64, y: int64, 2 classes)`."""
    rows, lines = row_count(source), content(source)
    arrays = ", ".join(f"{name}: {text}" for name, text in lines) or "not readable"
    return f"{type(source).__name__}({arrays if rows is None else f'{rows:,} rows, {arrays}'})"


def table_text(title: str, lines: Sequence[Line]) -> str:
    """Return a title with indented lines below it, their names aligned."""
    width = max((len(name) for name, _ in lines), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {text}" for name, text in lines)])


def table_html(title: str, lines: Sequence[Line]) -> str:
    """Return the same as HTML for a notebook."""
    style = 'style="text-align:left;padding:1px 8px;white-space:pre"'
    rows = "".join(
        f"<tr><td {style}>{escape(name)}</td><td {style}>{escape(text)}</td></tr>" for name, text in lines
    )
    table = f'<table style="border-collapse:collapse;margin:0">{rows}</table>' if rows else ""
    return f"<div><b>{escape(title)}</b>{table}</div>"


def counted(numbers: Sequence[int | None]) -> list[str]:
    """Return numbers of rows in words, aligned to the right."""
    texts = ["not readable" if n is None else f"{n:,} row{'' if n == 1 else 's'}" for n in numbers]
    return [text.rjust(max(map(len, texts))) for text in texts]


def _examples(source: Source) -> str:
    if is_records(source.x_dtype):
        columns = kinds(source.x_dtype)
        return f"{len(columns)} columns, {len(names_of(columns, TEXT))} of them texts"
    return _array(source.x_shape, source.x_dtype)


def _array(shape: tuple[int, ...], dtype: np.dtype) -> str:
    """Return shape and dtype of a row: `8 × 8 × 1 uint8`, or `int32` for a single value."""
    name = "texts" if dtype.kind in "OSTU" else str(dtype)
    return " ".join(filter(None, (" × ".join(map(str, shape)), name)))


def _classes(source: Source) -> str:
    """Return the number of classes and the names of a few; "" if there are none or counting takes long."""
    names = source.names
    if source.tokens:
        return f"{len(names)} characters" if names else ""
    if not names and source.y_shape == () and source.y_dtype.kind in "iubU":
        values = _values(source)
        if values is None:
            return ""
        if values.dtype.kind != "U":
            numbered = np.array_equal(values, np.arange(len(values)))
            return f"{len(values)} {'classes' if numbered else 'different values'}"
        names = tuple(values.tolist())
    if not names:
        return ""
    some = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{len(names)} classes: {some}"


def _values(source: Source) -> np.ndarray | None:
    """Return the different targets, sorted; None if they are too many, or would have to be computed."""
    if source.rows > _COUNTED:
        return None
    try:
        values = np.unique(source.read_targets(slice(0, source.rows)))
    except TypeError:  # a source without arrays, e.g. of dask
        return None
    return values if len(values) <= _MOST else None
