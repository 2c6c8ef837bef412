"""The tasks that bring chunks of data to the workers: the roots of every lineage, runnable anywhere."""

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


def add_training_data(graph: Graph, model: Key, part: Split, spec: Spec) -> dict[tuple[int, int], Key]:
    """Tasks for all chunks of the training part; returns their keys by (stream, chunk)."""
    return {
        (stream, chunk): _add_chunk(
            graph, model, part, (spec.order, stream, chunk), (stream, chunk), spec.layout.lane_slot(lane)
        )
        for lane in range(spec.layout.lane_count)
        for stream in spec.streams(lane)
        for chunk in range(len(spec.order.bounds(stream)) - 1)
    }


def add_part(graph: Graph, spec: Key, part: Split, chunk_rows: int) -> list[Key]:
    """Tasks for the chunks of a part in order, as evaluation takes them; returns their keys."""
    return [
        _add_chunk(graph, spec, part, span, (i,))
        for i, span in enumerate(pairwise(bounds(part.rows, chunk_rows)))
    ]


def add_rows(graph: Graph, part: Split, chunk_rows: int) -> list[Key]:
    """Tasks that read the chunks of a part as they are stored, as (examples, targets); returns their keys."""
    keys = []
    for i, span in enumerate(pairwise(bounds(part.rows, chunk_rows))):
        if isinstance(part.source, DaskArrays):
            blocks = _add_blocks(graph, part.source, part, span)
            keys.append(graph.add("read-data", (part.name, i), tasks.pair, *blocks))
        else:
            keys.append(graph.add("read-data", (part.name, i), tasks.read_rows, part, span))
    return keys


def add_weighing(
    graph: Graph, part: Split, chunk_rows: int, targets: Sequence[Fitted], by_class: bool
) -> list[Key]:
    """Tasks that sum the weights of a part's rows chunk by chunk, by class; see `tasks.weigh_rows`."""
    keys = []
    for i, span in enumerate(pairwise(bounds(part.rows, chunk_rows))):
        index = (part.name, i)
        if isinstance(part.source, DaskArrays):
            y = _add_targets(graph, part.source, part, span) if by_class else None
            weights = _add_weights(graph, part.source, part, span) if part.source.weighted else None
            keys.append(graph.add("weigh-data", index, tasks.weigh_rows, part.name, targets, y, weights))
        else:
            keys.append(graph.add("weigh-data", index, tasks.weigh_data, part, span, targets, by_class))
    return keys


def _add_chunk(
    graph: Graph, spec: Key, part: Split, where: tuple[Any, ...], index: Key, lane: int | None = None
) -> Key:
    """A task that loads a chunk; `where` as `tasks.positions` takes it."""
    named = (part.name, *index)
    kind = LOAD if len(index) == 2 else LOAD._replace(axes=("", "chunk"))
    trained_on = len(index) == 2
    if isinstance(part.source, DaskArrays):
        x, y = _add_blocks(graph, part.source, part, where)
        weights = _add_weights(graph, part.source, part, where) if part.source.weighted else None
        arguments = (Ref(spec), part, x, y, weights, trained_on)
        return graph.add(kind, named, tasks.load_rows, *arguments, lane=lane)
    return graph.add(kind, named, tasks.load_data, Ref(spec), part, where, trained_on, lane=lane)


def _add_blocks(graph: Graph, source: DaskArrays, part: Split, where: tuple[Any, ...]) -> list[Ref]:
    """dask.array's own tasks for some rows; returns references to their examples and targets."""
    blocks, x, y = source.blocks(part.where(tasks.positions(where)))
    graph.include("read-blocks", blocks)
    return [Ref(x), Ref(y)]


def _add_targets(graph: Graph, source: DaskArrays, part: Split, where: tuple[Any, ...]) -> Ref:
    """dask.array's own tasks for the targets of some rows; returns a reference to them."""
    blocks, y = source.target_blocks(part.where(tasks.positions(where)))
    graph.include("read-blocks", blocks)
    return Ref(y)


def _add_weights(graph: Graph, source: DaskArrays, part: Split, where: tuple[Any, ...]) -> Ref:
    """dask.array's own tasks for the weights of some rows; returns a reference to them."""
    blocks, weights = source.weight_blocks(part.where(tasks.positions(where)))
    graph.include("read-blocks", blocks)
    return Ref(weights)
