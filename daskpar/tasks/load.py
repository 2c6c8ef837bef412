"""Tasks that load models, states and data; any worker can run them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from daskpar.backend.array import Array, is_floating, to_numpy
from daskpar.backend.random import init_rng
from daskpar.data.chunk import Chunk, draw, prepare
from daskpar.data.splits import Split
from daskpar.data.transforms import Fitted, Transform
from daskpar.data.weights import classes_of
from daskpar.errors import InputError
from daskpar.layout.partition import Span
from daskpar.tasks.state_file import StateFile, read_state
from daskpar.tasks.types import Lane, Spec, State


def load_model(spec: Spec) -> Spec:
    """Load the description of the run, which each worker receives once."""
    return spec


def load_state(spec: Spec, path: StateFile, prefix: str = "") -> Lane:
    """Load the state in a file that all workers can read, or in the content of a file.

    `prefix` is the beginning of the state's names, in a file with several states.
    """
    return Lane(read_state(spec, path, prefix))


def load_initial(spec: Spec) -> Lane:
    """Initialise the state before the first step, from the seed."""
    params, _ = spec.model.init(init_rng(spec.seed), spec.in_shape)
    buffer = spec.table.flatten(params, spec.precision, spec.xp)
    return Lane(State(0, buffer, spec.optimizer.init(buffer)))


def begin_state(spec: Spec, path: StateFile | None, prefix: str = "") -> Lane:
    """Begin a run: return the state in a file or, without a path, the state before the first step."""
    return load_initial(spec) if path is None else load_state(spec, path, prefix)


def load_place(spec: Spec, span: Span, path: StateFile | None, prefix: str = "") -> Lane:
    """Load the elements `span` of the state in a file, or of the state before the first step."""
    whole = begin_state(spec, path, prefix).state
    place = spec.partition.places[span.place]
    buffers = {}
    for name, source in (("", whole.params), *whole.slots.items()):
        buffer = place.take(spec.table, source, spec.xp.zeros(place.table.size, dtype=spec.precision))
        buffers[name] = buffer[span.start : span.stop].copy()
    return Lane(State(whole.step, buffers.pop(""), buffers))


def send_state(content: bytes) -> bytes:
    """Send the content of a state's file, for workers that do not see the file.

    It is part of the graph, so the value outlives every worker.
    """
    return content


def fetch_state(owner: Lane) -> Lane:
    """Copy a state to the host's memory, for a client without the device of the workers."""
    state = owner.state
    slots = {name: to_numpy(value) for name, value in state.slots.items()}
    return Lane(State(state.step, to_numpy(state.params), slots))


def row_numbers(where: tuple[Any, ...]) -> Any:
    """Return the rows of a split that `where` describes: (start, stop), or (order, stream, chunk)."""
    if len(where) == 2:
        return slice(*where)
    order, stream, chunk = where
    return order.positions(stream, chunk)


def load_data(spec: Spec, split: Split, where: tuple[Any, ...], trained_on: bool = False) -> Chunk:
    """Load a chunk: read its rows from the split, transform and check them.

    `where` is as for `row_numbers`. `trained_on` is as for `load_rows`.
    """
    x, y = read_rows(split, where)
    return load_rows(spec, split, x, y, split.read_weights(row_numbers(where)), trained_on)


def load_rows(
    spec: Spec, split: Split, x: Any, y: Any, weights: Array | None = None, trained_on: bool = False
) -> Chunk:
    """Load a chunk from rows that another task has read, such as one of dask.array.

    Rows that are `trained_on` have their weights multiplied by the weights of their classes.

    Raises:
        InputError: Rows that do not fit the model or the loss.
    """
    where = f"{split.name} data"
    check_ids(spec, where, x)
    spec.check_raw(x, where)
    chunk = prepare(
        split.name,
        *(x, y, spec.precision, spec.transforms, spec.targets, spec.module, spec.x_dtype),
        weights=weights,
    )
    check_shape(spec, where, chunk.x)
    targets = spec.loss.conform(chunk.y, spec.out_shape)
    try:
        spec.loss.check(spec.out_shape, targets.shape[1:], targets.dtype)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    wrong = spec.loss.refuses(targets, spec.out_shape) if len(targets) else None
    if wrong is not None:
        raise InputError(f"{where}: {wrong}")
    y = targets.astype(spec.precision, copy=False) if is_floating(targets) else targets
    weights = chunk.weights
    if trained_on and spec.class_weights is not None:
        of_classes = spec.xp.asarray(spec.class_weights, dtype=spec.precision)[classes_of(y, where)]
        weights = of_classes if weights is None else weights * of_classes
    return Chunk(chunk.x, y, weights)


def check_ids(spec: Spec, where: str, x: Any) -> None:
    """Refuse examples that are no token ids, for a model of tokens. It sees them before any cast.

    Raises:
        InputError: The dtype is no integer, or an id is out of range.
    """
    if not spec.model.tokens:
        return
    if np.dtype(x.dtype).kind not in "iub":
        raise InputError(
            f"{where}: the examples are {x.dtype}; {spec.model.layers[0].kind} takes whole numbers, "
            "e.g. .astype(int)"
        )
    wrong = spec.model.refuses(x) if len(x) else None
    if wrong is not None:
        raise InputError(f"{where}: {wrong}")


def check_shape(spec: Spec, where: str, x: Any) -> None:
    """Refuse examples (rows, ...) of another shape than the model expects. Raises InputError."""
    if x.shape[1:] != spec.in_shape:
        raise InputError(f"{where}: examples of shape {x.shape[1:]}, the model expects {spec.in_shape}")


def read_rows(split: Split, where: tuple[Any, ...]) -> tuple[Any, Any]:
    """Read rows of a split as they are stored: (examples, targets). `where` is as for `row_numbers`."""
    return split.read(row_numbers(where))


def pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Pair the examples and the targets that two other tasks have read."""
    return x, y


def measure_rows(
    transform: Transform, fitted: Sequence[Fitted], which: str, rows: tuple[Any, Any]
) -> tuple[Any, ...]:
    """Measure rows for a transform: of examples (`which` is "x") or of targets ("y").

    `fitted` are the transforms that are applied before it. `rows` are (examples, targets).
    """
    values = rows[0] if which == "x" else rows[1]
    for before in fitted:
        values = before.apply(values)
    return transform.measure(values)


def load_batch(spec: Spec, step: int, streams: range, *chunks: Chunk) -> Chunk:
    """Load a lane's rows of a step's batch from `chunks`; return no rows if the batch has none for it."""
    if not chunks:
        return Chunk(
            spec.xp.zeros((0, *spec.in_shape), dtype=spec.x_dtype), spec.xp.zeros(0, dtype=spec.precision)
        )
    epoch, within = spec.order.place(step)
    return draw(spec.order, epoch, spec.order.pieces(epoch, within, streams), chunks)


def first_row(spec: Spec, step: int, streams: range) -> int:
    """Return the place of a lane's first row in the global batch, a key of random draws."""
    return spec.order.count(spec.order.place(step)[1], range(streams.start))
