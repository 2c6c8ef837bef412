"""Runs of a scheduler, as their events tell them, in bounded memory.

A training sends events, small dictionaries, to its scheduler:

    begin ─ operations ─ steps … ─ evaluation ─ checkpoint ─ steps … ─ end
                                                   mark: a restart, or anything else with a time

Runs of earlier trainings stay until there are `MOST_RUNS`.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from daskpar.dashboard.series import Series

MOST_RUNS = 20
_MARKS, _LAYER_ROWS, _SERIES, _TEXT = 500, 120, 60, 300

Event = Mapping[str, Any]
"""An event: `kind` and `run`, the run's identifier, and what the kind has."""


class Run:
    """One training, as its events describe it.

    Args:
        event: The event `begin`.
        client: Name of the client that sent it.
    """

    def __init__(self, event: Event, client: str = ""):
        self.id, self.client = str(event["run"]), client
        self.about: dict[str, Any] = shortened(dict(event["about"]))
        self.slots: list[dict[str, Any]] = list(event.get("slots", ()))
        self.state, self.reason = "running", ""
        self.started, self.ended = float(event["at"]), math.nan
        self.step, self.seconds = int(self.about.get("resumed_at", 0)), 0.0
        self.scores: dict[str, dict[str, float]] = {}
        self.last: dict[str, float] = {}
        self.series: dict[tuple[str, str, str], Series] = {}
        self.marks: deque[dict[str, Any]] = deque(maxlen=_MARKS)
        self.layers: list[tuple[int, array[float]]] = []
        self._layers_seen, self._layers_every = 0, 1
        self.checkpoints = 0
        if self.step:
            self.mark("resumed", f"resumed at step {self.step:,}", self.started)

    def hear(self, event: Event, version: int) -> None:
        """Take up an event of this run; `version` is the number of events so far."""
        match event["kind"]:
            case "steps":
                self._steps(event, version)
            case "evaluation":
                self._evaluation(event["record"], version)
            case "checkpoint":
                self.checkpoints += 1
                self.mark("checkpoint", f"checkpoint at step {event['step']:,}", event["at"], event["step"])
            case "mark":
                self.mark(event["mark"], event["text"], event["at"], event.get("step"))
            case "end":
                self.end(event["state"], event.get("reason", ""), event["at"])
                self.step, self.seconds = event["step"], event["seconds"]

    def end(self, state: str, reason: str, at: float) -> None:
        """Set the final state of the run."""
        self.state, self.reason, self.ended = state, str(reason)[:_TEXT], at

    def mark(self, kind: str, text: str, at: float, step: int | None = None) -> None:
        """Add a mark to the time axis."""
        step = self.step if step is None else step
        self.marks.append({"time": at, "step": step, "kind": kind, "text": text[:_TEXT]})

    def add(self, name: str, part: str, each: str, points: Iterable[Sequence[float]], version: int) -> None:
        """Add points (step, value) to a series."""
        key = (name[:_TEXT], part, each)
        series = self.series.get(key)
        if series is None:
            if len(self.series) >= _SERIES:
                return
            series = self.series[key] = Series()
        for step, value in points:
            series.add(int(step), float(value), version)

    def _steps(self, event: Event, version: int) -> None:
        steps, at = event["steps"], event["at"]
        self.step, self.seconds = event["step"], event["seconds"]
        self.add("loss", "train", "step", zip(steps, event["loss"], strict=True), version)
        self.add("learning_rate", "", "step", zip(steps, event["learning_rate"], strict=True), version)
        for name, points in event.get("metrics", {}).items():
            self.add(name, "train", "window", points, version)
        self.add("seconds", "", "window", [(self.step, at)], version)
        self.last |= {"loss": event["loss"][-1], "learning_rate": event["learning_rate"][-1]}
        pace = event.get("examples_per_second")
        if pace is not None:
            self.add("examples_per_second", "", "window", [(self.step, pace)], version)
            self.last |= {"examples_per_second": pace, "seconds_per_step": event["seconds_per_step"]}
        for part, points in event.get("staleness", {}).items():
            self.add("staleness", part, "window", points, version)
        for step, gradient, weight, ratio in event.get("layers", ()):
            total = math.sqrt(sum(norm * norm for norm in gradient))
            self.add("gradient_norm", "", "watched", [(step, total)], version)
            self.last["gradient_norm"] = total
            self._add_layers(step, [*gradient, *weight, *ratio])

    def _add_layers(self, step: int, row: Sequence[float]) -> None:
        """Keep a row of norms by layer; when there are too many, every second one goes."""
        if self._layers_seen % self._layers_every == 0:
            self.layers.append((step, array("d", row)))
            if len(self.layers) > _LAYER_ROWS:
                self.layers = self.layers[::2]
                self._layers_every *= 2
        self._layers_seen += 1

    def _evaluation(self, record: Event, version: int) -> None:
        self.scores = {part: dict(record[part]) for part in ("train", "validation") if record.get(part)}
        self.seconds = record["seconds"]
        for part, scores in self.scores.items():
            for name, value in scores.items():
                self.add(name, part, "evaluation", [(record["step"], value)], version)


class Runs:
    """All runs of a scheduler, by identifier, in the order in which they began."""

    def __init__(self) -> None:
        self.by_id: dict[str, Run] = {}
        self.version = 0

    def hear(self, event: Event, client: str = "") -> Run | None:
        """Take up an event, and return its run; None for an event of a run that is not known."""
        self.version += 1
        if event["kind"] == "begin":
            run = Run(event, client or str(event.get("client", "")))
            self.by_id.pop(run.id, None)
            self.by_id[run.id] = run
            self._forget()
            return run
        known = self.by_id.get(event["run"])
        if known is not None:
            known.hear(event, self.version)
        return known

    def mark(self, kind: str, text: str, at: float) -> None:
        """Mark an event of the cluster in all runs that go on."""
        for run in self.running:
            run.mark(kind, text, at)

    @property
    def running(self) -> list[Run]:
        """The runs that have not ended."""
        return [run for run in self.by_id.values() if run.state == "running"]

    def lose(self, client: str, at: float) -> None:
        """End the runs of a client that is gone."""
        for run in self.running:
            if run.client == client:
                run.end("lost", "its client is gone", at)

    def _forget(self) -> None:
        """Forget the oldest runs that have ended, then the oldest of all."""
        while len(self.by_id) > MOST_RUNS:
            ended = (run.id for run in self.by_id.values() if run.state != "running")
            del self.by_id[next(ended, next(iter(self.by_id)))]


def shortened(value: Any, depth: int = 4) -> Any:
    """Return a value of an event with bounded texts and lists."""
    if isinstance(value, str):
        return value if len(value) <= 4 * _TEXT else value[: 4 * _TEXT] + "…"
    if isinstance(value, Mapping):
        return (
            {str(k)[:_TEXT]: shortened(v, depth - 1) for k, v in list(value.items())[:200]} if depth else {}
        )
    if isinstance(value, list | tuple):
        return [shortened(item, depth - 1) for item in value[:1000]] if depth else []
    return value
