"""The history of a run as a list of records that is shown as a table and, in a notebook, as curves."""

from __future__ import annotations

from typing import Any, SupportsIndex, TypeVar, overload

from daskpar.report.curves.inline import curves_html
from daskpar.report.table import Column, html_table
from daskpar.terminal import writable
from daskpar.train.evaluation_table import EvaluationTable
from daskpar.train.history import Record
from daskpar.train.labels import short

T = TypeVar("T")

_ROWS = 30  # shown at most: of a longer history the first and the last ones
_WIDTH = 80


class History(list[Record]):
    """Records of a run, one for each evaluation: a list of dictionaries that is shown as a table.

    A notebook shows curves above the table. A record has these keys:

        step                  number of steps so far
        epoch                 number of epochs so far
        lr                    learning rate of the last step
        train, validation     scores by name; those of training are means over the steps since the last record
        seconds               seconds of training so far
        examples_per_second   training rows a second so far
        each_step             lists of the values of each step since the last record: loss, lr
        layers                norms by layer at every 50th step (`layer_norms`), if there was one since the
                              last record: lists with a list for each step of gradient_norm (before it is
                              clipped), weight_norm and update_ratio (norm of the update / weight_norm)

    Args:
        iterable: Records. Default: ().

    Example:
        >>> History([{"step": 2, "epoch": 1.0, "lr": 0.1, "train": {"loss": 0.6}, "validation": {"loss": 0.7},
        ...           "seconds": 0.5, "examples_per_second": 64.0, "each_step": {"loss": [0.7, 0.5]}}])
                       train    validation
        epoch  step       loss        loss  examples/s      time
            1     2     0.6000      0.7000          64      0:00
        1 evaluation; the values of all 2 steps are in .each_step
    """

    @property
    def each_step(self) -> dict[str, list[Any]]:
        """The values of all steps: lists by name, `loss` and `lr`, and `step`, their numbers from 1 on."""
        steps: dict[str, list[Any]] = {"step": []}
        for record in self:
            values = record.get("each_step", {})
            count = max(map(len, values.values()), default=0)
            steps["step"] += range(record["step"] - count + 1, record["step"] + 1)
            for name, some in values.items():
                steps.setdefault(name, []).extend(some)
        return steps

    @overload
    def __getitem__(self, index: SupportsIndex) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> History: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Record | History:
        """Return a record, or the History of a slice."""
        records = super().__getitem__(index)
        return History(records) if isinstance(index, slice) else records  # type: ignore[arg-type, return-value]

    def copy(self) -> History:
        """Return a History of the same records."""
        return History(self)

    def _table(self) -> tuple[EvaluationTable, list[list[str]]]:
        """Return the columns and the rows. Raises KeyError and the like for items that are no records."""
        labels = [(short(record["epoch"]), str(record["step"])) for record in self]
        epoch, step = (max(map(len, texts)) for texts in zip(*labels, strict=True))
        fullest = max(self, key=lambda record: len(record["validation"]))
        table = EvaluationTable(fullest, Column("epoch", width=epoch), Column("step", width=step, rank=1))
        return table, [table.cells(label, record) for label, record in zip(labels, self, strict=True)]

    def _note(self) -> str:
        steps = sum(len(record.get("each_step", {}).get("loss", ())) for record in self)
        evaluations = f"{len(self)} evaluation{'' if len(self) == 1 else 's'}"
        return f"{evaluations}; the values of all {steps:,} steps are in .each_step"

    def __repr__(self) -> str:
        try:
            table, rows = self._table()
        except (AttributeError, KeyError, TypeError, ValueError):  # no records, or none yet
            return super().__repr__()
        lines = [table.row(cells, _WIDTH) for cells in rows]
        return writable("\n".join([*table.head(_WIDTH), *_ends(lines, "..."), self._note()]))

    def _repr_html_(self) -> str | None:
        try:
            table, rows = self._table()
            curves = curves_html(self)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
        shown = _ends(rows, ["…"] * len(table.columns))
        return f"<div>{curves}{html_table(table.columns, shown)}<small>{self._note()}</small></div>"


def _ends(rows: list[T], dots: T) -> list[T]:
    """Return the rows; of many the first and the last, with `dots` between."""
    half = _ROWS // 2
    return rows if len(rows) <= _ROWS else [*rows[:half], dots, *rows[-half:]]
