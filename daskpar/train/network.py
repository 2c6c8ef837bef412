"""Measurement of a cluster's latency and bandwidth, by trainings with almost nothing to compute.

A task costs more than an empty task: its description is built, sent, ordered and released, and all of this
shares the machine with the work. So whole steps are timed.
"""

from __future__ import annotations

import math
import time

import numpy as np

from daskpar import tasks
from daskpar.autotune.count import count
from daskpar.autotune.simulate import Network
from daskpar.autotune.timing import no_data, step_graph
from daskpar.backend import blas
from daskpar.cluster.executor import Executor
from daskpar.data.in_memory import hold
from daskpar.data.splits import Split
from daskpar.graph.graph import Graph, Key, Ref
from daskpar.layout.layout import Layout
from daskpar.train.fitting import FittedData
from daskpar.train.scratch import Storage
from daskpar.train.settings import Settings
from daskpar.train.tokens import new_token
from daskpar.train.training import seconds_a_step

_STEPS, _BYTES = 24, 40_000_000


def measure_network(executor: Executor, storage: Storage, workers: int, one_machine: bool) -> Network:
    """Return the latency of dependent tasks, the scheduler's seconds for each task, and the bandwidth.

    It takes some seconds. `storage` is for files that workers read. `one_machine` is True where the
    workers share the cores of this machine.
    """
    lanes = max(2, workers)
    alone, one = _step(executor, storage, Layout())
    met, few = _step(executor, storage, Layout(data=lanes))
    layered, many = _step(executor, storage, Layout(data=lanes, grain="layer"))
    each = max(layered - met, 0.0) / (many - few)
    bandwidth = math.inf if executor.in_process else _bandwidth(executor, lanes)
    cores = min(workers, blas.cores()) if one_machine else None
    return Network(max(0.0, met - few * each), max(0.0, alone - one * each), each, bandwidth, cores)


def _step(executor: Executor, storage: Storage, layout: Layout) -> tuple[float, float]:
    """Return the seconds and the number of tasks of a step of a very small network."""
    rows = 8 * layout.data
    settings = Settings(
        [{"dense": 2}, "relu", {"dense": 2}, "relu", {"dense": 2}],
        layout=layout,
        batch=rows,
        streams=layout.data,
    )
    x, y = np.zeros((rows, 4), np.float32), np.zeros(rows, int)
    source = hold(x, y, None if executor.in_process or not storage.shared else storage())
    try:
        data = FittedData(Split(source, sent=not storage.shared), (), ())
        seconds, spec = seconds_a_step(settings, data, executor, storage, _STEPS)
    finally:
        source.release()
    across_processes = not executor.in_process
    graphs = [step_graph(spec, no_data(spec), n, across_processes) for n in (1, 3)]
    one, three = (sum(count(graph).tasks.values()) for graph in graphs)
    return seconds, (three - one) / 2


def _bandwidth(executor: Executor, lanes: int) -> float:
    """Return the bytes a second from the first to the last worker."""
    large, small = (min(_sent(executor, lanes, n) for _ in range(4)) for n in (_BYTES, 8))
    return _BYTES / max(1e-3, large - small)


def _sent(executor: Executor, lanes: int, size: int) -> float:
    """Return the seconds in which a value of `size` bytes is sent from the first to the last worker."""
    graph = Graph(new_token())
    sent = graph.add("measure-bandwidth", (0,), np.ones, size // 8, slot=0)
    got: Key = graph.add("measure-bandwidth", (1,), tasks.barrier, Ref(sent), slot=lanes - 1)
    start = time.perf_counter()
    executor.submit(graph, [got], lanes)
    executor.result(got)
    spent = time.perf_counter() - start
    executor.release([got])
    return spent
