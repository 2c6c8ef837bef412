"""The summary of a model: a table of its layers with shapes, parameters, operations and memory."""

from __future__ import annotations

import sys
from dataclasses import asdict
from html import escape
from io import StringIO
from typing import Any

from rich.table import Table

from daskpar.autotune.summary import Row, summarise
from daskpar.nn.layer import Shape
from daskpar.nn.layers.sequential import Sequential
from daskpar.nn.parameters import ParameterTable
from daskpar.terminal import Terminal, writable

_FLOPS = "FLOPs: forward, an example."
_KEPT = "Bytes kept: for the backward pass, an example, in float32."
_CELL = "text-align:{side};padding:1px 8px;font-variant-numeric:tabular-nums;white-space:pre"


class ModelSummary:
    """A table of a model with one row for each layer; layers within a block are indented.

    `print` and a notebook show the table. FLOPs and bytes are those of one example, in float32.

    Args:
        model: The model.
        in_shape: Shape of one example, without the axis of rows.
        table: The table of the model's parameters, which knows the frozen ones. If there are any, a column
            counts them. None: no parameter is frozen. Default: None.
        measured: Run the model to count the bytes that it saves for the backward pass. Without, `table` is
            required, and the table has no column for the bytes. Default: True.

    Attributes:
        rows: One `Row` for each layer.
        out_shape: Shape of one output, without the axis of rows.

    Raises:
        InputError: The shapes of the layers do not fit.

    Example:
        >>> from daskpar.report.model import ModelSummary
        >>> from daskpar import Dense, ReLU, Sequential
        >>> summary = ModelSummary(Sequential([Dense(4), ReLU()]), (8,))
        >>> summary.total["parameters"]  # 8 * 4 weights and 4 biases
        36
        >>> summary.out_shape
        (4,)
    """

    def __init__(
        self, model: Sequential, in_shape: Shape, table: ParameterTable | None = None, measured: bool = True
    ):
        self.in_shape = in_shape
        self.measured = measured
        self.rows: tuple[Row, ...] = summarise(model, in_shape, table, measured)
        self.out_shape = [row.out_shape for row in self.rows if row.depth == 0][-1]

    @property
    def total(self) -> dict[str, int]:
        """Sums over the outermost layers: `parameters`, `frozen`, `flops` and `kept_bytes`.

        The row of a block is the sum of the layers within it.
        """
        names = ("parameters", "frozen", "flops", "kept_bytes")
        return {name: sum(getattr(row, name) for row in self.rows if row.depth == 0) for name in names}

    @property
    def _columns(self) -> dict[str, str]:
        """The headings of the columns of numbers, by field of a row."""
        frozen = {"frozen": "frozen"} if self.total["frozen"] else {}
        kept = {"kept_bytes": "bytes kept"} if self.measured else {}
        return {"parameters": "parameters", **frozen, "flops": "FLOPs", **kept}

    @property
    def _heads(self) -> list[str]:
        return ["", "layer", "output", *self._columns.values()]

    @property
    def _caption(self) -> str:
        count, frozen = self.total["parameters"], self.total["frozen"]
        parts = [_FLOPS, *([_KEPT] if self.measured else [])]
        return " ".join([*parts, *([f"Trained: {count - frozen:,} of {count:,}."] if frozen else [])])

    def table(self) -> Table:
        """Return the table for a console of rich."""
        table = Table(show_footer=True, title=f"input {_shape(self.in_shape)}", caption=self._caption)
        for i, (head, foot) in enumerate(zip(self._heads, self._foot(), strict=True)):
            table.add_column(head, foot, justify="right" if i > 2 else "left", no_wrap=i > 0)
        for row in self.rows:
            table.add_row(*self._cells(row))
        return table

    def as_dict(self) -> dict[str, Any]:
        """Return the input shape, the rows and the sums as a dictionary for JSON."""
        return {"in_shape": self.in_shape, "layers": [asdict(row) for row in self.rows], "total": self.total}

    def _foot(self) -> list[str]:
        return ["", "total", _shape(self.out_shape), *(f"{self.total[name]:,}" for name in self._columns)]

    def __repr__(self) -> str:
        text = _Text()
        Terminal(file=text, width=200, force_terminal=False).print(self.table())
        return writable("\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines()))

    def html(self, most: int | None = None) -> str:
        """Return the table as HTML with at most `most` rows, the first and the last ones; None: with all."""
        rows = [_html_row("td", self._cells(row)) for row in self.rows]
        left_out = 0 if most is None else len(rows) - most
        if most is not None and left_out > 0:
            rows[most // 2 : -(most // 2)] = [_html_row("td", ["…", f"{left_out:,} more"])]
        body = "".join([_html_row("th", self._heads), *rows, _html_row("th", self._foot())])
        return (
            f"<div>input {escape(_shape(self.in_shape))}</div>"
            f'<table style="border-collapse:collapse;margin:0">{body}</table><small>{self._caption}</small>'
        )

    def _repr_html_(self) -> str:
        return self.html()

    def _cells(self, row: Row) -> list[str]:
        label = "  " * row.depth + " ".join(filter(None, (row.layer, row.arguments)))
        numbers = (f"{getattr(row, name):,}" for name in self._columns)
        return [row.number, label, _shape(row.out_shape), *numbers]


class _Text(StringIO):
    """A text with the characters that standard output has: without UTF-8, a table is drawn in ASCII."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(sys.stdout, "encoding", None) or "utf-8"


def _html_row(tag: str, cells: list[str]) -> str:
    styles = (_CELL.format(side="right" if i > 2 else "left") for i in range(len(cells)))
    parts = (
        f'<{tag} style="{style}">{escape(cell)}</{tag}>' for style, cell in zip(styles, cells, strict=True)
    )
    return f"<tr>{''.join(parts)}</tr>"


def _shape(shape: Shape) -> str:
    return " × ".join(map(str, shape)) or "1"
