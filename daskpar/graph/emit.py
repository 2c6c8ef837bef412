"""The emitter: stamps the plan of a step into tasks, for each step with its number, learning rate and chunks.

    plan (once a run)             tasks of step 7                  tasks of step 8
    grad, lane 0                  ("grad-0f3…", 7, 0)              ("grad-0f3…", 8, 0)
    grad, lane 1                  ("grad-0f3…", 7, 1)              ("grad-0f3…", 8, 1)
                                    key: name and token of the run, step, coordinates

Nothing else changes from step to step. `StepState` has the values that later steps read, by variable.
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
from daskpar.tasks.state_file import StateFile
from daskpar.tasks.types import Spec


class Emitter:
    """The builder of a run's steps.

    Args:
        spec: The run.
        model: Key of the task whose value is the spec.
        chunks: Keys of the training data by (stream, chunk).
        across_processes: True if workers are processes. Default: False.
    """

    def __init__(
        self, spec: Spec, model: Key, chunks: Mapping[tuple[int, int], Key], across_processes: bool = False
    ):
        self.spec, self.layout, self.model = spec, spec.layout, model
        self.plan = compile_plan(spec, across_processes)
        self._model = TaskRef(model)
        self.chunks = TrainingChunks(spec, chunks)
        self._looked_up: dict[int, list[_Ready]] = {}

    def start(self, graph: Graph, step: int, restart_point: Path | StateFile | None = None) -> StepState:
        """Add the tasks that load or initialise the state before a step, and return it.

        Args:
            graph: Graph to which tasks are added.
            step: Number of the step.
            restart_point: File with the state, or its content, which becomes a task's value. Default: None,
                parameters are initialised from the seed.
        """
        file: str | TaskRef | None = None
        if isinstance(restart_point, bytes):
            file = TaskRef(graph.add("send-state", (step,), tasks.send_state, restart_point))
        elif restart_point is not None:
            file = str(restart_point)
        return self._stamp(graph, self.plan.start, StepState(step), _Moment(file=file))

    def window(self, graph: Graph, state: StepState, rates: Sequence[float]) -> StepState:
        """Add a step for each learning rate in `rates`, and the averages between them; return the state."""
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

    def snapshot(self, graph: Graph, state: StepState) -> tuple[Key, StepState]:
        """Add the tasks that turn the state of a step into one value, of the whole model.

        Returns:
            The key of that value, and the state with which the run goes on.
        """
        state = self._stamp(graph, self.plan.snapshot, state, _Moment())
        values = dict(state.values)
        (snapshot,) = values.pop(SNAPSHOT)
        return snapshot.key, state._replace(values=values)

    def settled(self, state: StepState) -> StepState:
        """Return the state without gradients that are still to be applied: as it was when its logs ended."""
        return state._replace(values={name: state.read(name) for name in self.plan.start.results})

    def _stamp(self, graph: Graph, section: Section, state: StepState, moment: _Moment) -> StepState:
        """Add the operations of a section for one step; return the state after them."""
        step, frame = state.step, Frame(self.chunks, state, self._now(state, moment))
        values, suffix = frame.values, f"-{graph.token}"
        for kind, function, coordinates, slot, arguments, needs, instead in self._ready(section):
            if needs and not _is_there(needs, state, moment):
                values.append(source_of(instead, frame))
                continue
            key: Key = (kind.name + suffix, step, *coordinates)
            values_read: list[object] = []
            for argument, read in arguments:
                if read is None:
                    values_read.append(argument)
                else:
                    read(argument, frame, values_read)
            graph.put(kind, key, Task(key, function, *values_read), slot)
            values.append(TaskRef(key))
        return self._after(section, frame)

    def _ready(self, section: Section) -> list[_Ready]:
        """Return the operations of a section with their functions and readers, looked up once."""
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
        """Return the arguments that are numbered by `Now`."""
        rate, fresh, rates, file = moment
        rounds = self.layout.averages(state.step) - 1
        return (self._model, state.step, rate, state.rate, rates, fresh, file, "", rounds)

    def _after(self, section: Section, frame: Frame) -> StepState:
        """Return the state after a section: the values that later steps read."""
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
    """The arguments of a stamp that are not part of the state."""

    rate: float = 0.0
    fresh: bool = False
    rates: tuple[float, ...] = ()
    file: str | TaskRef | None = None


class _Ready(NamedTuple):
    """An operation that is ready to be stamped, with its function and the readers of its arguments."""

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
