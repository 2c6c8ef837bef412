"""A parameter server as a Dask actor, and the tasks that pull from it and push to it.

grad-stale, lane 0  ── pull ──>  parameter-server  <── pull ──  grad-stale, lane 1
                    ── push ──>  (applies updates) <── push ──
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from threading import RLock
from typing import Any, NamedTuple

from daskpar.data.chunk import Chunk
from daskpar.layout.partition import Span
from daskpar.layout.tree import levels
from daskpar.tasks.fused import grad_model
from daskpar.tasks.gradient import add_sums, ignore_float_errors, reduce_gradient
from daskpar.tasks.layer_norms import is_measured
from daskpar.tasks.load import load_initial, load_state
from daskpar.tasks.state_file import StateFile
from daskpar.tasks.step import (
    apply_update,
    gather_parameters,
    gather_state,
    merged,
    statistics_within,
)
from daskpar.tasks.types import Gradient, Lane, Logged, Spec, State, Sums

_PATIENCE = 2  # seconds without an answer, after which the task checks if the server is lost


class Pushed(NamedTuple):
    """Answer of a server to a gradient: its staleness, and the norms of the update if they were measured."""

    staleness: int
    norms: Sums = ()


class ParameterServer:
    """A server of the elements `span` of the parameters. Its methods run one at a time.

    An `ordered` server applies the gradients of a step when those of all `lanes` have arrived. It adds them
    by the same tree as synchronous lanes. Other servers apply each gradient as it arrives, with the lane's
    share of the learning rate. A gradient that arrives twice, from a task that ran again, is applied once.

    Args:
        spec: The run.
        span: Elements of the parameters.
        lanes: Number of lanes.
        fan_in: Fan-in of the tree that adds gradients.
        ordered: True for stale-synchronous, False for asynchronous updates.
        step: Step at which the run begins.
        path: File with the state, its content, or None to initialise it from the seed.
    """

    def __init__(
        self,
        spec: Spec,
        span: Span,
        lanes: int,
        fan_in: int,
        ordered: bool,
        step: int,
        path: StateFile | None,
    ):
        owner = load_initial(spec) if path is None else load_state(spec, path)
        own = slice(span.start, span.stop)
        slots = {name: slot[own].copy() for name, slot in owner.state.slots.items()}
        self.spec, self.fan_in, self.ordered = spec, fan_in, ordered
        self.span = None if span.stop - span.start == spec.table.size else span
        updates = step if ordered else step * lanes
        self.state = State(updates, owner.state.params[own].copy(), slots)
        self.lanes, self.lock = lanes, RLock()  # actors run one method at a time, plain objects do not
        self.waiting: dict[int, dict[int, Gradient]] = {}
        self.pushed: dict[tuple[int, int], Pushed] = {}

    def pull(self) -> State:
        """Return a copy of the parameters. The step of the state is the number of updates so far."""
        with self.lock:
            return State(self.state.step, self.state.params.copy(), {})

    def push(self, lane: int, step: int, version: int, gradient: Gradient, lr: float, share: float) -> Pushed:
        """Receive a lane's gradient of a step.

        Args:
            lane: Number of the lane.
            step: Number of the step.
            version: Number of updates of the parameters that the gradient was computed with.
            gradient: The gradient of the server's elements.
            lr: Learning rate of the step.
            share: Share of the batch that the lane has, from 0 to 1.

        Returns:
            The number of updates that the gradient has missed (since `version` or, for an ordered server,
            between `version` and the step), and the norms of the update, if they were measured.
        """
        with self.lock:
            if (lane, step) not in self.pushed:
                missed = (step if self.ordered else self.state.step) - version
                self.pushed[lane, step] = Pushed(
                    missed, self._pushed(lane, step, version, gradient, lr, share)
                )
            return self.pushed[lane, step]

    def _pushed(
        self, lane: int, step: int, version: int, gradient: Gradient, lr: float, share: float
    ) -> Sums:
        """Take up a gradient; return the norms of the update, if one was made and measured."""
        if not self.ordered:
            if not gradient.sums or not gradient.sums[1] > 0:
                return ()
            measured = lane == 0 and is_measured(self.spec, step)  # one of the lanes' updates of a step
            return self._apply(self._known(gradient, version, self.state.step), lr * share, measured)
        self.waiting.setdefault(step, {})[lane] = self._known(gradient, version, step)
        if len(self.waiting[step]) < self.lanes:
            return ()
        arrived = self.waiting.pop(step)
        gradients = [arrived[lane] for lane in sorted(arrived)]
        for nodes in levels(len(gradients), self.fan_in, True):
            gradients = [reduce_gradient(*(gradients[i] for i in node.inputs)) for node in nodes]
        return self._apply(gradients[0], lr)

    def _known(self, gradient: Gradient, version: int, updates: int) -> Gradient:
        """Return a gradient, without sums for running statistics if it was computed before all updates.

        Those sums are differences from 0. The sums of later gradients are differences from the mean of the
        batches so far, so the two cannot be added.
        """
        ends = statistics_within(self.spec, self.span, len(gradient.buffer))
        if version or not updates or not ends:
            return gradient
        buffer = gradient.buffer.copy()
        for start, stop in ends:
            buffer[start:stop] = 0
        return gradient._replace(buffer=buffer)

    def snapshot(self) -> State:
        """Return a copy of the parameters and their slots."""
        with self.lock:
            slots = {name: slot.copy() for name, slot in self.state.slots.items()}
            return self.state._replace(params=self.state.params.copy(), slots=slots)

    @ignore_float_errors
    def _apply(self, gradient: Gradient, lr: float, measured: bool | None = None) -> Sums:
        total = gradient.buffer.copy()
        state = apply_update(self.spec, self.state, total, gradient.sums, lr, self.span, measured=measured)
        self.state = state._replace(log=())
        return state.log[-1].norms


def grad_pushed(
    spec: Spec,
    step: int,
    streams: range,
    lane: int,
    lr: float,
    fresh: bool,
    spans: Sequence[Span],
    servers: Sequence[Any],
    waited: Sequence[Any],
    *chunks: Chunk,
) -> Lane:
    """Compute one lane's gradient of one step with the current parameters, and push it to the servers.

    Args:
        spec: The run.
        step: Number of the step.
        streams: Streams of the lane.
        lane: Number of the lane.
        lr: Learning rate.
        fresh: True if the log starts again.
        spans: Elements of each server.
        servers: The servers.
        waited: The lane's value of the step before, then values of tasks that had to run before.
        chunks: Chunks from which the rows are drawn.

    Returns:
        The lane's log, without parameters.
    """
    pulled = _answers(servers, [server.pull() for server in servers])
    params = gather_parameters(*map(Lane, pulled)).state.params if len(pulled) > 1 else pulled[0].params
    gradient = grad_model(spec, step, streams, Lane(State(step, params, {})), *chunks)
    _, within = spec.order.place(step)
    share = spec.order.count(within, streams) / spec.order.count(within, range(spec.order.streams))
    pushed = []
    for server, before, span in zip(servers, pulled, spans, strict=True):
        piece = gradient._replace(buffer=gradient.buffer[span.start : span.stop])
        pushed.append(server.push(lane, step, before.step, piece, lr, share))
    answers: list[Pushed] = _answers(servers, pushed)
    staleness = max(answer.staleness for answer in answers)
    norms = reduce(add_sums, (answer.norms for answer in answers))
    log = () if fresh or not waited else waited[0].state.log
    entry = Logged(step, gradient.sums, (staleness,), norms)
    return Lane(State(step + 1, params[:0], {}, (*log, entry)))


def snapshot(spec: Spec, step: int, spans: Sequence[Span], servers: Sequence[Any], *lanes: Lane) -> Lane:
    """Take a snapshot: return the state of all servers after the tasks of `lanes`."""
    states = _answers(servers, [server.snapshot() for server in servers])
    owner = gather_state(spec, spans, *(Lane(state) for state in states))
    return Lane(owner.state._replace(step=step, log=merged(lanes) if lanes else ()))


def _answers(servers: Sequence[Any], calls: Sequence[Any]) -> list[Any]:
    """Return the answers of servers. Without a cluster, servers are plain objects and answer at once.

    Raises:
        RuntimeError: The worker of a server is lost.
    """
    if not all(hasattr(call, "result") for call in calls):
        return list(calls)
    answers = []
    for server, call in zip(servers, calls, strict=True):
        while True:
            try:
                answers.append(call.result(timeout=_PATIENCE))
                break
            except TimeoutError:
                if not _is_alive(server):  # its answer never comes
                    raise RuntimeError("Worker holding Actor was lost") from None
    return answers


def _assume_alive(server: Any) -> bool:
    return True


_is_alive: Callable[[Any], bool] = _assume_alive
"""Test of a server's worker, which `know_servers` replaces on a cluster."""


def know_servers(is_alive: Callable[[Any], bool]) -> None:
    """Set the test that tasks of this process use for a server that does not answer."""
    global _is_alive
    _is_alive = is_alive


def barrier(*values: Any) -> None:
    """Wait for `values` and return None, so that a task can depend on them without receiving them."""
