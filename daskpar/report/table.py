"""Tables of numbers, as aligned text of a given width and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

GAP = 2
"""Spaces between columns."""


@dataclass(frozen=True)
class Column:
    """A column of numbers: its `name`, below the heading of its `group`.

    `width`: the least number of characters. `rank`: if there is no room, columns of the highest rank are left
    out first. `left`: for a column of texts, which are aligned to the left.
    """

    name: str
    group: str = ""
    width: int = 0
    rank: int = 0
    left: bool = False

    @property
    def room(self) -> int:
        """The width of the column in characters."""
        return max(self.width, len(self.name))


def fitting(columns: Sequence[Column], width: int) -> list[int]:
    """Return the numbers of the columns that fit side by side into `width` characters; always the first."""
    numbers = list(range(len(columns)))
    while len(numbers) > 1 and _needed([columns[n] for n in numbers]) > width:
        numbers.remove(max(numbers[1:], key=lambda n: (columns[n].rank, n)))
    return numbers


def _needed(columns: Sequence[Column]) -> int:
    return sum(column.room for column in columns) + GAP * (len(columns) - 1)


def row_text(columns: Sequence[Column], cells: Sequence[str]) -> str:
    """Return a row as text, each cell aligned in its column."""
    gap, pairs = GAP * " ", zip(columns, cells, strict=True)
    return gap.join(
        cell.ljust(column.room) if column.left else cell.rjust(column.room) for column, cell in pairs
    )


def head_text(columns: Sequence[Column]) -> list[str]:
    """Return the headings: a line of groups, if there are any, and a line of names."""
    names = row_text(columns, [column.name for column in columns])
    groups = _group_spans(columns)
    if not any(name for name, _ in groups):
        return [names]
    parts, first = [], 0
    for name, count in groups:
        room = _needed(columns[first : first + count])
        parts.append(name[:room].center(room))
        first += count
    return [(GAP * " ").join(parts).rstrip(), names]


def _group_spans(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Return the heading of each group, and the number of columns below it."""
    spans: list[tuple[str, int]] = []
    for column in columns:
        if spans and column.group and spans[-1][0] == column.group:
            spans[-1] = (column.group, spans[-1][1] + 1)
        else:
            spans.append((column.group, 1))
    return spans


_CELL = "text-align:right;padding:1px 8px;font-variant-numeric:tabular-nums;white-space:nowrap"


def _style(span: int) -> str:
    return _CELL if span == 1 else _CELL.replace("right", "center", 1)


def html_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a notebook, in the notebook's own font and colours, light or dark."""
    groups = _group_spans(columns)
    head = [
        [(name, 1) for name in [column.name for column in columns]],
        *([groups] if any(name for name, _ in groups) else []),
    ][::-1]
    lines = [
        "".join(f'<th colspan="{span}" style="{_style(span)}">{escape(name)}</th>' for name, span in line)
        for line in head
    ]
    lines += ["".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table style="border-collapse:collapse;margin:0">{body}</table>'
