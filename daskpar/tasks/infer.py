"""Tasks that evaluate and predict with a state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from daskpar.backend import blas
from daskpar.backend.array import Array, aligned, to_numpy
from daskpar.data.chunk import Chunk, fills, not_finite, on_device, transformed
from daskpar.data.transforms import decode, dtype_of_units, undo
from daskpar.errors import InputError
from daskpar.nn.gathered_rows import packed
from daskpar.nn.layer import Context
from daskpar.tasks.gradient import add_sums, ignore_float_errors, measure
from daskpar.tasks.load import check_ids, check_shape
from daskpar.tasks.types import Lane, Spec, Sums

PREDICTIONS = ("outputs", "probabilities", "classes")
ROWS = 256  # rows that are evaluated at once: bounds memory; a constant, so that all runs have the same bits

Owner = Lane | tuple[Lane, ...]
"""A state, or the states of the members of an ensemble, whose outputs are averaged."""


def gather_members(*owners: Lane) -> tuple[Lane, ...]:
    """Gather the states of the members of an ensemble in a tuple."""
    return owners


def _outputs(spec: Spec, owner: Owner, x: Array) -> Array:
    members = [owner] if isinstance(owner, Lane) else owner
    views = [spec.table.views(member.state.params) for member in members]
    outputs = [spec.model.run(params, x, Context(backward=False))[0] for params in views]
    return outputs[0] if len(outputs) == 1 else spec.loss.mean(outputs)


@ignore_float_errors
def evaluate(spec: Spec, owner: Owner, chunk: Chunk) -> Sums:
    """Evaluate a state on a chunk: return the sums of loss, weights and metrics, without dropout."""
    sums: Sums = ()
    for start in range(0, len(chunk.x), ROWS):
        rows = slice(start, start + ROWS)
        weights = None if chunk.weights is None else chunk.weights[rows]
        outputs = _outputs(spec, owner, chunk.x[rows])
        sums = add_sums(sums, measure(spec, outputs, chunk.y[rows], weights, spec.metrics)[0])
    return packed(sums)


@ignore_float_errors
@blas.lasting_limit()
def predict(
    spec: Spec,
    owner: Owner,
    x: Any,
    kind: str = "outputs",
    fill: Any = None,
    first: int = 0,
    count: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Predict for examples as they are stored; return an array of the host.

    Numbers are in the units of the targets, in float64 if the run's precision cannot represent them. Classes
    are the labels of the targets. Rows that are not finite have NaN as outputs and `fill` as a class.

    Args:
        spec: The run.
        owner: A state, or the states of an ensemble.
        x: Examples (rows, ...).
        kind: One of `PREDICTIONS`. Default: `outputs`.
        fill: Class of rows that are not finite. Default: None, such rows are refused.
        first: Number of the first row in messages. Default: 0.
        count: Function that is called after each `ROWS` rows with the number of the first. Default: None.

    Raises:
        InputError: Examples that do not fit the model, or rows without a class and no `fill`.
    """
    xp = spec.xp
    check_ids(spec, "predict", x)
    spec.check_raw(x, "predict")
    x = on_device(x, xp)
    strange = xp.zeros(len(x), dtype=bool) if fills(spec.transforms) else not_finite(x)
    x = aligned(xp.asarray(transformed(x, spec.transforms, spec.x_dtype)))
    check_shape(spec, "predict", x)
    starts = range(0, max(1, len(x)), ROWS)
    out = []
    for i in starts:
        out.append(_outputs(spec, owner, x[i : i + ROWS]))
        if count is not None:
            count(first + i)
    outputs = xp.concatenate(out) if len(out) > 1 else out[0]
    strange = to_numpy(strange | not_finite(x) | xp.isnan(outputs).any(axis=tuple(range(1, outputs.ndim))))
    if kind == "classes" and spec.loss.task != "numbers":
        return _labelled(spec, to_numpy(spec.loss.decide(outputs)), np.flatnonzero(strange), fill, first)
    values = to_numpy(spec.loss.activate(outputs) if kind == "probabilities" else outputs)
    if spec.loss.task == "numbers" and spec.targets:
        dtype = dtype_of_units(spec.targets, spec.precision)
        values = undo(spec.targets, values).astype(dtype, copy=False)
    if strange.any():
        values[strange] = np.nan
    return values


def _labelled(spec: Spec, classes: np.ndarray, strange: np.ndarray, fill: Any, first: int) -> np.ndarray:
    """Return the labels of class numbers; the rows `strange` have none."""
    if not len(strange):
        return decode(spec.targets, classes)
    if fill is None:
        rows = ", ".join(map(str, (strange + first)[:5])) + (", ..." if len(strange) > 5 else "")
        count = "1 row" if len(strange) == 1 else f"{len(strange)} rows"
        raise InputError(
            f"predict: no class for {count} with NaN or infinite values: {rows}; clean the data first, or "
            "choose what they become, e.g. fill=-1"
        )
    labels = decode(spec.targets, classes)
    labels = labels.astype(np.result_type(labels.dtype, np.asarray(fill).dtype))
    labels[strange] = fill
    return labels
