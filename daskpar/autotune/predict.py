"""The prediction of a layout's step: its graph is simulated with the measured times of its tasks."""

from __future__ import annotations

from typing import NamedTuple

from daskpar.autotune.simulate import Cost, Network, Simulated, simulate
from daskpar.autotune.timing import Costs, no_data, scaled, step_graph, task_kind, window_length
from daskpar.graph.graph import Key
from daskpar.tasks.types import Spec

_FIRST, _LAST = 2, 6  # steps between which time is taken: the first steps fill the pipeline


class Prediction(NamedTuple):
    """The predicted cost of a step.

    `seconds` is the time of a step, `efficiency` the share of the time in which workers compute (0 to 1),
    `memory` the largest number of bytes on a worker, `moved` the bytes that are sent between workers in a
    step, `tasks` the number of tasks of a step.
    """

    seconds: float
    efficiency: float
    memory: int
    moved: int
    tasks: float

    @property
    def load(self) -> float:
        """The number of tasks per second that the scheduler has to handle."""
        return self.tasks / self.seconds


def predict(spec: Spec, costs: Costs, workers: int, network: Network, across_processes: bool) -> Prediction:
    """Predict a step.

    Args:
        spec: The run.
        costs: Cost of each kind of task.
        workers: Number of workers.
        network: Costs of the network and of the scheduler.
        across_processes: True if workers are processes.
    """
    layout = spec.layout

    def played(steps: int) -> tuple[Simulated, int]:
        graph = step_graph(spec, no_data(spec), steps, across_processes)
        actors = set(graph.actors)
        asks = 2 * (network.hop + network.scheduler)  # a task calls each of its actors twice

        def cost(key: Key) -> Cost:
            known = costs.get(task_kind(graph, key), Cost())
            kind = graph.kind(key)
            if kind is not None and kind.steps and not actors.isdisjoint(tasks[key].dependencies):
                known = known._replace(seconds=known.seconds + asks)
            return known

        tasks = graph.flat()
        return simulate(graph, cost, workers, layout.slots, network), len(graph)

    first, last = _FIRST, _LAST
    if layout.replicas > 1 and layout.average_every > 1 and layout.grain != "window":
        first, last = layout.average_every, 2 * layout.average_every  # from average to average
    (short, few), (long, many) = played(first), played(last)
    count = (last - first) * window_length(layout)
    seconds = (long.seconds - short.seconds) / count
    spent = sum(long.busy.values()) - sum(short.busy.values())
    return Prediction(
        seconds,
        spent / count / seconds / min(workers, layout.slots),
        max(long.memory.values(), default=0),
        (long.moved - short.moved) // count,
        (many - few) / count,
    )


def predict_at_scale(
    spec: Spec, costs: Costs, workers: int, network: Network, across_processes: bool
) -> Prediction:
    """Predict a step with as many lanes as `workers` can run, each with as many rows as a lane has now."""
    return predict(scaled(spec, workers), costs, workers, network, across_processes)
