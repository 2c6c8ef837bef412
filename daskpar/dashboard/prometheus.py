"""Metrics of trainings for Prometheus, at `/metrics` beside Dask's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from daskpar.dashboard.shown import Shown

_COLLECTORS: list[Any] = []  # one a process, as Dask's own: that of the last scheduler


def show(page: Shown) -> None:
    """Show the runs of a page to Prometheus, if `prometheus_client` is installed."""
    try:
        from prometheus_client import REGISTRY
    except ImportError:
        return
    if _COLLECTORS:
        _COLLECTORS[0].page = page
        return
    _COLLECTORS.append(Collector(page))
    REGISTRY.register(_COLLECTORS[0])


class Collector:
    """Collector of the runs of a page. Series have the labels `run` (name) and `id`."""

    def __init__(self, page: Shown):
        self.page = page

    def describe(self) -> list[Any]:
        """Return no descriptions: nothing has to be collected when the collector is registered."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield the families of metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        runs = self.page.runs.by_id.values()
        gauges = (
            ("step", "Steps done", lambda run: run.step),
            ("steps_planned", "Steps of the whole training", lambda run: run.about.get("steps")),
            ("seconds", "Seconds of training", lambda run: run.seconds),
            ("running", "1 while the training goes on", lambda run: int(run.state == "running")),
            *((name, text, lambda run, name=name: run.last.get(name)) for name, text in _LAST),
        )
        for name, text, value in gauges:
            family = GaugeMetricFamily(f"daskpar_{name}", text, labels=["run", "id"])
            for run in runs:
                if value(run) is not None:
                    family.add_metric([run.about["name"], run.id], value(run))
            yield family
        scores = GaugeMetricFamily(
            "daskpar_score", "Scores of the last evaluation", labels=["run", "id", "part", "score"]
        )
        for run in runs:
            for part, values in run.scores.items():
                for name, number in values.items():
                    scores.add_metric([run.about["name"], run.id, part, name], number)
        yield scores
        marks = CounterMetricFamily("daskpar_checkpoints", "Checkpoints written", labels=["run", "id"])
        for run in runs:
            marks.add_metric([run.about["name"], run.id], run.checkpoints)
        yield marks
        yield CounterMetricFamily("daskpar_workers_lost", "Workers lost", value=self.page.lost)
        yield CounterMetricFamily("daskpar_workers_joined", "Workers that joined", value=self.page.joined)


_LAST = (
    ("loss", "Loss of the last step"),
    ("learning_rate", "Learning rate of the last step"),
    ("examples_per_second", "Training examples a second"),
    ("seconds_per_step", "Seconds a step"),
    ("gradient_norm", "Norm of the gradient when it was last measured"),
)
