"""The measurement of a layout's tasks: a few steps run in this process, and each task is timed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

from dask.threaded import get

from daskpar import tasks
from daskpar.autotune.simulate import Cost
from daskpar.autotune.summary import new_bytes
from daskpar.backend import blas
from daskpar.backend.memory import keep_freed_memory
from daskpar.data.sampler import Sampler
from daskpar.data.splits import Split
from daskpar.graph.dask_api import Task
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph, Key, Ref
from daskpar.graph.load import add_training_data
from daskpar.layout.fuse import WINDOW
from daskpar.layout.layout import Layout
from daskpar.layout.pipeline_schedule import BACKWARD, FORWARD
from daskpar.tasks.types import Spec

TaskKind = tuple[Any, ...]
"""Tasks of the same cost: the name of the operation and, in a model that is cut, the part."""
Costs = dict[TaskKind, Cost]
Loading = Callable[[Graph, Key], dict[tuple[int, int], Key]]
"""A function that adds the tasks which load the data and returns their keys by (stream, chunk)."""

_END = "end"

_WINDOW = 8  # steps in one task at grain `window`
_WARM, _STEPS = 2, 10
_PATIENCE = 1.5  # seconds for the first steps; if they take longer, fewer steps are measured


def task_kind(graph: Graph, key: Key) -> TaskKind:
    """Return the kind of a task; for a pass through a part of the model with the part's number."""
    kind = graph.kind(key)
    assert kind is not None
    if "part" in kind.axes and kind.verb in (FORWARD, BACKWARD):
        return kind.name, key[2 + kind.axes.index("part")]
    return (kind.name,)


def window_length(layout: Layout) -> int:
    """Return the number of steps that are submitted as one: 1, or the steps of a task at grain `window`."""
    if layout.grain != "window":
        return 1
    return (layout.average_every or _WINDOW) if layout.replicas > 1 else _WINDOW


def step_graph(spec: Spec, chunks: Loading, steps: int, across_processes: bool) -> Graph:
    """Return a graph of steps as training submits them.

    Args:
        spec: The run.
        chunks: Function of (graph, key of the spec) that adds the tasks which load the data.
        steps: Number of steps.
        across_processes: True if workers are processes.
    """
    graph = Graph("0plan")
    model = graph.add("load-model", (), tasks.load_model, spec)
    emitter = Emitter(spec, model, chunks(graph, model), across_processes)
    state = emitter.start(graph, 0)
    length = window_length(spec.layout)
    for _ in range(steps):
        state = emitter.window(graph, state, [spec.optimizer.lr * 1e-3] * length)
    for key in state.logs:
        graph.add(_END, (key,), tasks.barrier, Ref(key), slot=graph.slots.get(key))
    return graph


def measure_tasks(spec: Spec, split: Split, workers: int, across_processes: bool) -> Costs:
    """Measure the seconds and bytes of each kind of task: medians over some steps, on `workers` threads.

    The times include the effects of threads on each other, such as shared memory bandwidth.
    """
    keep_freed_memory()
    layout, tried = spec.layout, spec
    if layout.grain == "window" and layout.replicas > 1:  # fewer steps in a task, whose time is scaled
        shorter = replace(layout, average_every=min(_WINDOW, window_length(layout)))
        tried = replace(spec, layout=shorter)
    start = time.perf_counter()
    _run(tried, split, workers, across_processes, _WARM + 1)
    slow = time.perf_counter() - start > _PATIENCE
    measured = _run(tried, split, workers, across_processes, _WARM + (2 if slow else _STEPS))
    longer = window_length(layout) / window_length(tried.layout)
    return {
        kind: Cost(
            median(c.seconds for c in costs) * (longer if kind == (WINDOW.name,) else 1),
            round(median(c.size for c in costs)),
        )
        for kind, costs in measured.items()
    }


def _run(
    spec: Spec, split: Split, workers: int, across_processes: bool, steps: int
) -> dict[TaskKind, list[Cost]]:
    measured: dict[TaskKind, list[Cost]] = defaultdict(list)
    layout = spec.layout

    def load(graph: Graph, model: Key) -> dict[tuple[int, int], Key]:
        return add_training_data(graph, model, split, spec)

    graph = step_graph(spec, load, steps, across_processes)
    first = _WARM * window_length(layout)
    timed = {key: _timed(graph, task, key, first, measured) for key, task in graph.flat().items()}
    threads = max(1, min(workers, blas.cores()))
    with blas.limit_threads(max(1, blas.cores() // min(layout.slots, threads))):
        get(timed, list(graph.tasks[_END]), num_workers=threads)
    return measured


def _timed(graph: Graph, task: Task, key: Key, first: int, measured: dict[TaskKind, list[Cost]]) -> Task:
    """Return a task that also records its cost, from step `first` on: the first steps are slower."""
    if graph.kind(key) is None:  # a task of dask.array that reads data
        return task
    func, kind = task.func, task_kind(graph, key)
    counts = len(key) > 1 and isinstance(key[1], int) and key[1] >= first

    def run(*arguments: object) -> object:
        start = time.perf_counter()
        value = func(*arguments)
        spent = time.perf_counter() - start
        if counts or not measured[kind]:
            measured[kind].append(Cost(spent, new_bytes(value, set())))
        return value

    return type(task)(key, run, *task.args)


def scaled(spec: Spec, workers: int) -> Spec:
    """Return the run with as many slots as workers; each lane has as many rows as before."""
    layout = spec.layout
    rows = spec.order.batch // layout.lane_count
    many = max(1, workers * layout.lane_count // layout.slots)
    if layout.replicas > 1:
        layout = replace(layout, replicas=max(2, many // layout.data))
    else:
        layout = replace(layout, data=many, lanes=None)
    batch = rows * layout.lane_count
    order = Sampler(batch * 100, batch, layout.lane_count, batch * 100, "uniform")
    return replace(spec, order=order, layout=layout)


def no_data(spec: Spec) -> Loading:
    """Return a function that adds chunks without data, for graphs that are only simulated."""
    layout, order = spec.layout, spec.order

    def add(graph: Graph, model: Key) -> dict[tuple[int, int], Key]:
        return {
            (stream, 0): graph.add("load-data", (stream,), tasks.barrier, slot=layout.lane_slot(lane))
            for lane in range(layout.lane_count)
            for stream in layout.streams(lane, order.streams)
        }

    return add
