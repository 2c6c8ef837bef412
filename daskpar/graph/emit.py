"""The only builder of steps: stamps a plan for each step, with its number, learning rate and chunks.

plan (once a run)                 step 7                            step 8
update 0 ─> grad 0     ──>        ("grad-0f3…", 7, 0)     ──>       ("grad-0f3…", 8, 0)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daskpar import tasks
from daskpar.graph.dask_api import List, Task, TaskRef
from daskpar.graph.graph import Graph, Key
from daskpar.layout.compile import compile_plan
from daskpar.layout.plan import (
    FROM_FILE,
    FROM_SEED,
    LOOK,
    AllCarried,
    AllStreams,
    Carried,
    Chunks,
    CountCarried,
    Index,
    Kind,
    Now,
    Output,
    Section,
    Source,
    Streams,
    Together,
    WindowChunks,
)
from daskpar.tasks.types import Spec

_Places = tuple[tuple[int, int], ...]
_Reader = Callable[[Any, "_Frame", list[object]], None]


class StepState(NamedTuple):
    """A run between two steps: references to all values that later steps read, by variable.

    `earlier`: the values of the steps before, the newest first, of variables that are read from further back.
    `rate`: the learning rate with which gradients that wait are to be applied. `logs`: the values whose logs
    tell of the steps since the last window.
    """

    step: int
    values: Mapping[str, tuple[TaskRef, ...]] = {}
    earlier: Mapping[str, tuple[tuple[TaskRef, ...], ...]] = {}
    rate: float = 0.0
    logs: tuple[Key, ...] = ()

    @property
    def keys(self) -> set[Key]:
        """The values that the next window needs to find."""
        older = {ref.key for steps in self.earlier.values() for refs in steps for ref in refs}
        return {ref.key for refs in self.values.values() for ref in refs} | older

    def read(self, variable: str, back: int = 1) -> tuple[TaskRef, ...]:
        """References to a variable, as it was `back` steps ago; none where there is no such value."""
        if back == 1:
            return self.values.get(variable, ())
        steps = self.earlier.get(variable, ())
        return steps[back - 2] if len(steps) >= back - 1 else ()


class Emitter:
    """Adds the steps of a run to graphs.

    `model`: the key of the Spec's task. `chunks`: the keys of the training data by (stream, chunk).
    `across_processes`: whether workers are processes.
    """

    def __init__(
        self, spec: Spec, model: Key, chunks: Mapping[tuple[int, int], Key], across_processes: bool = False
    ):
        self.spec, self.layout, self.model = spec, spec.layout, model
        self.plan = compile_plan(spec, across_processes)
        self._model = TaskRef(model)
        self._chunks = {place: TaskRef(key) for place, key in chunks.items()}
        self._looked_up: dict[int, list[_Ready]] = {}
        lanes = range(spec.layout.lane_count)
        self.streams = [spec.layout.streams(lane, spec.order.streams) for lane in lanes]

    def start(self, graph: Graph, step: int, root: Path | None = None) -> StepState:
        """Add what loads the state of a step, from a file or the seed."""
        path = None if root is None else str(root)
        return self._stamp(graph, self.plan.start, StepState(step), _Moment(file=path))

    def window(self, graph: Graph, state: StepState, rates: Sequence[float]) -> StepState:
        """Add a step for each learning rate in `rates`, and the averages that fall between them."""
        fresh = True
        while rates:
            alone = self.layout.steps_until_average(state.step)
            count = len(rates) if alone is None else min(alone, len(rates))
            if self.plan.whole_windows:
                moment = _Moment(fresh=fresh, rates=tuple(rates[:count]))
                state = self._stamp(graph, self.plan.step, state, moment)
                state, fresh = state._replace(step=state.step + count), False
            else:
                for rate in rates[:count]:
                    state = self._stamp(graph, self.plan.step, state, _Moment(fresh=fresh, rate=rate))
                    state, fresh = state._replace(step=state.step + 1, rate=rate), False
            if count == alone and self.plan.average is not None:
                state = self._stamp(graph, self.plan.average, state, _Moment())
            rates = rates[count:]
        return state

    def cut(self, graph: Graph, state: StepState) -> tuple[Key, StepState]:
        """Add what makes the state of a step a value of its own; returns its key."""
        state = self._stamp(graph, self.plan.look, state, _Moment())
        values = dict(state.values)
        (look,) = values.pop(LOOK)
        return look.key, state._replace(values=values)

    def _stamp(self, graph: Graph, section: Section, state: StepState, moment: _Moment) -> StepState:
        """Add the operations of a section for one step; returns where the run then stands."""
        step, frame = state.step, _Frame(self, state, self._now(state, moment))
        values, suffix = frame.values, f"-{graph.token}"
        for kind, function, coordinates, slot, arguments, needs, instead in self._ready(section):
            if needs and not _is_there(needs, state, moment):
                values.append(_source(instead, frame))
                continue
            key: Key = (kind.name + suffix, step, *coordinates)
            given: list[object] = []
            for argument, read in arguments:
                if read is None:
                    given.append(argument)
                else:
                    read(argument, frame, given)
            graph.put(kind, key, Task(key, function, *given), slot)
            values.append(TaskRef(key))
        return self._after(section, frame)

    def _ready(self, section: Section) -> list[_Ready]:
        """The operations of a section with their functions and readers looked up, once."""
        ready = self._looked_up.get(id(section))
        if ready is None:
            ready = self._looked_up[id(section)] = [
                _Ready(
                    op.kind,
                    getattr(tasks, op.function),
                    op.coordinates,
                    op.slot,
                    tuple((argument, _READ.get(type(argument))) for argument in op.arguments),
                    op.needs,
                    op.instead,
                )
                for op in section.ops
            ]
        return ready

    def _now(self, state: StepState, moment: _Moment) -> Sequence[object]:
        """The arguments that `Now` numbers."""
        rate, fresh, rates, file = moment
        rounds = self.layout.averages(state.step) - 1
        return (self._model, state.step, rate, state.rate, rates, fresh, file, "", rounds)

    def chunks(self, step: int, lane: int) -> list[TaskRef]:
        """The chunks that a lane draws from in a step."""
        order = self.spec.order
        pieces = order.pieces(step // order.steps, step % order.steps, self.streams[lane])
        return [self._chunks[piece[0], piece[1]] for piece in pieces]

    def window_chunks(self, step: int, count: int, lanes: range) -> tuple[_Places, list[TaskRef]]:
        """The chunks that lanes draw from in some steps, each once, with their (stream, chunk)."""
        streams = range(self.streams[lanes.start].start, self.streams[lanes.stop - 1].stop)
        order, places = self.spec.order, dict[tuple[int, int], None]()
        for number in range(step, step + count):
            for piece in order.pieces(number // order.steps, number % order.steps, streams):
                places[piece.stream, piece.chunk] = None
        return tuple(places), [self._chunks[place] for place in places]

    def _after(self, section: Section, frame: _Frame) -> StepState:
        """The values that later steps read."""
        state = frame.state
        current, earlier = {**state.values}, state.earlier
        for variable, sources in section.results.items():
            remembered = self.plan.back.get(variable, 1) - 1
            if remembered and variable in current:
                before = (current[variable], *earlier.get(variable, ()))[:remembered]
                earlier = {**earlier, variable: before}
            references = [_source(source, frame) for source in sources]
            current[variable] = tuple([ref for ref in references if ref is not None])
        logs: list[Key] = []
        for log in self.plan.logs:
            refs = current.get(log.variable, ())
            logs += [
                ref.key for ref in (refs if isinstance(log, AllCarried) else refs[log.item : log.item + 1])
            ]
        return StepState(state.step, current, earlier, state.rate, tuple(logs))


class _Moment(NamedTuple):
    """What differs between two stamps of a section, besides the state."""

    rate: float = 0.0
    fresh: bool = False
    rates: tuple[float, ...] = ()
    file: str | None = None


class _Ready(NamedTuple):
    """An operation that is ready to be stamped: its function, and its arguments with their readers."""

    kind: Kind
    function: Callable[..., object]
    coordinates: Index
    slot: int | None
    arguments: tuple[tuple[object, _Reader | None], ...]
    needs: str
    instead: Source | None


class _Frame:
    """A section while it is being stamped; `values`: of each operation, or of what is read instead of it."""

    __slots__ = ("emitter", "now", "state", "values")

    def __init__(self, emitter: Emitter, state: StepState, now: Sequence[object]):
        self.emitter, self.state, self.now = emitter, state, now
        self.values: list[TaskRef | None] = []


def _is_there(needed: str, state: StepState, moment: _Moment) -> bool:
    if needed in (FROM_FILE, FROM_SEED):
        return (moment.file is not None) == (needed == FROM_FILE)
    return bool(state.values.get(needed))


def _source(source: Source | None, frame: _Frame) -> TaskRef | None:
    if type(source) is Output:
        return frame.values[source.number]
    if type(source) is Carried:
        refs = frame.state.read(source.variable, source.back)
        return refs[source.item] if source.item < len(refs) else None
    return None


def _read_output(argument: Output, frame: _Frame, arguments: list[object]) -> None:
    arguments.append(frame.values[argument.number])


def _read_now(argument: Now, frame: _Frame, arguments: list[object]) -> None:
    arguments.append(frame.now[argument])


def _read_carried(argument: Carried, frame: _Frame, arguments: list[object]) -> None:
    arguments.append(_source(argument, frame))


def _read_all(argument: AllCarried, frame: _Frame, arguments: list[object]) -> None:
    arguments += frame.state.read(argument.variable, argument.back)


def _read_count(argument: CountCarried, frame: _Frame, arguments: list[object]) -> None:
    arguments.append(len(frame.state.read(argument.variable)))


def _read_together(argument: Together, frame: _Frame, arguments: list[object]) -> None:
    inner: list[object] = []
    for value in argument.values:
        _READ[type(value)](value, frame, inner)
    present = [reference for reference in inner if reference is not None]
    arguments.append(List(*present) if present else None)


def _read_streams(argument: Streams, frame: _Frame, arguments: list[object]) -> None:
    arguments.append(frame.emitter.streams[argument.lane])


def _read_all_streams(argument: AllStreams, frame: _Frame, arguments: list[object]) -> None:
    arguments.append(tuple(frame.emitter.streams[lane] for lane in argument.lanes))


def _read_chunks(argument: Chunks, frame: _Frame, arguments: list[object]) -> None:
    arguments += frame.emitter.chunks(frame.state.step, argument.lane)


def _read_window(argument: WindowChunks, frame: _Frame, arguments: list[object]) -> None:
    count = len(frame.now[Now.RATES])  # type: ignore[arg-type]
    places, chunks = frame.emitter.window_chunks(frame.state.step, count, argument.lanes)
    arguments += [places, *chunks]


_READ: dict[type, _Reader] = {
    Output: _read_output,
    Now: _read_now,
    Carried: _read_carried,
    AllCarried: _read_all,
    CountCarried: _read_count,
    Together: _read_together,
    Streams: _read_streams,
    AllStreams: _read_all_streams,
    Chunks: _read_chunks,
    WindowChunks: _read_window,
}
"""How an argument of a plan becomes arguments of a task; all others are passed on as they are."""
