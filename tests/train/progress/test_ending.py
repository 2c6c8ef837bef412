"""The table at the end of a run, on terminals of any width and in files."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from daskpar import EarlyStopping, Trainer
from daskpar.cluster.executor import THREADED
from daskpar.nn.metrics import Accuracy
from daskpar.terminal import Terminal
from daskpar.train.progress import progress_on
from daskpar.train.progress.ending import Ending, packed


def ending(**options: Any) -> Ending:
    history = [
        {"step": 10, "epoch": 1.0, "train": {"loss": 0.5}, "validation": {"loss": 0.4, "accuracy": 0.9}},
        {"step": 20, "epoch": 2.0, "train": {"loss": 0.3}, "validation": {"loss": 0.6, "accuracy": 0.8}},
    ]
    for record in history:
        record["examples_per_second"] = 12345.6
    run: dict[str, Any] = {"steps_run_": 1020, "steps_planned_": 1020, "seconds_": 3.14, "goodput_": 0.789}
    spec = SimpleNamespace(metrics=(Accuracy(),))
    trained: Any = SimpleNamespace(**{**run, **options}, history_=history, spec_=spec)
    scores = {"train": {"loss": 0.3}, "validation": {"loss": 0.6, "accuracy": 0.8, "confusion": [[1]]}}
    return Ending(trained, scores, "0123456789abcdef", Path("runs/a"))


def printed(table: Ending, width: int, terminal: bool = True) -> list[str]:
    file = io.StringIO()
    console = Terminal(file=file, width=width, force_terminal=terminal, color_system=None)
    console.print(table, soft_wrap=not terminal)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_scores_by_part_and_the_best_ones() -> None:
    wanted = [
        "",
        "           train  validation  best validation  in epoch",
        "loss      0.3000      0.6000           0.4000         1",
        "accuracy              0.8000           0.9000         1",
        "1,020 steps, 2 epochs in 3.1 s  12,346 examples/s  goodput 79 %",
        "parameters 0123456789ab  runs/a/",
    ]
    assert printed(ending(), 80) == wanted
    assert printed(ending(), 80, terminal=False) == [*wanted[:4], "  ".join(wanted[4:])]


def test_what_does_not_fit_is_left_out() -> None:
    for width in (20, 30, 40, 60):
        lines = printed(ending(), width)
        assert max(map(len, lines[:4])) <= width and "validation" in lines[1]
        assert ("train" in lines[1], "best" in lines[1]) == (width >= 40, width >= 60)
        assert lines[-1].endswith("runs/a/")


def test_a_run_that_ended_early_and_one_that_was_loaded() -> None:
    facts = ending(steps_planned_=2000, goodput_=None).facts
    assert facts[0] == "1,020 of 2,000 steps, 2 epochs in 3.1 s" and not any("goodput" in f for f in facts)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_that_is_refused_has_no_end(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    """Progress may be closed without a beginning."""
    monkeypatch.setenv("TERM", "xterm")
    console = Terminal(file=io.StringIO(), force_terminal=terminal)
    progress_on(console).close()
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def test_texts_are_packed_into_lines() -> None:
    assert list(packed(["aa", "bb", "cccc", "d"], 6)) == ["aa  bb", "cccc", "d"]


@pytest.mark.parametrize("summary, epochs, tables", [(True, 4, 1), (False, 4, 0), (True, 1, 0)])
def test_a_trainer_on_a_terminal_ends_with_one_table(
    monkeypatch: pytest.MonkeyPatch, summary: bool, epochs: int, tables: int
) -> None:
    """It is of the state that the Trainer has: the best one. One evaluation is its own summary."""
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    stopping = EarlyStopping("train.loss", patience=9, min_delta=1e9)  # the first is the best
    shown = progress_on(terminal, summary)
    trainer = Trainer([{"dense": 2}], epochs=epochs, client=THREADED, callbacks=[shown, stopping])
    trainer.fit(x, (x[:, 0] > 0).astype(int))
    text = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert text.count(f"parameters {trainer.parameters_sha256_[:12]}") == tables
    assert text.count("best train") == tables
