"""Measuring what lies between the workers of a cluster, by trainings that have next to nothing to compute.

What a task costs is not what an empty task costs: its description has to be built, sent, ordered, and let go
of, all of which shares the machine with the work. So whole steps are timed, through all of it.
"""

from __future__ import annotations

import math
import time
from typing import Any
from uuid import uuid4

import numpy as np

from daskpar import tasks
from daskpar.backend import blas
from daskpar.cluster.executor import Executor
from daskpar.graph.graph import Graph, Key, Ref
from daskpar.layout.layout import Layout
from daskpar.plan.count import count
from daskpar.plan.simulate import Network
from daskpar.plan.timing import no_data, step_graph
from daskpar.train.history import pace

_PIECES, _STEPS, _BYTES = 5, 24, 40_000_000


def measure_network(client: Any, executor: Executor, workers: int, one_machine: bool) -> Network:
    """The latency of a task that waits for others, what each costs the scheduler, and the bandwidth.

    Takes some seconds. `one_machine`: whether workers share this machine's cores with each other.
    """
    lanes = max(2, workers)
    apart = not executor.in_process
    alone, one = _step(client, Layout(), apart)
    met, few = _step(client, Layout(data=lanes), apart)
    layered, many = _step(client, Layout(data=lanes, grain="layer"), apart)
    each = max(layered - met, 0.0) / (many - few)
    bandwidth = math.inf if executor.in_process else _bandwidth(executor, lanes)
    cores = min(workers, blas.cores()) if one_machine else None
    return Network(max(0.0, met - few * each), max(0.0, alone - one * each), each, bandwidth, cores)


def _step(client: Any, layout: Layout, apart: bool) -> tuple[float, float]:
    """Seconds of a step of a very small network, and how many tasks it is."""
    from daskpar.train.trainer import Trainer  # which may be what asks

    x, y = np.zeros((8 * layout.data, 4), np.float32), np.zeros(8 * layout.data, int)
    trainer = Trainer(
        [{"dense": 2}, "relu", {"dense": 2}, "relu", {"dense": 2}],
        client=client,
        layout=layout,
        batch=8 * layout.data,
        streams=layout.data,
        steps=_PIECES * _STEPS,
        evaluate_every=f"{_STEPS} steps",
    ).fit(x, y)
    spec = trainer.spec_
    graphs = [step_graph(spec, no_data(spec), n, apart) for n in (1, 3)]
    one, three = (sum(count(graph).tasks.values()) for graph in graphs)
    return pace(trainer.history_, _STEPS), (three - one) / 2


def _bandwidth(executor: Executor, lanes: int) -> float:
    """Bytes a second between the first and the last worker."""
    large, small = (min(_sent(executor, lanes, n) for _ in range(4)) for n in (_BYTES, 8))
    return _BYTES / max(1e-3, large - small)


def _sent(executor: Executor, lanes: int, size: int) -> float:
    """Seconds until a value of so many bytes has come from the first worker to the last."""
    graph = Graph(f"0{uuid4().hex[:12]}")
    sent = graph.add("measure-bandwidth", (0,), np.ones, size // 8, lane=0)
    got: Key = graph.add("measure-bandwidth", (1,), tasks.end, Ref(sent), lane=lanes - 1)
    start = time.perf_counter()
    executor.submit(graph, [got], lanes)
    executor.result(got)
    spent = time.perf_counter() - start
    executor.release([got])
    return spent
