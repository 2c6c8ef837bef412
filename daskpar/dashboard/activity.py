"""The work of each slot: what it does now, the tasks of the last seconds, and the shares of its time.

    slot 0   ███ grad ███▒▒███ grad ███      ▒ transfer of inputs; a gap is waiting
    slot 1   ██ grad ██    ███ grad ███

Tasks are recorded only while somebody looks at the page.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

_BARS, _SECONDS = 2000, 3.0
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
    step: int


class Activity:
    """The tasks of one run. `operations` has its operations by the names of their keys."""

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}
        self.bars: deque[Bar] = deque(maxlen=_BARS)
        self.workers: dict[int, str] = {}
        self.data: dict[str, Any] = {}
        self._loaded = self._computed = -1

    def know(self, event: Mapping[str, Any]) -> None:
        """Take up the event `operations`."""
        for key, name, verb, places in event["operations"]:
            slots = {tuple(index): ANYWHERE if slot is None else slot for index, slot in places}
            self.operations[key] = Operation(name, verb, slots)
        self.data = dict(event.get("data", {}))

    def slot(self, key: tuple[Any, ...]) -> int:
        """Return the slot of a task; `ANYWHERE` for tasks outside of steps."""
        return self.operations[key[0]].slots.get(key[2:], ANYWHERE)

    def done(self, key: tuple[Any, ...], worker: str, startstops: Iterable[Mapping[str, Any]]) -> None:
        """Record a task that has run."""
        operation, slot, step = self.operations[key[0]], self.slot(key), _step(key)
        self.workers[slot] = worker
        if operation.verb == "load":
            self._loaded = max(self._loaded, step)
        else:
            self._computed = max(self._computed, step)
        for stretch in startstops:
            action = stretch["action"]
            if action in ("compute", "transfer"):
                transfer = action == "transfer"
                self.bars.append(Bar(slot, stretch["start"], stretch["stop"], transfer, operation.name, step))

    @property
    def ahead(self) -> int:
        """Steps by which the loading of batches is ahead of computing."""
        return max(0, self._loaded - self._computed)

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

    def strip(self) -> dict[str, Any]:
        """Return the tasks of the last seconds: times are milliseconds since `from`."""
        bars = self._recent()
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

    def shares(self) -> list[dict[str, float]]:
        """Return the shares of the last seconds that each slot computed, received and waited."""
        bars = self._recent()
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

    def _recent(self) -> Sequence[Bar]:
        if not self.bars:
            return ()
        last = max(bar.stop for bar in self.bars)
        return [bar for bar in self.bars if bar.stop > last - _SECONDS]


def _step(key: tuple[Any, ...]) -> int:
    return key[1] if len(key) > 1 and isinstance(key[1], int) else -1
