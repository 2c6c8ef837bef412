"""Passes over the chunks of the training data, in which transforms measure them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from daskpar import tasks
from daskpar.cluster.executor import Executor
from daskpar.data.fitted import Fitted, Measure, Transform
from daskpar.data.splits import Split
from daskpar.graph.graph import Graph, Ref
from daskpar.graph.load import add_rows


@dataclass(frozen=True)
class Measuring:
    """Passes over a split; `token` names their tasks."""

    part: Split
    executor: Executor
    token: str
    chunk_rows: int

    def of_all_rows(self) -> Measuring:
        """Return the passes over all rows of the source, held-out ones included."""
        return replace(self, part=Split(self.part.source, self.part.name, shuffled=self.part.shuffled))

    def measure(self, step: Transform, fitted: Sequence[Fitted], which: str, name: object) -> Measure:
        """Return the measure of the whole split, after the transforms that are `fitted` already.

        `which` is "x" for the examples, or "y" for the targets. `name` is that of the pass in keys.
        """
        graph = Graph(self.token)
        keys = [
            graph.add(
                "measure-data", (which, name, k), tasks.measure_rows, step, tuple(fitted), which, Ref(rows)
            )
            for k, rows in enumerate(add_rows(graph, self.part, self.chunk_rows))
        ]
        self.executor.submit(graph, keys, 1)
        measures = [self.executor.result(key) for key in keys]
        self.executor.release(keys)
        return reduce(step.combine, measures)
