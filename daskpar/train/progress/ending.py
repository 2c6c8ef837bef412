"""The table at the end of a run: scores by part, the best ones, and facts on the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from daskpar.report.table import Column, fitting
from daskpar.train.evaluation_table import shortened
from daskpar.train.labels import WIDTH, score, short
from daskpar.train.summary import Trained, best_scores

PARTS = ("train", "validation", "test")
_DIGITS = 12  # of a SHA-256


class Ending:
    """Table of the final scores of a run and of its best evaluations, with lines of facts below.

    `scores` are those of the run's state by part. `sha256` is that of the parameters. Columns that do not fit
    the terminal are left out.
    """

    def __init__(
        self, run: Trained, scores: Mapping[str, Mapping[str, object]], sha256: str, folder: Path | None
    ):
        self.run, self.scores, self.sha256, self.folder = run, scores, sha256, folder
        self.best = best_scores(run)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width if console.is_terminal else 200
        lines = [Text(line, "dim") for line in packed(self.facts, width)]
        yield Group("", *([self._table(width)] if self.names else []), *lines)

    @property
    def names(self) -> list[str]:
        """The names of the scores that are numbers."""
        parts = [self.scores[part] for part in PARTS if part in self.scores]
        return list(dict.fromkeys(n for part in parts for n, value in part.items() if _is_number(value)))

    @property
    def facts(self) -> list[str]:
        """The texts below the table."""
        run, history = self.run, self.run.history_
        epochs = short(history[-1]["epoch"]) if history else "0"
        planned = "" if run.steps_run_ == run.steps_planned_ else f" of {run.steps_planned_:,}"
        epochs += " epoch" if epochs == "1" else " epochs"
        facts = [f"{run.steps_run_:,}{planned} steps, {epochs} in {run.seconds_:.1f} s"]
        if history:
            facts.append(f"{history[-1]['examples_per_second']:,.0f} examples/s")
        if run.goodput_ is not None:
            facts.append(f"goodput {100 * run.goodput_:.0f} %")
        facts.append(f"parameters {self.sha256[:_DIGITS]}")
        return [*facts, f"{self.folder}/"] if self.folder is not None else facts

    def _table(self, width: int) -> Table:
        columns, cells = self._columns()
        shown = fitting(columns, width)
        table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
        for n in shown:
            table.add_column(columns[n].name, justify="right" if n else "left", no_wrap=True)
        for row in cells:
            table.add_row(*(row[n] for n in shown))
        return table

    def _columns(self) -> tuple[list[Column], list[list[str]]]:
        """Return the columns with their ranks, and the cells of each row."""
        parts = [part for part in PARTS if part in self.scores]
        rank = {"validation": 0, "test": 1, "train": 2}
        longest = max(len(shortened(name)) for name in self.names)
        columns = [
            Column("", width=longest),
            *(Column(part, width=WIDTH, rank=rank[part]) for part in parts),
        ]
        cells = [
            [shortened(name), *(_text(self.scores[part].get(name)) for part in parts)] for name in self.names
        ]
        if self.best:
            part = next(iter(self.best)).partition(".")[0]
            columns += [Column(f"best {part}", width=WIDTH, rank=3), Column("in epoch", rank=4)]
            for name, row in zip(self.names, cells, strict=True):
                best = self.best.get(f"{part}.{name}")
                row += ["", ""] if best is None else [score(best["value"]), short(best["epoch"])]
        return columns, cells


def _is_number(value: object) -> bool:
    return isinstance(value, float)


def _text(value: object) -> str:
    return score(value) if isinstance(value, float) else ""


def packed(texts: Sequence[str], width: int) -> Iterator[str]:
    """Yield lines with as many texts side by side as fit into `width` characters."""
    line = ""
    for text in texts:
        if line and len(line) + 2 + len(text) > width:
            yield line
            line = ""
        line = f"{line}  {text}" if line else text
    yield line
