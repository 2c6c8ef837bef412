"""Windows of steps, two in flight, so that workers never wait for the client.

    window 1 ████████            the client builds and submits window 2 while window 1 is computed,
    window 2         ████████    and fetches nothing of each but its log of sums

A window ends at a *milestone*: an evaluation, a checkpoint, the end. At a *restart point* the driver lets all
windows finish and continues from a file, so that no task depends on steps before it: a killed worker costs at
most the steps since then, and the memory of the scheduler does not grow with the steps.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from daskpar import tasks
from daskpar.cluster.executor import Executor
from daskpar.errors import InputError, ServerLostError
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph, Key, Ref, refs
from daskpar.graph.state import StepState
from daskpar.tasks.state_file import StateFile
from daskpar.tasks.types import Lane, Log, State
from daskpar.train.evaluate import add_evaluation
from daskpar.train.tokens import new_token

logger = logging.getLogger("daskpar")

_IN_FLIGHT = 2
_AHEAD = 32  # windows in flight where lanes do not wait for each other
_WINDOW_SECONDS = 0.3
_RESTART_SECONDS = 5.0  # between restart points where workers may die, at least:
_RESTART_SHARE = 0.05  # writing them takes at most about this share of the time
_RESTART_TASKS = 3_000  # between restart points anywhere: the scheduler keeps all tasks until the next


@dataclass(frozen=True)
class Milestone:
    """Step at which a window ends: the reasons, and the keys of the results that are fetched there."""

    step: int
    evaluate: bool = False
    save: bool = False
    restart_point: bool = False
    interrupted: bool = False
    state: Key = ()
    scores: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Submission:
    """Submitted steps, with the keys to release once they are done.

    `front` is the state of the step graph after them.
    """

    steps: int
    front: StepState
    report: Key
    cut: Milestone | None
    keys: set[Key]


@dataclass
class Driver:
    """Runs a training from a restart point to a step, window by window.

    `plan(step)` returns the next milestone after a step, `rate(step)` the learning rate of a step.
    `evaluated` has the keys of the chunks to evaluate on, `data` the keys that were submitted before.
    `sources` has the tasks that load the data, where chunks are not kept: they are added to each window that
    needs them.
    """

    executor: Executor
    emitter: Emitter
    token: str
    plan: Callable[[int], Milestone]
    rate: Callable[[int], float]
    evaluated: list[Key] = field(default_factory=list)
    data: list[Key] = field(default_factory=list)
    sources: dict[Key, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._kept = set(self.data)
        self.interrupted = False
        self.evaluation_seconds = 0.0  # of evaluations that were computed before `submit` returned
        self._reported: Submission | None = None

    def interrupt(self) -> None:
        """End the run after the steps in flight."""
        self.interrupted = True

    def close(self) -> None:
        """Release all keys that were submitted; the executor stays open."""
        self._release(set(self._kept))

    def state(self) -> State:
        """Return the state after the steps that `run` yielded last, while it waits for the caller.

        Raises InputError at any other time, when that state no longer exists.
        """
        window = self._reported
        if window is None:
            raise InputError(
                "the parameters of a run are known in the methods of a callback; in between they change"
            )
        if window.cut is not None:
            return _state_in(self.executor.result(window.cut.state))
        graph, front = Graph(new_token()), window.front
        if front.step > self._logged:
            front = self.emitter.settled(front)
        source, _ = self.emitter.snapshot(graph, front)
        key = self._on_the_host(graph, source, front.step)
        self.executor.submit(graph, [key], self.emitter.layout.slots)
        try:
            return _state_in(self.executor.result(key))
        finally:
            self.executor.release([key])

    def _release(self, keys: set[Key]) -> None:
        self.executor.release(keys)
        self._kept -= keys

    def run(self, step: int, restart_point: StateFile | None, stop: int) -> Iterator[Log | Milestone]:
        """Yield the log (step, sums) of each window, and each milestone, in order.

        After a milestone with `restart_point` the caller must have set `self.restart_point` to the file with
        the state of that step, or to its content. Once `self.interrupted` is set, no more windows are
        submitted, and the last milestone is that of the last step in flight.
        """
        self.restart_point: StateFile | None = restart_point
        self._logged, self._seen, self._length = step, step, 1
        restart_step = step
        self._tasks, self._restarted, self._spacing = 0, time.monotonic(), _RESTART_SECONDS
        self._pace: deque[tuple[int, float]] = deque(maxlen=4)
        front: StepState | None = None
        pending: deque[Submission] = deque()
        last = time.monotonic()
        while pending or (step < stop and not self.interrupted):
            while step < stop and not self.interrupted and len(pending) < self._in_flight:
                if pending and _is_restart_point(pending[-1]):
                    break
                window, front = self._submit(front, step, stop)
                step = front.step
                pending.append(window)
            window = pending[0]
            try:
                log = self.executor.result(window.report)
            except ServerLostError as error:
                logger.warning("%s; continuing from step %d", error, restart_step)
                self._release({key for lost in pending for key in lost.keys})
                pending.clear()
                front, step, self.token = None, restart_step, new_token()
                continue
            self._reported = pending.popleft()
            yield self._log(log)
            now = time.monotonic()
            self._adapt(window.steps, now - last)
            if window.cut is not None:
                self._seen, begun = window.cut.step, time.monotonic()
                yield window.cut
                self._spacing = max(_RESTART_SECONDS, (time.monotonic() - begun) / _RESTART_SHARE)
                restart_step = self._seen if window.cut.restart_point else restart_step
            self._reported = None
            self._release(window.keys - (front.keys if front else set()))
            if _is_restart_point(window) and front is not None:
                self._release(front.keys)
                front = None
                self._tasks, self._restarted = 0, time.monotonic()
            last = time.monotonic()
        if step < stop:
            yield self._interruption(front, step)

    def _interruption(self, front: StepState | None, step: int) -> Milestone:
        """Return the milestone of the last step; without a `state`, of the last restart point."""
        if front is None:
            return Milestone(step, interrupted=True)
        graph = Graph(self.token)
        source, front = self.emitter.snapshot(graph, front)
        state = self._on_the_host(graph, source, step)
        keys = {source, state, *front.keys}
        self.executor.submit(graph, keys, self.emitter.layout.slots)
        self._kept |= keys
        return Milestone(step, interrupted=True, state=state)

    @property
    def _in_flight(self) -> int:
        return _IN_FLIGHT if self.emitter.layout.update == "sync" else _AHEAD

    def _submit(self, front: StepState | None, step: int, stop: int) -> tuple[Submission, StepState]:
        graph = Graph(self.token)
        if front is None:
            front = self.emitter.start(graph, step, self.restart_point)
        planned = self._next_cut(step, stop)
        end = min(step + self._length, planned.step)
        due = self._restart_is_due()
        cut = planned if planned.step == end else Milestone(end) if due else None
        if end <= self._seen and end < stop:  # it was reported before the parameters were lost
            cut = None
        front = after = self.emitter.window(graph, front, [self.rate(s) for s in range(step, end)])
        keys, logs = set(front.keys), front.logs
        evaluated: Key | None = None
        if cut is not None:
            source, front = self.emitter.snapshot(graph, front)
            keys |= front.keys
            logs = (source,)
            chunks = self.evaluated if cut.evaluate else []
            scores = add_evaluation(graph, cut.step, self.emitter.model, source, chunks)
            evaluated = source if scores else None
            state = self._on_the_host(graph, source, end)
            cut = replace(cut, restart_point=cut.restart_point or cut.save or due, state=state, scores=scores)
            keys |= {state, *scores}
        if len(logs) > 1:
            logs = tuple(graph.add("log", (end, i), tasks.log_of, Ref(log)) for i, log in enumerate(logs))
        report = graph.add("report", (end,), tasks.report, *refs(logs))
        keys.add(report)
        self._add_sources(graph)
        self._tasks += len(graph)
        self._submit_timed(graph, keys, evaluated)
        self._kept |= keys
        return Submission(end - step, after, report, cut, keys), front

    def _submit_timed(self, graph: Graph, keys: set[Key], evaluated: Key | None) -> None:
        """Submit a window; where it is computed at once, time what follows the `evaluated` state."""
        ready: list[float] = []

        def note(key: Key) -> None:
            if key == evaluated:
                ready.append(time.perf_counter())

        done = None if evaluated is None else note
        self.executor.submit(graph, keys, self.emitter.layout.slots, done)
        if ready:
            self.evaluation_seconds += time.perf_counter() - ready[0]

    def _on_the_host(self, graph: Graph, state: Key, step: int) -> Key:
        """Return the key of a state on the host: the client may not have the device."""
        if self.emitter.spec.module == "numpy":
            return state
        return graph.add("fetch-state", (step,), tasks.fetch_state, Ref(state))

    def _next_cut(self, step: int, stop: int) -> Milestone:
        cut = self.plan(step)
        return cut if cut.step <= stop else Milestone(stop)

    def _restart_is_due(self) -> bool:
        if self._tasks >= _RESTART_TASKS:
            return True
        return not self.executor.in_process and time.monotonic() - self._restarted > self._spacing

    def _add_sources(self, graph: Graph) -> None:
        if not self.sources:
            return
        wanted = [d for task in graph.flat().values() for d in task.dependencies]
        needed: dict[Key, Any] = {}
        while wanted:
            key = wanted.pop()
            if key in self.sources and key not in needed:
                needed[key] = self.sources[key]
                wanted.extend(needed[key].dependencies)
        graph.include("load-data", needed)

    def _log(self, log: Log) -> Log:
        """Return the steps that are new; a milestone reports the last steps before it once more."""
        fresh = tuple(entry for entry in log if entry[0] >= self._logged)
        if fresh:
            self._logged = fresh[-1][0] + 1
        return fresh

    def _adapt(self, steps: int, seconds: float) -> None:
        """Set the length of the next windows, from the time of the last four."""
        self._pace.append((steps, seconds))
        done, taken = map(sum, zip(*self._pace, strict=True))
        self._length = max(1, min(int(_WINDOW_SECONDS * done / max(taken, 1e-6)), 4 * self._length, 512))


def _state_in(owner: Lane) -> State:
    return owner.state


def _is_restart_point(window: Submission) -> bool:
    return window.cut is not None and window.cut.restart_point
