"""The tasks that load chunks of data. They have no inputs but the data, so any worker can run them again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from daskpar import tasks
from daskpar.data.dask_arrays import DaskArrays
from daskpar.data.sampler import bounds
from daskpar.data.splits import Split
from daskpar.data.transforms import Fitted
from daskpar.graph.graph import Graph, Key, Ref
from daskpar.layout.plan import Kind
from daskpar.tasks.types import Spec

LOAD = Kind("load-data", "load", ("", "stream", "chunk"), steps=False)


def add_training_data(graph: Graph, model: Key, split: Split, spec: Spec) -> dict[tuple[int, int], Key]:
    """Add a task for each chunk of the training data; return their keys by (stream, chunk)."""
    return {
        (stream, chunk): _add_chunk(
            graph, model, split, (spec.order, stream, chunk), (stream, chunk), spec.layout.lane_slot(lane)
        )
        for lane in range(spec.layout.lane_count)
        for stream in spec.streams(lane)
        for chunk in range(len(spec.order.bounds(stream)) - 1)
    }


def add_part(graph: Graph, spec: Key, split: Split, chunk_rows: int) -> list[Key]:
    """Add a task for each chunk of a split, in order and transformed; return their keys."""
    return [
        _add_chunk(graph, spec, split, rows, (i,))
        for i, rows in enumerate(pairwise(bounds(split.rows, chunk_rows)))
    ]


def add_rows(graph: Graph, split: Split, chunk_rows: int) -> list[Key]:
    """Add tasks that read a split as it is stored; return their keys.

    The value of each is (examples, targets) of at most `chunk_rows` rows.
    """
    keys = []
    for i, rows in enumerate(pairwise(bounds(split.rows, chunk_rows))):
        if isinstance(split.source, DaskArrays):
            blocks = _add_blocks(graph, split.source, split, rows)
            keys.append(graph.add("read-data", (split.name, i), tasks.pair, *blocks))
        elif split.sent:
            keys.append(graph.add("read-data", (split.name, i), tasks.pair, *tasks.read_rows(split, rows)))
        else:
            keys.append(graph.add("read-data", (split.name, i), tasks.read_rows, split, rows))
    return keys


def add_weighing(
    graph: Graph, split: Split, chunk_rows: int, targets: Sequence[Fitted], by_class: bool
) -> list[Key]:
    """Add tasks that sum the weights of a split's rows, chunk by chunk; see `tasks.weigh_rows`.

    With `by_class` there is a sum for each class. Returns the keys.
    """
    keys = []
    for i, rows in enumerate(pairwise(bounds(split.rows, chunk_rows))):
        index = (split.name, i)
        if isinstance(split.source, DaskArrays):
            y = _add_targets(graph, split.source, split, rows) if by_class else None
            weights = _add_weights(graph, split.source, split, rows) if split.source.weighted else None
            keys.append(graph.add("weigh-data", index, tasks.weigh_rows, split.name, targets, y, weights))
        elif split.sent:
            where = tasks.row_numbers(rows)
            y = split.read_targets(where) if by_class else None
            read = y, split.read_weights(where)
            keys.append(graph.add("weigh-data", index, tasks.weigh_rows, split.name, targets, *read))
        else:
            keys.append(graph.add("weigh-data", index, tasks.weigh_data, split, rows, targets, by_class))
    return keys


def _add_chunk(
    graph: Graph, spec: Key, split: Split, where: tuple[Any, ...], index: Key, slot: int | None = None
) -> Key:
    """Add a task that loads a chunk; `where` is as for `tasks.row_numbers`."""
    named = (split.name, *index)
    kind = LOAD if len(index) == 2 else LOAD._replace(axes=("", "chunk"))
    trained_on = len(index) == 2
    if isinstance(split.source, DaskArrays):
        x, y = _add_blocks(graph, split.source, split, where)
        weights = _add_weights(graph, split.source, split, where) if split.source.weighted else None
        arguments = (Ref(spec), split, x, y, weights, trained_on)
        return graph.add(kind, named, tasks.load_rows, *arguments, slot=slot)
    if split.sent:
        read = *tasks.read_rows(split, where), split.read_weights(tasks.row_numbers(where))
        return graph.add(kind, named, tasks.load_rows, Ref(spec), split, *read, trained_on, slot=slot)
    return graph.add(kind, named, tasks.load_data, Ref(spec), split, where, trained_on, slot=slot)


def _add_blocks(graph: Graph, source: DaskArrays, split: Split, where: tuple[Any, ...]) -> list[Ref]:
    """Add dask.array's tasks for some rows; return references to their examples and targets."""
    blocks, x, y = source.blocks(split.where(tasks.row_numbers(where)))
    graph.include("read-blocks", blocks)
    return [Ref(x), Ref(y)]


def _add_targets(graph: Graph, source: DaskArrays, split: Split, where: tuple[Any, ...]) -> Ref:
    """Add dask.array's tasks for the targets of some rows; return a reference to them."""
    blocks, y = source.target_blocks(split.where(tasks.row_numbers(where)))
    graph.include("read-blocks", blocks)
    return Ref(y)


def _add_weights(graph: Graph, source: DaskArrays, split: Split, where: tuple[Any, ...]) -> Ref:
    """Add dask.array's tasks for the weights of some rows; return a reference to them."""
    blocks, weights = source.weight_blocks(split.where(tasks.row_numbers(where)))
    graph.include("read-blocks", blocks)
    return Ref(weights)
