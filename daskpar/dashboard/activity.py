"""The work of each slot: what it does now, the tasks of the last seconds, and the shares of its time.

    slot 0   ███ grad ███▒▒███ grad ███      ▒ transfer of inputs; a gap is waiting
    slot 1   ██ grad ██    ███ grad ███

Tasks are recorded only while somebody looks at the page, and bars are made only of those that are shown.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

_TASKS, _SECONDS, _STEPS = 2000, 3.0, 24  # that are kept, and of which bars are made
ANYWHERE = -1
"""The slot of tasks that run on any worker."""


class Operation(NamedTuple):
    """Operations of one name: its class, and the slot of each by its coordinates."""

    name: str
    verb: str
    slots: Mapping[tuple[object, ...], int]


class Bar(NamedTuple):
    """A stretch of time of a slot: computing, or receiving inputs. Times are seconds since 1970."""

    slot: int
    start: float
    stop: float
    transfer: bool
    name: str
    verb: str
    step: int


Stretches = Sequence[Mapping[str, Any]]
"""The stretches of a task in Dask's words: `action`, `start` and `stop` of each."""
Ran = tuple[tuple[Any, ...], str, Stretches]
"""A task that has run: its key, the name of its worker, and its stretches."""


class Activity:
    """The tasks of one run. `operations` has its operations by the names of their keys."""

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}
        self.tasks: deque[Ran] = deque(maxlen=_TASKS)
        self.workers: dict[int, str] = {}
        self.data: dict[str, Any] = {}

    def know(self, event: Mapping[str, Any]) -> None:
        """Take up the event `operations`."""
        for key, name, verb, places in event["operations"]:
            slots = {tuple(index): ANYWHERE if slot is None else slot for index, slot in places}
            self.operations[key] = Operation(name, verb, slots)
        self.data = dict(event.get("data", {}))

    def slot(self, key: tuple[Any, ...]) -> int:
        """Return the slot of a task; `ANYWHERE` for tasks outside of steps."""
        return self.operations[key[0]].slots.get(key[2:], ANYWHERE)

    def done(self, key: tuple[Any, ...], worker: str, startstops: Stretches) -> None:
        """Record a task that has run."""
        self.tasks.append((key, worker, startstops))

    def recent(self) -> list[Bar]:
        """Return the bars of the last steps and seconds, and bring `workers` up to date."""
        bars: list[Bar] = []
        workers: dict[int, str] = {}
        stop, steps = -math.inf, set[int]()
        for key, worker, stretches in reversed(self.tasks):
            steps.add(_step(key))
            if len(steps) > _STEPS or not stretches or stretches[-1]["stop"] < stop - _SECONDS:
                break
            operation, slot = self.operations[key[0]], self.slot(key)
            workers.setdefault(slot, worker)
            for stretch in reversed(stretches):
                stop = max(stop, stretch["stop"])
                action = stretch["action"]
                if action in ("compute", "transfer"):
                    places = slot, stretch["start"], stretch["stop"]
                    what = operation.name, operation.verb, _step(key)
                    bars.append(Bar(*places, action == "transfer", *what))
        self.workers |= workers
        bars.reverse()
        return bars

    def now(self, processing: Iterable[tuple[Any, str]]) -> dict[int, dict[str, Any]]:
        """Return what each slot does now, from the keys that workers process and their names."""
        doing: dict[int, dict[str, Any]] = {}
        for key, worker in processing:
            if not isinstance(key, tuple) or key[0] not in self.operations:
                continue
            operation, slot = self.operations[key[0]], self.slot(key)
            self.workers[slot] = worker
            before = doing.get(slot)
            if before is None or _step(key) < before["step"]:
                doing[slot] = {"doing": operation.verb, "name": operation.name, "step": _step(key)}
        return doing

    @staticmethod
    def ahead(bars: Sequence[Bar]) -> int:
        """Return the number of steps by which the loading of batches is ahead of computing."""
        loaded = max((bar.step for bar in bars if bar.verb == "load"), default=0)
        return max(0, loaded - max((bar.step for bar in bars if bar.verb != "load"), default=loaded))

    @staticmethod
    def strip(bars: Sequence[Bar]) -> dict[str, Any]:
        """Return bars for the page: times are milliseconds since `from`."""
        if not bars:
            return {"from": 0.0, "names": [], "bars": []}
        begin = min(bar.start for bar in bars)
        names = {name: i for i, name in enumerate(dict.fromkeys(bar.name for bar in bars))}
        rows = [
            [
                bar.slot,
                round(1e3 * (bar.start - begin), 2),
                round(1e3 * (bar.stop - begin), 2),
                int(bar.transfer),
                names[bar.name],
                bar.step,
            ]
            for bar in bars
        ]
        return {"from": begin, "names": list(names), "bars": rows}

    @staticmethod
    def shares(bars: Sequence[Bar]) -> list[dict[str, float]]:
        """Return the shares of the time of bars that each slot computed, received and waited."""
        if not bars:
            return []
        begin = min(bar.start for bar in bars)
        span = max(max(bar.stop for bar in bars) - begin, 1e-9)
        spent: dict[int, list[float]] = {}
        for bar in bars:
            spent.setdefault(bar.slot, [0.0, 0.0])[bar.transfer] += (bar.stop - bar.start) / span
        return [
            {
                "slot": slot,
                "compute": round(min(1.0, compute), 3),
                "transfer": round(min(1.0, transfer), 3),
                "wait": round(max(0.0, 1.0 - compute - transfer), 3),
            }
            for slot, (compute, transfer) in sorted(spent.items())
        ]


def _step(key: tuple[Any, ...]) -> int:
    return key[1] if len(key) > 1 and isinstance(key[1], int) else -1
