"""Windows of steps, two in flight: the client is never in the loop.

    window 1 ████████            the client builds and submits window 2 while window 1 computes,
    window 2         ████████    and fetches of each nothing but its log of sums

A window is cut where something must be seen or saved: evaluations, checkpoints, the end. At a *root* the
driver lets the flight run empty and goes on from a file, so that no lineage reaches further back than that:
a killed worker costs at most the steps since, and the scheduler's memory does not grow with the steps.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from daskpar import tasks
from daskpar.cluster.executor import Executor
from daskpar.errors import InputError, ServerLostError
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph, Key, Ref, refs
from daskpar.graph.state import StepState
from daskpar.tasks.types import Lane, Log, State
from daskpar.train.evaluate import add_evaluation
from daskpar.train.tokens import new_token

logger = logging.getLogger("daskpar")

_IN_FLIGHT = 2
_AHEAD = 32  # windows that lanes which do not wait for each other may be ahead in
_WINDOW_SECONDS = 0.3
_ROOT_SECONDS = 5.0  # between roots where workers may die, or more:
_ROOT_SHARE = 0.05  # of a run's time, at most about, goes into writing them
_ROOT_TASKS = 3_000  # between roots anywhere: the scheduler remembers them all until the next


@dataclass(frozen=True)
class Milestone:
    """A step at which a window ends: why, and the keys of what is looked at there."""

    step: int
    evaluate: bool = False
    save: bool = False
    restart_point: bool = False
    interrupted: bool = False
    state: Key = ()
    scores: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Submission:
    """Some steps that were submitted, and what may be released once they are done.

    `front`: where the run stands after them.
    """

    steps: int
    front: StepState
    report: Key
    cut: Milestone | None
    held: set[Key]


@dataclass
class Driver:
    """Runs a training from a root to a step, window by window.

    `plan(step)` gives the next cut after a step, `rate(step)`
    the learning rate of a step. `evaluated` are the keys of the chunks to evaluate on. `data` are the keys
    that were submitted before. `sources` are tasks to add again whenever a window needs them: those of the
    data, where chunks are not kept.
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
        self._reported: Submission | None = None

    def interrupt(self) -> None:
        """End after the steps in flight."""
        self.interrupted = True

    def close(self) -> None:
        """Let go of everything that was submitted: others may work on with this executor."""
        self._release(set(self._kept))

    def state(self) -> State:
        """Fetch the state after the steps that `run` has reported last, while it waits to go on.

        Raises InputError at any other time, when that state is gone.
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

    def run(self, step: int, restart_point: Path | None, stop: int) -> Iterator[Log | Milestone]:
        """Yield each window's log of (step, sums) and each milestone, in order.

        After a milestone with `restart_point` the caller must have set `self.restart_point` to the file with
        the state of that step. Once `self.interrupted` is set, nothing more is submitted, and the milestone
        of the last step that was is the last.
        """
        self.restart_point: Path | None = restart_point
        self._logged, self._seen, self._length = step, step, 1
        rooted = step
        self._tasks, self._rooted, self._apart = 0, time.monotonic(), _ROOT_SECONDS
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
                logger.warning("%s; going on from step %d", error, rooted)
                self._release({key for lost in pending for key in lost.held})
                pending.clear()
                front, step, self.token = None, rooted, new_token()
                continue
            self._reported = pending.popleft()
            yield self._log(log)
            now = time.monotonic()
            self._adapt(window.steps, now - last)
            if window.cut is not None:
                self._seen, begun = window.cut.step, time.monotonic()
                yield window.cut
                self._apart = max(_ROOT_SECONDS, (time.monotonic() - begun) / _ROOT_SHARE)
                rooted = self._seen if window.cut.restart_point else rooted
            self._reported = None
            self._release(window.held - (front.keys if front else set()))
            if _is_restart_point(window) and front is not None:
                self._release(front.keys)
                front = None
                self._tasks, self._rooted = 0, time.monotonic()
            last = time.monotonic()
        if step < stop:
            yield self._interruption(front, step)

    def _interruption(self, front: StepState | None, step: int) -> Milestone:
        """Return the milestone of the last step; without a `state` it is that of the restart point."""
        if front is None:
            return Milestone(step, interrupted=True)
        graph = Graph(self.token)
        source, front = self.emitter.snapshot(graph, front)
        state = self._on_the_host(graph, source, step)
        held = {source, state, *front.keys}
        self.executor.submit(graph, held, self.emitter.layout.slots)
        self._kept |= held
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
        due = self._root_is_due()
        cut = planned if planned.step == end else Milestone(end) if due else None
        if end <= self._seen and end < stop:  # seen before the parameters were lost
            cut = None
        front = after = self.emitter.window(graph, front, [self.rate(s) for s in range(step, end)])
        held, logs = set(front.keys), front.logs
        if cut is not None:
            source, front = self.emitter.snapshot(graph, front)
            held |= front.keys
            logs = (source,)
            chunks = self.evaluated if cut.evaluate else []
            keys = add_evaluation(graph, cut.step, self.emitter.model, source, chunks)
            state = self._on_the_host(graph, source, end)
            cut = replace(cut, restart_point=cut.restart_point or cut.save or due, state=state, scores=keys)
            held |= {state, *keys}
        report = graph.add("report", (end,), tasks.report, *refs(logs))
        held.add(report)
        self._add_sources(graph)
        self._tasks += len(graph)
        self.executor.submit(graph, held, self.emitter.layout.slots)
        self._kept |= held
        return Submission(end - step, after, report, cut, held), front

    def _on_the_host(self, graph: Graph, state: Key, step: int) -> Key:
        """Return the key of a state that the client can hold, who may have no such device."""
        if self.emitter.spec.module == "numpy":
            return state
        return graph.add("fetch-state", (step,), tasks.fetch_state, Ref(state))

    def _next_cut(self, step: int, stop: int) -> Milestone:
        cut = self.plan(step)
        return cut if cut.step <= stop else Milestone(stop)

    def _root_is_due(self) -> bool:
        if self._tasks >= _ROOT_TASKS:
            return True
        return not self.executor.in_process and time.monotonic() - self._rooted > self._apart

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
        """The steps that were not reported before: a cut reports the last of them once more."""
        fresh = tuple(entry for entry in log if entry[0] >= self._logged)
        if fresh:
            self._logged = fresh[-1][0] + 1
        return fresh

    def _adapt(self, steps: int, seconds: float) -> None:
        """Choose the length of the next windows, by the pace of the last few."""
        self._pace.append((steps, seconds))
        done, taken = map(sum, zip(*self._pace, strict=True))
        self._length = max(1, min(int(_WINDOW_SECONDS * done / max(taken, 1e-6)), 4 * self._length, 512))


def _state_in(owner: Lane) -> State:
    return owner.state


def _is_restart_point(window: Submission) -> bool:
    return window.cut is not None and window.cut.restart_point
