"""A parameter server as a Dask actor, and the tasks that pull from it and push to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock
from typing import Any

from daskpar.data.chunk import Chunk
from daskpar.layout.partition import Span
from daskpar.layout.tree import levels
from daskpar.tasks.fused import grad_model
from daskpar.tasks.gradient import ignore_float_errors, reduce_gradient
from daskpar.tasks.load import load_initial, load_state
from daskpar.tasks.step import (
    apply_update,
    gather_parameters,
    gather_state,
    merged,
    statistics_within,
)
from daskpar.tasks.types import Gradient, Lane, Logged, Spec, State

_PATIENCE = 2  # seconds until it is asked whether a server still lives


class ParameterServer:
    """Elements `span` of the parameters, which change as gradients come; its methods run one at a time.

    Where it is `ordered`, gradients of a step are applied when those of all `lanes` have come, added in the
    order of lanes (by the tree that lanes which meet have). Else each is applied as it comes, at its lane's
    share of the rate. A gradient that comes again, from a task that had to be done again, changes nothing.
    """

    def __init__(
        self, spec: Spec, span: Span, lanes: int, fan_in: int, ordered: bool, step: int, path: str | None
    ):
        owner = load_initial(spec) if path is None else load_state(spec, path)
        own = slice(span.start, span.stop)
        slots = {name: slot[own].copy() for name, slot in owner.state.slots.items()}
        self.spec, self.fan_in, self.ordered = spec, fan_in, ordered
        self.span = None if span.stop - span.start == spec.table.size else span
        updates = step if ordered else step * lanes
        self.state = State(updates, owner.state.params[own].copy(), slots)
        self.lanes, self.lock = lanes, RLock()  # an actor does one thing at a time, plain objects do not
        self.waiting: dict[int, dict[int, Gradient]] = {}
        self.staleness: dict[tuple[int, int], int] = {}

    def pull(self) -> State:
        """The parameters as they are, after so many updates as the step of this state says."""
        with self.lock:
            return State(self.state.step, self.state.params.copy(), {})

    def push(self, lane: int, step: int, version: int, gradient: Gradient, lr: float, share: float) -> int:
        """Take a lane's gradient of a step, worked out after `version` updates; returns its staleness.

        That is the number of updates that it does not know of: those in between or, where the server is
        ordered, of the steps before its own.
        """
        with self.lock:
            return self._pushed(lane, step, version, gradient, lr, share)

    def _pushed(self, lane: int, step: int, version: int, gradient: Gradient, lr: float, share: float) -> int:
        if (lane, step) in self.staleness:
            return self.staleness[lane, step]
        if not self.ordered:
            self.staleness[lane, step] = self.state.step - version
            if gradient.sums and gradient.sums[1] > 0:
                self._apply(self._known(gradient, version, self.state.step), lr * share)
            return self.staleness[lane, step]
        self.staleness[lane, step] = step - version
        self.waiting.setdefault(step, {})[lane] = self._known(gradient, version, step)
        if len(self.waiting[step]) == self.lanes:
            arrived = self.waiting.pop(step)
            gradients = [arrived[lane] for lane in sorted(arrived)]
            for nodes in levels(len(gradients), self.fan_in, True):
                gradients = [reduce_gradient(*(gradients[i] for i in node.inputs)) for node in nodes]
            self._apply(gradients[0], lr)
        return self.staleness[lane, step]

    def _known(self, gradient: Gradient, version: int, updates: int) -> Gradient:
        """A gradient of no `version` that comes after some `updates`, without sums for running statistics.

        Such sums are about 0, those of all others about the mean of the batches so far.
        """
        ends = statistics_within(self.spec, self.span, len(gradient.buffer))
        if version or not updates or not ends:
            return gradient
        buffer = gradient.buffer.copy()
        for start, stop in ends:
            buffer[start:stop] = 0
        return gradient._replace(buffer=buffer)

    def snapshot(self) -> State:
        """The parameters and their slots as they are."""
        with self.lock:
            slots = {name: slot.copy() for name, slot in self.state.slots.items()}
            return self.state._replace(params=self.state.params.copy(), slots=slots)

    @ignore_float_errors
    def _apply(self, gradient: Gradient, lr: float) -> None:
        state = apply_update(self.spec, self.state, gradient.buffer.copy(), gradient.sums, lr, self.span)
        self.state = state._replace(log=())


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
    """One lane's gradient of one step, worked out on parameters as they are now, and pushed.

    `waited`: first what the lane did last, whose log goes on unless `fresh`; then what it is to wait for.
    """
    pulled = _answers(servers, [server.pull() for server in servers])
    params = gather_parameters(*map(Lane, pulled)).state.params if len(pulled) > 1 else pulled[0].params
    gradient = grad_model(spec, step, streams, Lane(State(step, params, {})), *chunks)
    _, within = spec.order.place(step)
    share = spec.order.count(within, streams) / spec.order.count(within, range(spec.order.streams))
    pushed = []
    for server, before, span in zip(servers, pulled, spans, strict=True):
        own = gradient._replace(buffer=gradient.buffer[span.start : span.stop])
        pushed.append(server.push(lane, step, before.step, own, lr, share))
    staleness = max(_answers(servers, pushed))
    log = () if fresh or not waited else waited[0].state.log
    entry = Logged(step, gradient.sums, (staleness,))
    return Lane(State(step + 1, params[:0], {}, (*log, entry)))


def snapshot(spec: Spec, step: int, spans: Sequence[Span], servers: Sequence[Any], *lanes: Lane) -> Lane:
    """The state of all servers when `lanes` have done their part."""
    found = _answers(servers, [server.snapshot() for server in servers])
    owner = gather_state(spec, spans, *(Lane(state) for state in found))
    return Lane(owner.state._replace(step=step, log=merged(lanes) if lanes else ()))


def _answers(servers: Sequence[Any], calls: Sequence[Any]) -> list[Any]:
    """The answers of servers, once they have come; raises where one of them is gone.

    Where there is no cluster servers are no actors, and what they say is there at once.
    """
    if not all(hasattr(call, "result") for call in calls):
        return list(calls)
    found = []
    for server, call in zip(servers, calls, strict=True):
        while True:
            try:
                found.append(call.result(timeout=_PATIENCE))
                break
            except TimeoutError:
                if not _is_alive(server):  # a call that it was to answer then never returns
                    raise RuntimeError("Worker holding Actor was lost") from None
    return found


def _taken_for_alive(server: Any) -> bool:
    return True


_is_alive: Callable[[Any], bool] = _taken_for_alive
"""Whether a server still has a worker; what knows a cluster says so by `know_servers`."""


def know_servers(is_alive: Callable[[Any], bool]) -> None:
    """Have tasks of this process ask `is_alive` about a server that does not answer."""
    global _is_alive
    _is_alive = is_alive


def barrier(*values: Any) -> None:
    """Nothing, once `values` are there: what is to wait for that need not have them sent."""
