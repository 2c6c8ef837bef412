"""The tasks that bring chunks of data to the workers: the roots of every lineage, runnable anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from daskpar.data.dask_arrays import DaskArrays
from daskpar.data.order import Order
from daskpar.data.part import Part
from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref
from daskpar.graph.layout import Layout


def add_training_data(graph: Graph, spec: Key, part: Part, order: Order, layout: Layout) -> dict[Any, Key]:
    """Tasks for all chunks of the training part; returns their keys by (stream, chunk)."""
    keys = {}
    for lane in range(layout.data):
        for stream in layout.streams(lane, order.streams):
            for chunk in range(len(order.bounds(stream)) - 1):
                index = (part.name, stream, chunk)
                if isinstance(part.source, DaskArrays):
                    rows = order.positions(stream, chunk)
                    keys[stream, chunk] = _add_blocks(graph, spec, part, rows, index, lane)
                else:
                    where = (order, stream, chunk)
                    keys[stream, chunk] = graph.add(
                        "load-data", index, tasks.load_data, Ref(spec), part, where, lane=lane
                    )
    return keys


def add_part(graph: Graph, spec: Key, part: Part, chunk_rows: int) -> list[Key]:
    """Tasks for the chunks of a part in order, as evaluation takes them; returns their keys."""
    keys = []
    for i, (start, stop) in enumerate(spans(part.rows, chunk_rows)):
        if isinstance(part.source, DaskArrays):
            keys.append(_add_blocks(graph, spec, part, slice(start, stop), (part.name, i), None))
        else:
            keys.append(
                graph.add("load-data", (part.name, i), tasks.load_data, Ref(spec), part, (start, stop))
            )
    return keys


def add_rows(graph: Graph, part: Part, chunk_rows: int) -> list[Key]:
    """Tasks that read the chunks of a part as they are stored, as (examples, targets); returns their keys."""
    keys = []
    for i, (start, stop) in enumerate(spans(part.rows, chunk_rows)):
        if isinstance(part.source, DaskArrays):
            blocks, x, y = part.source.blocks(part.where(slice(start, stop)))
            graph.include("read-blocks", blocks)
            keys.append(graph.add("read-data", (part.name, i), tasks.pair, Ref(x), Ref(y)))
        else:
            keys.append(graph.add("read-data", (part.name, i), tasks.read_rows, part, start, stop))
    return keys


def spans(rows: int, chunk_rows: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of chunks of nearly equal size, none above `chunk_rows`."""
    chunks = max(1, -(-rows // chunk_rows))
    return ((i * rows // chunks, (i + 1) * rows // chunks) for i in range(chunks))


def _add_blocks(
    graph: Graph, spec: Key, part: Part, rows: Any, index: tuple[Any, ...], lane: int | None
) -> Key:
    source = part.source
    assert isinstance(source, DaskArrays)
    blocks, x, y = source.blocks(part.where(rows))
    graph.include("read-blocks", blocks)
    return graph.add("load-data", index, tasks.load_rows, Ref(spec), part, Ref(x), Ref(y), lane=lane)
