"""The only builder of steps: stamps a plan for each step, with its number, learning rate and chunks.

plan (once a run)                 step 7                            step 8
update 0 ─> grad 0     ──>        ("grad-0f3…", 7, 0)     ──>       ("grad-0f3…", 8, 0)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

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
    Now,
    Output,
    Section,
    Source,
    Streams,
    Together,
    WindowChunks,
)
from daskpar.tasks.types import Spec

Values = Mapping[str, tuple[Key, ...]]


@dataclass(frozen=True)
class StepState:
    """A run between two steps: the keys of all values that later steps read, by variable.

    `earlier`: the values of the steps before, the newest first, of variables that are read from further back.
    `rate`: the learning rate with which gradients that wait are to be applied. `logs`: the values whose logs
    tell of the steps since the last window.
    """

    step: int
    values: Values = field(default_factory=dict)
    earlier: Mapping[str, tuple[tuple[Key, ...], ...]] = field(default_factory=dict)
    rate: float = 0.0
    logs: tuple[Key, ...] = ()

    @property
    def keys(self) -> set[Key]:
        """The values that the next window needs to find."""
        older = {key for steps in self.earlier.values() for keys in steps for key in keys}
        return {key for keys in self.values.values() for key in keys} | older

    def read(self, variable: str, back: int = 1) -> tuple[Key, ...]:
        """The keys of a variable, as it was `back` steps ago; none where there is no such value."""
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
        lanes = range(spec.layout.lane_count)
        self._streams = [spec.layout.streams(lane, spec.order.streams) for lane in lanes]

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
                state, fresh = replace(state, step=state.step + count), False
            else:
                for rate in rates[:count]:
                    state = self._stamp(graph, self.plan.step, state, _Moment(fresh=fresh, rate=rate))
                    state, fresh = replace(state, step=state.step + 1, rate=rate), False
            if count == alone and self.plan.average is not None:
                state = self._stamp(graph, self.plan.average, state, _Moment())
            rates = rates[count:]
        return state

    def cut(self, graph: Graph, state: StepState) -> tuple[Key, StepState]:
        """Add what makes the state of a step a value of its own; returns its key."""
        state = self._stamp(graph, self.plan.look, state, _Moment())
        values = dict(state.values)
        (look,) = values.pop(LOOK)
        return look, replace(state, values=values)

    def _stamp(self, graph: Graph, section: Section, state: StepState, moment: _Moment) -> StepState:
        """Add the operations of a section for one step; returns where the run then stands."""
        step, token = state.step, graph.token
        now = self._now(section, state, moment)
        values: list[TaskRef | None] = []  # of each operation, or of what is read instead of it
        for op in section.ops:
            if op.needs and not _is_there(op.needs, state, moment):
                values.append(_source(op.instead, values, state))
                continue
            key: Key = (f"{op.kind.name}-{token}", step, *op.index)
            arguments: list[object] = []
            for argument in op.arguments:
                if type(argument) is Output:
                    arguments.append(values[argument.number])
                elif type(argument) is Now:
                    arguments.append(now[argument])
                elif type(argument) in _READ:
                    self._read(argument, arguments, values, state, now)
                else:
                    arguments.append(argument)
            graph.put(op.kind, key, Task(key, getattr(tasks, op.function), *arguments), op.slot)
            values.append(TaskRef(key))
        return self._after(section, state, values)

    def _now(self, section: Section, state: StepState, moment: _Moment) -> dict[Now, object]:
        step = state.step
        now: dict[Now, object] = {
            Now.MODEL: self._model,
            Now.STEP: step,
            Now.RATE: moment.rate,
            Now.LAST_RATE: state.rate,
            Now.FRESH: moment.fresh,
            Now.FILE: moment.file,
            Now.PART: "",
            Now.ROUNDS: self.layout.averages(step) - 1,
        }
        if section is self.plan.step and self.plan.whole_windows:
            now[Now.RATES] = moment.rates
        return now

    def _read(
        self,
        argument: object,
        arguments: list[object],
        values: Sequence[TaskRef | None],
        state: StepState,
        now: Mapping[Now, object],
    ) -> None:
        """Append the arguments that stand for values of earlier steps, or for chunks of data."""
        if isinstance(argument, Carried):
            arguments.append(_source(argument, values, state))
        elif isinstance(argument, AllCarried):
            arguments += map(TaskRef, state.read(argument.variable, argument.back))
        elif isinstance(argument, CountCarried):
            arguments.append(len(state.read(argument.variable)))
        elif isinstance(argument, Together):
            inner: list[object] = []
            for value in argument.values:
                if isinstance(value, Output):
                    inner.append(values[value.number])
                else:
                    self._read(value, inner, values, state, now)
            present = [ref for ref in inner if ref is not None]
            arguments.append(List(*present) if present else None)
        elif isinstance(argument, Streams):
            arguments.append(self._streams[argument.lane])
        elif isinstance(argument, AllStreams):
            arguments.append(tuple(self._streams[lane] for lane in argument.lanes))
        elif isinstance(argument, Chunks):
            epoch, within = divmod(state.step, self.spec.order.steps)
            pieces = self.spec.order.pieces(epoch, within, self._streams[argument.lane])
            arguments += [self._chunks[stream, chunk] for stream, chunk, _, _ in pieces]
        elif isinstance(argument, WindowChunks):
            rates = now[Now.RATES]
            assert isinstance(rates, tuple)
            places = self._places(argument.lanes, range(state.step, state.step + len(rates)))
            arguments.append(places)
            arguments += [self._chunks[place] for place in places]

    def _places(self, lanes: range, steps: range) -> tuple[tuple[int, int], ...]:
        """The (stream, chunk) that lanes draw from in some steps, each once."""
        streams = range(self._streams[lanes.start].start, self._streams[lanes.stop - 1].stop)
        places: dict[tuple[int, int], None] = {}
        for step in steps:
            for piece in self.spec.order.pieces(*divmod(step, self.spec.order.steps), streams):
                places[piece.stream, piece.chunk] = None
        return tuple(places)

    def _after(self, section: Section, state: StepState, values: Sequence[TaskRef | None]) -> StepState:
        """The values that later steps read."""
        current, earlier = dict(state.values), dict(state.earlier)
        for variable, sources in section.results.items():
            remembered = self.plan.back.get(variable, 1) - 1
            if remembered and variable in current:
                earlier[variable] = (current[variable], *earlier.get(variable, ()))[:remembered]
            references = [_source(source, values, state) for source in sources]
            current[variable] = tuple(ref.key for ref in references if ref is not None)
        after = replace(state, values=current, earlier=earlier)
        logs = [after.read(log.variable) for log in self.plan.logs]
        chosen = [
            keys if isinstance(log, AllCarried) else keys[log.item : log.item + 1]
            for log, keys in zip(self.plan.logs, logs, strict=True)
        ]
        return replace(after, logs=tuple(key for keys in chosen for key in keys))


@dataclass(frozen=True)
class _Moment:
    """What differs between two stamps of a section, besides the state."""

    rate: float = 0.0
    fresh: bool = False
    rates: tuple[float, ...] = ()
    file: str | None = None


_READ = {Carried, AllCarried, CountCarried, Together, Streams, AllStreams, Chunks, WindowChunks}


def _is_there(needed: str, state: StepState, moment: _Moment) -> bool:
    if needed in (FROM_FILE, FROM_SEED):
        return (moment.file is not None) == (needed == FROM_FILE)
    return bool(state.values.get(needed))


def _source(source: Source | None, values: Sequence[TaskRef | None], state: StepState) -> TaskRef | None:
    if isinstance(source, Output):
        return values[source.number]
    if source is None:
        return None
    keys = state.read(source.variable, source.back)
    return TaskRef(keys[source.item]) if source.item < len(keys) else None
