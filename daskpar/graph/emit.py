"""The only builder of steps: stamps a plan for each step, with its number, learning rate and chunks.

    plan (once a run)                 step 7                            step 8
    update 0 ─> grad 0     ──>        ("grad-0f3…", 7, 0)     ──>       ("grad-0f3…", 8, 0)

Nothing else changes from step to step. The values that later steps read are in `StepState`, by variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from daskpar import tasks
from daskpar.graph.dask_api import Task, TaskRef
from daskpar.graph.graph import Graph, Key
from daskpar.graph.readers import READERS, Frame, Reader, TrainingChunks, source_of
from daskpar.graph.state import StepState
from daskpar.layout.arguments import AllCarried, Source
from daskpar.layout.compile import compile_plan
from daskpar.layout.plan import FROM_FILE, FROM_SEED, SNAPSHOT, Index, Kind, Section
from daskpar.tasks.types import Spec


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
        self.chunks = TrainingChunks(spec, chunks)
        self._looked_up: dict[int, list[_Ready]] = {}

    def start(self, graph: Graph, step: int, restart_point: Path | None = None) -> StepState:
        """Add what loads the state of a step, from a file or the seed."""
        path = None if restart_point is None else str(restart_point)
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
        state = self._stamp(graph, self.plan.snapshot, state, _Moment())
        values = dict(state.values)
        (snapshot,) = values.pop(SNAPSHOT)
        return snapshot.key, state._replace(values=values)

    def settled(self, state: StepState) -> StepState:
        """A run without the gradients that wait to be applied: as it was when its logs ended."""
        return state._replace(values={name: state.read(name) for name in self.plan.start.results})

    def _stamp(self, graph: Graph, section: Section, state: StepState, moment: _Moment) -> StepState:
        """Add the operations of a section for one step; returns where the run then stands."""
        step, frame = state.step, Frame(self.chunks, state, self._now(state, moment))
        values, suffix = frame.values, f"-{graph.token}"
        for kind, function, coordinates, slot, arguments, needs, instead in self._ready(section):
            if needs and not _is_there(needs, state, moment):
                values.append(source_of(instead, frame))
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
                    tuple((argument, READERS.get(type(argument))) for argument in op.arguments),
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

    def _after(self, section: Section, frame: Frame) -> StepState:
        """The values that later steps read."""
        state = frame.state
        current, earlier = {**state.values}, state.earlier
        for variable, sources in section.results.items():
            remembered = self.plan.back.get(variable, 1) - 1
            if remembered and variable in current:
                before = (current[variable], *earlier.get(variable, ()))[:remembered]
                earlier = {**earlier, variable: before}
            references = [source_of(source, frame) for source in sources]
            current[variable] = tuple([ref for ref in references if ref is not None])
        logs: list[Key] = []
        for log in self.plan.logs:
            refs = current.get(log.variable, ())
            logs += [
                ref.key for ref in (refs if isinstance(log, AllCarried) else refs[log.item : log.item + 1])
            ]
        return StepState(state.step, current, earlier, state.rate, tuple(logs))


class _Moment(NamedTuple):
    """The differences between two stamps of a section, besides the state."""

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
    arguments: tuple[tuple[object, Reader | None], ...]
    needs: str
    instead: Source | None


def _is_there(needed: str, state: StepState, moment: _Moment) -> bool:
    if needed in (FROM_FILE, FROM_SEED):
        return (moment.file is not None) == (needed == FROM_FILE)
    return bool(state.values.get(needed))
