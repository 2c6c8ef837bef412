"""Small parts of a report's HTML: tables, notes, numbers with units. All texts are escaped here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """A text that is HTML already; any other text is escaped."""

    __slots__ = ()


def cell(value: object) -> str:
    """Return the HTML of a value: `Html` as it is, any other text escaped."""
    return value if isinstance(value, Html) else escape(str(value))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], style: str = "") -> Html:
    """Return a table that scrolls sideways in a narrow window; the first cell of a row is its head."""
    heads = "".join(f'<th scope="col">{cell(value)}</th>' for value in head)
    body = "".join(
        f'<tr><th scope="row">{cell(first)}</th>{"".join(f"<td>{cell(value)}</td>" for value in rest)}</tr>'
        for first, *rest in rows
    )
    top = f"<thead><tr>{heads}</tr></thead>" if head else ""
    content = f"{top}<tbody>{body}</tbody>"
    return Html(f'<div class="scroll"><table class="{escape(style)}">{content}</table></div>')


def note(text: str) -> Html:
    """Return a paragraph of small print."""
    return Html(f'<p class="note">{cell(text)}</p>')


def details(title: str, content: str, is_open: bool = False) -> Html:
    """Return HTML below a title that folds it."""
    state = " open" if is_open else ""
    return Html(f"<details{state}><summary>{cell(title)}</summary>{content}</details>")


def counted(number: int, name: str) -> str:
    """Return a number with its noun, e.g. `1,797 rows`."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a time in its largest units, e.g. `1.4 s`, `2 min 5 s`, `3 h 12 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def short(value: float) -> str:
    """Return a number with four digits; a large one has all digits before its point."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-4:
        return f"{value:.3g}"
    return f"{value:,.0f}" if size >= 1e4 else f"{value:.4g}"
