"""The table of evaluations: one row for each, with the scores of training and validation side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from daskpar.report.table import Column, fitting, head_text, row_text
from daskpar.train.history import Record
from daskpar.train.labels import WIDTH, clock, score

PARTS = ("train", "validation")
_LONGEST_NAME = 12


class Score(NamedTuple):
    """Score by its keys in a record: the part, and its name."""

    part: str
    name: str


class EvaluationTable:
    """Columns for the scores of a record, and the cells of such records.

    The `leading` columns name the evaluation, e.g. its epoch; the caller passes their cells.
    """

    def __init__(self, record: Record, *leading: Column):
        self.scores = [
            Score(part, name)
            for part in PARTS
            for name, value in record[part].items()
            if isinstance(value, float)
        ]
        alone = len(self.scores) <= len(
            PARTS
        )  # one column under a heading such as `validation` must be as wide
        names = list(dict.fromkeys(score.name for score in self.scores))
        self.columns = [
            *leading,
            *(
                Column(
                    shortened(name),
                    part,
                    max(WIDTH, alone * len(part)),
                    rank=0 if name == "loss" else 3 + names.index(name),
                )
                for part, name in self.scores
            ),
            Column("examples/s", width=10, rank=2),
            Column("time", width=8, rank=1),
        ]

    def cells(self, leading: Sequence[str], record: Record) -> list[str]:
        """Return the cells of a record; a score that it does not have is an empty cell."""
        values = [record[part].get(name) for part, name in self.scores]
        return [
            *leading,
            *(score(value) if isinstance(value, float) else "" for value in values),
            f"{record['examples_per_second']:,.0f}",
            clock(record["seconds"]),
        ]

    def head(self, width: int) -> list[str]:
        """Return the lines of headings; columns that do not fit into `width` characters are left out."""
        return head_text([self.columns[n] for n in fitting(self.columns, width)])

    def row(self, cells: Sequence[str], width: int) -> str:
        """Return the line of a row; columns that do not fit into `width` characters are left out."""
        numbers = fitting(self.columns, width)
        return row_text([self.columns[n] for n in numbers], [cells[n] for n in numbers])


def shortened(name: str) -> str:
    """Return the name of a score in at most 12 characters."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
