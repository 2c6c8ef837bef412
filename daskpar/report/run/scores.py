"""The figures of runs at the top of a report: state, length, speed, and the scores of each part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from daskpar.report.curves.figures import figure
from daskpar.report.curves.series import metrics
from daskpar.report.run.html import Html, cell, counted, duration, table
from daskpar.report.run.subject import Subject
from daskpar.reprs import short_repr

_PARTS = ("test", "validation", "train")
_DIGITS = 12  # of a SHA-256


def chip(index: int, name: str) -> Html:
    """Return the name of a run behind the colour of its curves."""
    return Html(f'<span class="chip run{index % 10}"></span>{cell(name)}')


def facts(runs: Sequence[Subject]) -> Html:
    """Return a table with a column for each run: what it is, and its scores; the best are bold."""
    heads = ["", *(chip(i, run.name) if len(runs) > 1 else run.name for i, run in enumerate(runs))]
    rows: list[list[object]] = []
    for name, value in _FACTS.items():
        values = [value(run) for run in runs]
        if any(values):
            rows.append([name, *(text or "–" for text in values)])
    rows += _scores(runs)
    return table(heads, rows, "facts")


def tiles(run: Subject) -> Html:
    """Return the facts of one run as tiles."""
    texts = [(name, value(run)) for name, value in _FACTS.items()]
    each = [f"<div><dt>{cell(name)}</dt><dd>{cell(text)}</dd></div>" for name, text in texts if text]
    return Html(f'<dl class="tiles">{"".join(each)}</dl>')


def _scores(runs: Sequence[Subject]) -> Iterable[list[object]]:
    """Yield a row for each score of each part after the training."""
    larger = {name for run in runs for name in run.larger}
    for part in _PARTS:
        results = [run.recorded.results.get(part, {}) for run in runs]
        names = dict.fromkeys(name for values in results for name, v in values.items() if _is_number(v))
        for name in names:
            values = [scores.get(name) for scores in results]
            numbers = [value for value in values if isinstance(value, int | float)]
            best = (max if name in larger else min)(numbers, default=None)
            several = len(numbers) > 1 and len(set(numbers)) > 1
            yield [
                f"{part} {name}",
                *(
                    Html(f"<b>{figure(value)}</b>") if several and value == best else figure(value)
                    for value in values
                ),
            ]


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _state(run: Subject) -> str:
    return run.recorded.state


def _steps(run: Subject) -> str:
    last = run.recorded.history[-1] if run.recorded.history else None
    steps = run.recorded.summary.get("steps", last and last["step"])
    return f"{steps:,}" if isinstance(steps, int) else ""


def _epochs(run: Subject) -> str:
    last = run.recorded.history[-1] if run.recorded.history else {}
    epochs = last.get("epoch")
    return f"{round(epochs, 2):,.10g}" if isinstance(epochs, int | float) else ""


def _seconds(run: Subject) -> str:
    last = run.recorded.history[-1] if run.recorded.history else {}
    seconds = run.recorded.summary.get("seconds", last.get("seconds"))
    return duration(float(seconds)) if isinstance(seconds, int | float) else ""


def _pace(run: Subject) -> str:
    last = run.recorded.history[-1] if run.recorded.history else {}
    pace = run.recorded.summary.get("examples_per_second", last.get("examples_per_second"))
    return f"{pace:,.0f}" if isinstance(pace, int | float) and pace else ""


def _goodput(run: Subject) -> str:
    """Return the share of the wall time that was spent in steps."""
    goodput = run.recorded.summary.get("goodput")
    return f"{goodput:.1%}" if isinstance(goodput, int | float) else ""


def _hash(run: Subject) -> str:
    """Return the first digits of the SHA-256 of the parameters; the environment has all of them."""
    digest = run.recorded.summary.get("parameters_sha256") or (run.network and run.network.digest)
    return digest[:_DIGITS] if isinstance(digest, str) else ""


def _parameters(run: Subject) -> str:
    count = run.recorded.summary.get("parameters", run.network and run.network.spec.table.count)
    return f"{count:,}" if isinstance(count, int) else ""


def _layout(run: Subject) -> str:
    text = run.recorded.summary.get("layout_text")
    return text if isinstance(text, str) else "" if run.layout is None else short_repr(run.layout)


def _best(run: Subject) -> str:
    """Return the best loss of the evaluations of the validation part, and its step."""
    records = [r for r in run.recorded.history if isinstance(r.get("validation", {}).get("loss"), float)]
    if not records:
        return ""
    best = min(records, key=lambda record: record["validation"]["loss"])
    return f"{figure(best['validation']['loss'])} at step {best['step']:,}"


_FACTS: dict[str, Callable[[Subject], str]] = {
    "state": _state,
    "steps": _steps,
    "epochs": _epochs,
    "training time": _seconds,
    "examples a second": _pace,
    "goodput": _goodput,
    "parameters": _parameters,
    "layout": _layout,
    "best validation loss": _best,
    "parameters' SHA-256": _hash,
}


def headline(run: Subject) -> str:
    """Return the most telling scores of a run in one line: those of the test, else of the validation."""
    recorded = run.recorded
    for part in _PARTS:
        scores = recorded.results.get(part)
        if scores:
            texts = [f"{name} {figure(value)}" for name, value in scores.items() if _is_number(value)]
            return f"{part}: {', '.join(texts)}"
    names = ["loss", *metrics(recorded.history)]
    return f"no scores yet ({', '.join(names)})" if recorded.history else counted(0, "evaluation")
