"""The start of a run on its workers: measured speeds, compiled kernels, loaded data, the driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from daskpar import tasks
from daskpar.autotune.measure import lane_weights, operation_times
from daskpar.cluster.executor import Executor
from daskpar.data.dask_arrays import DaskArrays
from daskpar.data.splits import Split
from daskpar.graph.emit import Emitter
from daskpar.graph.graph import Graph
from daskpar.graph.load import add_part, add_training_data
from daskpar.layout.partition import cut_operations
from daskpar.train.driver import Driver, Milestone
from daskpar.train.problem import Problem


def with_measured_lanes(problem: Problem, executor: Executor) -> Problem:
    """Return the problem with lanes sized by the speed of their workers, for `lanes: auto`."""
    layout = problem.layout
    if layout.lanes != "auto":
        return problem
    spec = replace(problem.spec, module=executor.module)
    operations = cut_operations(spec.model, layout)
    rows = -(-spec.order.batch // layout.lane_count)
    seconds = [sum(times) for times in executor.on_each(operation_times, spec, operations, rows)]
    return problem.with_layout(replace(layout, lanes=lane_weights(layout, seconds)))


def warm_up(problem: Problem, executor: Executor) -> None:
    """Compile or load the kernels before the first step, in this process and on all workers."""
    if isinstance(problem.train.source, DaskArrays) or executor.module != "numpy":
        return
    tasks.warm_up(problem.spec, problem.train)
    executor.everywhere(tasks.warm_up, problem.spec, problem.train)  # rows that are sent: at their first task


def make_driver(
    problem: Problem,
    executor: Executor,
    token: str,
    next_cut: Callable[[int], Milestone],
    rate: Callable[[int], float],
) -> Driver:
    """Submit the data of a problem, and return the driver of its steps.

    `next_cut` returns the next milestone after a step, `rate` the learning rate of a step.
    """
    graph, settings = Graph(token), problem.settings
    spec = replace(problem.spec, module=executor.module)
    model = graph.add("load-model", (), tasks.load_model, spec)
    chunks = add_training_data(graph, model, problem.train, spec)
    validation = problem.validation
    evaluated = add_part(graph, model, validation, _rows_of_chunk(problem, validation)) if validation else []
    wanted = [model, *chunks.values(), *evaluated] if settings.cache else [model]
    sources = {} if settings.cache else graph.flat()
    sources.pop(model, None)
    executor.submit(graph, wanted, spec.layout.slots)
    emitter = Emitter(spec, model, chunks, across_processes=not executor.in_process)
    return Driver(executor, emitter, token, next_cut, rate, evaluated, wanted, sources)


def _rows_of_chunk(problem: Problem, part: Split) -> int:
    return problem.settings.chunk_rows or part.source.chunk_rows
