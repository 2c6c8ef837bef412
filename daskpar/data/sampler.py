"""The order in which rows are drawn: a function of (seed, epoch, step), the same for every layout.

The rows are divided among several *streams*, which are the shards of the sampler. The rows of a stream are
cut into chunks. Every batch has an equal share of each stream. A lane (a share of the batch) owns whole
streams, so its chunks never move.

    batch of step k:   | stream 0 | stream 1 | stream 2 | stream 3 |
    Layout(data=1)     |  lane 0 ...................................|
    Layout(data=2)     |  lane 0 ............|  lane 1 .............|

The batch is the same for 1, 2 or 4 lanes. A run can therefore resume under another layout, and every layout
can be compared with a single device. The last batch of an epoch has the rows that are left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple
from zlib import crc32

import numpy as np

from daskpar.backend.array import Array, to_numpy
from daskpar.backend.random import generator
from daskpar.errors import InputError
from daskpar.settings import Block, at_least_one

KINDS = ("random", "uniform", "stratified")
_STREAMS = 16  # most streams of a batch, unless there are more lanes


class Piece(NamedTuple):
    """Rows `start` to `stop` of a chunk, counted in the order of that chunk in the epoch."""

    stream: int
    chunk: int
    start: int
    stop: int


@dataclass(frozen=True)
class Sampler(Block):
    """The order in which `rows` rows are drawn in batches.

    Args:
        rows: Number of rows of the training part.
        batch: Rows of a batch.
        streams: Number of streams; see `choose_streams`.
        chunk_rows: Most rows of a chunk.
        kind: "uniform" draws rows in order: stream g has the g-th share of each batch. "random" gives stream
        g
            the g-th stripe of the rows, and each epoch shuffles chunks within the stream and rows within the
            chunk. "stratified" is as "random", with classes spread evenly over streams, chunks and batches.
            Default: "random".
        seed: Seed of the shuffles. Default: 0.
        drop_last: Leave out the last batch of an epoch if it is smaller. Default: False.
        first_step: Step of the run that draws the first batch; above 0 where a training goes on with other
            data. Default: 0.

    Raises:
        InputError: `batch`, `streams` or `chunk_rows` is below 1, or `batch` is above `rows`.

    Example:
        >>> from daskpar.data import Sampler
        >>> order = Sampler(rows=10, batch=4, streams=1, chunk_rows=8, kind="uniform")
        >>> order.steps
        3
        >>> [order.count(step, range(1)) for step in range(order.steps)]
        [4, 4, 2]
        >>> order.pieces(epoch=0, step=2, streams=range(1))
        (Piece(stream=0, chunk=1, start=3, stop=5),)
    """

    rows: int
    batch: int
    streams: int
    chunk_rows: int
    kind: str = "random"
    seed: int = 0
    drop_last: bool = False
    first_step: int = 0

    def __post_init__(self) -> None:
        for name in ("batch", "streams", "chunk_rows"):
            at_least_one(f"order.{name}", getattr(self, name))
        if self.batch > self.rows:
            raise InputError(f"train.batch={self.batch} is larger than the {self.rows} rows of training data")

    @property
    def share(self) -> int:
        """The number of rows of a stream in a full batch."""
        return self.batch // self.streams

    @property
    def steps(self) -> int:
        """The number of steps in an epoch."""
        return self.rows // self.batch if self.drop_last else -(-self.rows // self.batch)

    def size(self, stream: int) -> int:
        """Return the number of rows of a stream."""
        if self.kind != "uniform":
            return (stream + 1) * self.rows // self.streams - stream * self.rows // self.streams
        full, rest = divmod(self.rows, self.batch)
        return full * self.share + min(max(rest - stream * self.share, 0), self.share)

    def bounds(self, stream: int) -> tuple[int, ...]:
        """Return the bounds of the chunks of a stream, counted in the rows of the stream."""
        return bounds(self.size(stream), self.chunk_rows)

    def positions(self, stream: int, chunk: int) -> slice | np.ndarray:
        """Return the positions in the training part, from 0 to `rows`, of the rows of a chunk."""
        start, stop = self.bounds(stream)[chunk : chunk + 2]
        if self.kind != "uniform":
            first = stream * self.rows // self.streams
            return slice(first + start, first + stop)
        if self.streams == 1:
            return slice(start, stop)
        batch, within = np.divmod(np.arange(start, stop), self.share)
        return batch * self.batch + stream * self.share + within

    def count(self, step: int, streams: range) -> int:
        """Return the number of rows of some streams in step `step` of an epoch."""
        taken = step * self.share
        return sum(min(self.share, max(0, self.size(g) - taken)) for g in streams)

    def place(self, step: int) -> tuple[int, int]:
        """Return the epoch of a step of the run, and the number of the step within the epoch."""
        return divmod(step - self.first_step, self.steps)

    def drawn(self, step: int) -> int:
        """Return the number of rows drawn before a step of the run."""
        epochs, within = self.place(step)
        in_epoch = self.steps * self.batch if self.drop_last else self.rows
        return epochs * in_epoch + within * self.batch

    def pieces(self, epoch: int, step: int, streams: range) -> tuple[Piece, ...]:
        """Return the pieces of chunks that make up the rows of some streams in a batch, in order."""
        return _pieces(self, epoch if self._shuffles_chunks else 0, step, streams)

    @cached_property
    def _shuffles_chunks(self) -> bool:
        return self.kind != "uniform" and max(map(self.size, range(self.streams))) > self.chunk_rows

    def row_order(self, epoch: int, stream: int, chunk: int, targets: Array) -> np.ndarray | None:
        """Return the order (rows,) of the rows within a chunk in an epoch; None if they stay in order.

        `targets` (rows, ...): those of the chunk, classes or one-hot rows if `kind` is "stratified".
        """
        if self.kind == "uniform":
            return None
        return _row_order(self, epoch, stream, chunk, targets)


def bounds(rows: int, chunk_rows: int) -> tuple[int, ...]:
    """Return the bounds of chunks of nearly equal size, none larger than `chunk_rows`.

    >>> from daskpar.data.sampler import bounds
    >>> bounds(10, 4)
    (0, 3, 6, 10)
    """
    chunks = max(1, -(-rows // chunk_rows))
    return tuple(c * rows // chunks for c in range(chunks + 1))


@lru_cache(maxsize=8192)
def _pieces(order: Sampler, epoch: int, step: int, streams: range) -> tuple[Piece, ...]:
    out = []
    start = step * order.share
    for stream in streams:
        stop = min(start + order.share, order.size(stream))
        begin = 0
        for chunk, size in _chunk_order(order, epoch, stream):
            low, high = max(start - begin, 0), min(stop - begin, size)
            if low < high:
                out.append(Piece(stream, chunk, low, high))
            begin += size
            if begin >= stop:
                break
    return tuple(out)


@lru_cache(maxsize=4096)
def _chunk_order(order: Sampler, epoch: int, stream: int) -> tuple[tuple[int, int], ...]:
    """Return (chunk, rows) of each chunk of a stream, in the order of the epoch."""
    sizes = [(c, stop - start) for c, (start, stop) in enumerate(pairwise(order.bounds(stream)))]
    if order.kind == "uniform" or len(sizes) == 1:
        return tuple(sizes)
    shuffled = generator(order.seed, "order", 0, stream + 1, epoch).permutation(len(sizes))
    return tuple(sizes[c] for c in shuffled)


_row_orders: dict[tuple[object, ...], np.ndarray] = {}


def _row_order(order: Sampler, epoch: int, stream: int, chunk: int, targets: Array) -> np.ndarray:
    labels = None
    if order.kind == "stratified":  # the order depends on the labels, so they are part of the key
        labels = to_numpy(targets)
        labels = labels if labels.ndim == 1 else labels.argmax(axis=-1)
    mark = None if labels is None else crc32(labels.tobytes())
    key = (order, epoch, stream, chunk, len(targets), mark)
    rows = _row_orders.get(key)
    if rows is None:
        rng = generator(order.seed, "order", chunk + 1, stream + 1, epoch)
        rows = rng.permutation(len(targets)) if labels is None else stratify(labels, rng)
        while len(_row_orders) >= 512:  # threads may race here, but all store the same values
            _row_orders.pop(next(iter(_row_orders), key), None)
        _row_orders[key] = rows
    return rows


def stratify(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random order (rows,) of rows in which every stretch has the classes in their proportions.

    The i-th of the n shuffled rows of a class is placed at (i + u) / n of the length, with u in [0, 1) drawn
    for each class.
    """
    shuffled = rng.permutation(len(labels))
    classes, inverse, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    by_class = np.argsort(inverse, kind="stable")
    rank = np.empty(len(labels))
    rank[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = (rank + rng.random(len(classes))[inverse]) / counts[inverse]
    return shuffled[np.argsort(place, kind="stable")]


def choose_streams(batch: int, lanes: int) -> int:
    """Return a number of streams that divides the batch: up to 16, with as many factors of two as possible.

    For 1, 2, 4, ... lanes it is the same number, and so are the batches.

    Args:
        batch: Rows of a batch.
        lanes: Number of lanes of the layout.

    Raises:
        InputError: `lanes` does not divide `batch`.

    Example:
        >>> from daskpar.data import choose_streams
        >>> [choose_streams(96, lanes) for lanes in (1, 2, 4)]
        [16, 16, 16]
        >>> choose_streams(96, 3)
        12
    """
    if batch % lanes:
        fit = [n for n in range(1, batch + 1) if batch % n == 0]
        near = ", ".join(map(str, sorted(sorted(fit, key=lambda n: abs(n - lanes))[:4])))
        raise InputError(f"layout.data={lanes} does not divide train.batch={batch}; use e.g. {near}")
    fit = [n for n in range(lanes, min(_STREAMS, batch) + 1, lanes) if batch % n == 0]
    return max(fit, key=lambda n: (n & -n, n), default=lanes)
