"""The table of evaluations: a row for each, with the scores of both parts side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from daskpar.report.table import Column, fitting, head_text, row_text
from daskpar.train.history import Record
from daskpar.train.labels import WIDTH, clock, score

PARTS = ("train", "validation")
_LONGEST_NAME = 12


class Score(NamedTuple):
    """A score of a part, by the names that records have for it."""

    part: str
    name: str


class EvaluationTable:
    """The columns that a record has, and the cells of others like it.

    The `leading` columns say which evaluation a row is about; callers give their cells.
    """

    def __init__(self, record: Record, *leading: Column):
        self.scores = [
            Score(part, name)
            for part in PARTS
            for name, value in record[part].items()
            if isinstance(value, float)
        ]
        alone = len(self.scores) <= len(PARTS)  # a heading such as `validation` needs room, too
        names = list(dict.fromkeys(score.name for score in self.scores))
        self.columns = [
            *leading,
            *(
                Column(
                    _shortened(name),
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
        """The cells of a record; those of scores that it does not have are empty."""
        values = [record[part].get(name) for part, name in self.scores]
        return [
            *leading,
            *(score(value) if isinstance(value, float) else "" for value in values),
            f"{record['examples_per_second']:,.0f}",
            clock(record["seconds"]),
        ]

    def head(self, width: int) -> list[str]:
        """The headings in lines of at most so many characters, as far as that is possible."""
        return head_text([self.columns[n] for n in fitting(self.columns, width)])

    def row(self, cells: Sequence[str], width: int) -> str:
        """A row in a line of at most so many characters, as far as that is possible."""
        numbers = fitting(self.columns, width)
        return row_text([self.columns[n] for n in numbers], [cells[n] for n in numbers])


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
