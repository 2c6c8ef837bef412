"""Measuring the tasks of a layout: a few of its steps are run here, and each task timed and weighed."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from statistics import median
from typing import Any

from dask.threaded import get
from dask.utils import key_split

from daskpar.backend import blas
from daskpar.backend.memory import keep_freed_memory
from daskpar.data.order import Order
from daskpar.data.part import Part
from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref
from daskpar.graph.builder import builder_for
from daskpar.graph.layout import Layout
from daskpar.graph.load import add_training_data
from daskpar.graph.spec import Spec
from daskpar.plan.simulate import Cost
from daskpar.plan.summary import new_bytes

Sign = tuple[Any, ...]
"""What tasks of the same kind have in common: their operation and, of a cut model, the part."""
Costs = dict[Sign, Cost]

_WINDOW = 8  # steps in one task at grain `window`
_WARM, _STEPS = 2, 10
_PATIENCE = 1.5  # seconds for the first steps, above which fewer are measured


def sign(key: Key) -> Sign:
    """The kind of a task, by its key."""
    name = key_split(key)
    index = [i for i in key[2:] if not isinstance(i, str)]  # without the step, and the name of a replica
    passes = name.startswith(("forward-", "backward-")) and name != "forward-loss"
    return (name, index[1]) if passes else (name,)


def window_length(layout: Layout) -> int:
    """Steps that are submitted as one; at grain `window` those of one task, from average to average."""
    if layout.grain != "window":
        return 1
    return (layout.average_every or _WINDOW) if layout.replicas > 1 else _WINDOW


def step_graph(
    spec: Spec, layout: Layout, chunks: Any, steps: int, apart: bool, graph: Graph | None = None
) -> Graph:
    """So many steps of a run, as training submits them; `chunks(graph, model)` adds what loads the data."""
    graph = graph or Graph("0plan")
    model = graph.add("load-model", (), tasks.load_model, spec)
    builder: Any = builder_for(spec, layout, model, chunks(graph, model), apart)
    front = builder.start(graph, 0)
    length = window_length(layout)
    for _ in range(steps):
        front = builder.window(graph, front, [spec.optimizer.lr * 1e-3] * length)
    for key in front.logs:
        graph.add("end", (key,), tasks.end, Ref(key), lane=graph.lanes.get(key))
    return graph


def measure_tasks(spec: Spec, layout: Layout, part: Part, workers: int, apart: bool) -> Costs:
    """Seconds and bytes of each kind of task: medians over some steps, run by `workers` threads at once.

    What threads take from each other, memory's bandwidth for one, is in it.
    """
    keep_freed_memory()
    tried = layout
    if layout.grain == "window" and layout.replicas > 1:  # as many steps in a task as the time is known of
        tried = replace(layout, average_every=min(_WINDOW, window_length(layout)))
    start = time.perf_counter()
    _run(spec, tried, part, workers, apart, _WARM + 1)
    slow = time.perf_counter() - start > _PATIENCE
    found = _run(spec, tried, part, workers, apart, _WARM + (2 if slow else _STEPS))
    longer = window_length(layout) / window_length(tried)
    return {
        kind: Cost(
            median(c.seconds for c in costs) * (longer if kind == ("train-window",) else 1),
            round(median(c.size for c in costs)),
        )
        for kind, costs in found.items()
    }


def _run(
    spec: Spec, layout: Layout, part: Part, workers: int, apart: bool, steps: int
) -> dict[Sign, list[Cost]]:
    found: dict[Sign, list[Cost]] = defaultdict(list)
    graph = step_graph(spec, layout, _loading(spec, layout, part), steps, apart)
    first = _WARM * window_length(layout)
    timed = {key: _timed(task, key, first, found) for key, task in graph.flat().items()}
    ends = [key for key in timed if key_split(key) == "end"]
    threads = max(1, min(workers, blas.cores()))
    with blas.limit_threads(max(1, blas.cores() // min(layout.places, threads))):
        get(timed, ends, num_workers=threads)
    return found


def _loading(spec: Spec, layout: Layout, part: Part) -> Any:
    return lambda graph, model: add_training_data(graph, model, part, spec.order, layout)


def _timed(task: Any, key: Key, first: int, found: dict[Sign, list[Cost]]) -> Any:
    """The task, noting what it took from step `first` on; before that all is slower."""
    func, kind = task.func, sign(key)
    counts = len(key) > 1 and isinstance(key[1], int) and key[1] >= first

    def run(*given: Any) -> Any:
        start = time.perf_counter()
        value = func(*given)
        spent = time.perf_counter() - start
        if counts or not found[kind]:
            found[kind].append(Cost(spent, new_bytes(value, set())))
        return value

    return type(task)(key, run, *task.args)


def scaled(spec: Spec, layout: Layout, workers: int) -> tuple[Spec, Layout]:
    """The same with as many places of work as workers, each lane with as many rows as it has now."""
    rows = spec.order.batch // layout.lane_count
    many = max(1, workers * layout.lane_count // layout.places)
    if layout.replicas > 1:
        layout = replace(layout, replicas=max(2, many // layout.data))
    else:
        layout = replace(layout, data=many, lanes=None)
    batch = rows * layout.lane_count
    order = Order(batch * 100, batch, layout.lane_count, batch * 100, "uniform")
    return replace(spec, order=order), layout


def no_data(layout: Layout, order: Order) -> Any:
    """Chunks that take no time, for graphs that are only looked at."""

    def add(graph: Graph, model: Key) -> dict[Any, Key]:
        return {
            (stream, 0): graph.add("load-data", (stream,), tasks.end, lane=layout.place(lane))
            for lane in range(layout.lane_count)
            for stream in layout.streams(lane, order.streams)
        }

    return add
