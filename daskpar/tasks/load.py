"""Tasks that bring models, states and data to a worker: the roots of every lineage, runnable anywhere."""

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
from daskpar.tasks.state_file import read_state
from daskpar.tasks.types import Lane, Spec, State


def load_model(spec: Spec) -> Spec:
    """The run's description, once a worker."""
    return spec


def load_state(spec: Spec, path: str, part: str = "") -> Lane:
    """The state in a file: the root of a lineage that can be run again anywhere that sees the file.

    `part`: of a file with more than one state, the name of the one meant.
    """
    return Lane(read_state(spec, path, part))


def load_initial(spec: Spec) -> Lane:
    """The state before the first step, from the seed."""
    params, _ = spec.model.init(init_rng(spec.seed), spec.in_shape)
    buffer = spec.table.flatten(params, spec.precision, spec.xp)
    return Lane(State(0, buffer, spec.optimizer.init(buffer)))


def begin_state(spec: Spec, path: str | None, part: str = "") -> Lane:
    """The state that a run begins with: the one in a file, or that before the first step."""
    return load_initial(spec) if path is None else load_state(spec, path, part)


def load_place(spec: Spec, span: Span, path: str | None, part: str = "") -> Lane:
    """A part of the state in a file, or of the state before the first step."""
    whole = begin_state(spec, path, part).state
    place = spec.partition.places[span.place]
    cut = {}
    for name, buffer in (("", whole.params), *whole.slots.items()):
        own = place.take(spec.table, buffer, spec.xp.zeros(place.table.size, dtype=spec.precision))
        cut[name] = own[span.start : span.stop].copy()
    return Lane(State(whole.step, cut.pop(""), cut))


def fetch_state(owner: Lane) -> Lane:
    """The state on the host, for a client that has no device of the workers' kind."""
    state = owner.state
    slots = {name: to_numpy(value) for name, value in state.slots.items()}
    return Lane(State(state.step, to_numpy(state.params), slots))


def positions(where: tuple[Any, ...]) -> Any:
    """The rows of a part that (start, stop), or (order, stream, chunk), stand for."""
    if len(where) == 2:
        return slice(*where)
    order, stream, chunk = where
    return order.positions(stream, chunk)


def load_data(spec: Spec, part: Split, where: tuple[Any, ...], trained_on: bool = False) -> Chunk:
    """A chunk, read from its source; `where` as for `positions`."""
    x, y = read_rows(part, where)
    return load_rows(spec, part, x, y, part.read_weights(positions(where)), trained_on)


def load_rows(
    spec: Spec, part: Split, x: Any, y: Any, weights: Array | None = None, trained_on: bool = False
) -> Chunk:
    """A chunk from rows that another task has read, e.g. one of dask.array's.

    `trained_on`: rows to train on, which the weights of their classes multiply.
    """
    where = f"{part.name} data"
    check_ids(spec, where, x)
    spec.check_raw(x, where)
    how = (spec.transforms, spec.targets, spec.module, spec.x_dtype)
    chunk = prepare(part.name, x, y, spec.precision, *how, weights=weights)
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
    """Refuse examples that are no ids of a model that takes tokens, as they are: a cast may hide it."""
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
    """Refuse examples (rows, ...) of another shape than the model takes."""
    if x.shape[1:] != spec.in_shape:
        raise InputError(f"{where}: examples of shape {x.shape[1:]}, the model expects {spec.in_shape}")


def read_rows(part: Split, where: tuple[Any, ...]) -> tuple[Any, Any]:
    """Rows of a part as they are stored; `where` as for `positions`."""
    return part.read(positions(where))


def pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Examples and targets that two other tasks have read."""
    return x, y


def measure_rows(
    transform: Transform, fitted: Sequence[Fitted], which: str, rows: tuple[Any, Any]
) -> tuple[Any, ...]:
    """The facts that a transform needs of some rows: of examples ("x") or of targets ("y")."""
    values = rows[0] if which == "x" else rows[1]
    for before in fitted:
        values = before.apply(values)
    return transform.measure(values)


def load_batch(spec: Spec, step: int, streams: range, *chunks: Chunk) -> Chunk:
    """A lane's rows of the batch of a step; zero rows where the last batch has none for it."""
    if not chunks:
        return Chunk(
            spec.xp.zeros((0, *spec.in_shape), dtype=spec.x_dtype), spec.xp.zeros(0, dtype=spec.precision)
        )
    epoch, within = spec.order.place(step)
    return draw(spec.order, epoch, spec.order.pieces(epoch, within, streams), chunks)


def first_row(spec: Spec, step: int, streams: range) -> int:
    """The place of a lane's first row in the global batch, which random draws go by."""
    return spec.order.count(spec.order.place(step)[1], range(streams.start))
