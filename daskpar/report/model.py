"""The layers of a network in a table: shapes, parameters, operations, memory."""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from io import StringIO
from typing import Any

from rich.table import Table

from daskpar.autotune.summary import Row, summarise
from daskpar.nn.layer import Shape
from daskpar.nn.layers.sequential import Sequential
from daskpar.nn.parameters import ParameterTable
from daskpar.terminal import Terminal

_CAPTION = "FLOPs: forward, an example. Bytes kept: for the backward pass, an example, in float32."
_CELL = "text-align:{side};padding:1px 8px;font-variant-numeric:tabular-nums;white-space:pre"


class ModelSummary:
    """A row a layer, those within a block indented; counts are for one example.

    `print` shows it as a table, and so does a notebook. `table`: of the parameters, which says those that are
    frozen; where there are some, a column counts them. Raises InputError where shapes do not fit.

    >>> from daskpar import Dense, ReLU, Sequential
    >>> ModelSummary(Sequential([Dense(4), ReLU()]), (8,)).total["parameters"]
    36
    """

    def __init__(self, model: Sequential, in_shape: Shape, table: ParameterTable | None = None):
        self.in_shape = in_shape
        self.rows: tuple[Row, ...] = summarise(model, in_shape, table)
        self.out_shape = [row.out_shape for row in self.rows if row.depth == 0][-1]

    @property
    def total(self) -> dict[str, int]:
        """Sums over the outermost layers: blocks hold the sums of what is within them."""
        names = ("parameters", "frozen", "flops", "kept_bytes")
        return {name: sum(getattr(row, name) for row in self.rows if row.depth == 0) for name in names}

    @property
    def _columns(self) -> dict[str, str]:
        """The columns of numbers: their heads by field."""
        frozen = {"frozen": "frozen"} if self.total["frozen"] else {}
        return {"parameters": "parameters", **frozen, "flops": "FLOPs", "kept_bytes": "bytes kept"}

    @property
    def _heads(self) -> list[str]:
        return ["", "layer", "output", *self._columns.values()]

    @property
    def _caption(self) -> str:
        count, frozen = self.total["parameters"], self.total["frozen"]
        return f"{_CAPTION} Trained: {count - frozen:,} of {count:,}." if frozen else _CAPTION

    def table(self) -> Table:
        """The table for a rich console."""
        found = Table(show_footer=True, title=f"input {_shape(self.in_shape)}", caption=self._caption)
        for i, (head, foot) in enumerate(zip(self._heads, self._foot(), strict=True)):
            found.add_column(head, foot, justify="right" if i > 2 else "left", no_wrap=i > 0)
        for row in self.rows:
            found.add_row(*self._cells(row))
        return found

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {"in_shape": self.in_shape, "layers": [asdict(row) for row in self.rows], "total": self.total}

    def _foot(self) -> list[str]:
        return ["", "total", _shape(self.out_shape), *(f"{self.total[name]:,}" for name in self._columns)]

    def __repr__(self) -> str:
        text = StringIO()
        Terminal(file=text, width=200, force_terminal=False).print(self.table())
        return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())

    def _repr_html_(self) -> str:
        rows = [self._cells(row) for row in self.rows]
        lines = [_html_row("th", self._heads), *(_html_row("td", row) for row in rows)]
        body = "".join([*lines, _html_row("th", self._foot())])
        return (
            f"<div>input {escape(_shape(self.in_shape))}</div>"
            f'<table style="border-collapse:collapse;margin:0">{body}</table><small>{self._caption}</small>'
        )

    def _cells(self, row: Row) -> list[str]:
        label = "  " * row.depth + " ".join(filter(None, (row.layer, row.arguments)))
        numbers = (f"{getattr(row, name):,}" for name in self._columns)
        return [row.number, label, _shape(row.out_shape), *numbers]


def _html_row(tag: str, cells: list[str]) -> str:
    styles = (_CELL.format(side="right" if i > 2 else "left") for i in range(len(cells)))
    parts = (
        f'<{tag} style="{style}">{escape(cell)}</{tag}>' for style, cell in zip(styles, cells, strict=True)
    )
    return f"<tr>{''.join(parts)}</tr>"


def _shape(shape: Shape) -> str:
    return " × ".join(map(str, shape)) or "1"
