"""Tasks that differentiate the whole model, and tasks that add gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from daskpar.backend.array import Array, array_module, to_numpy
from daskpar.backend.kernels import kernels
from daskpar.data.chunk import Chunk
from daskpar.data.transforms import undo
from daskpar.errors import NotFiniteError
from daskpar.nn.layer import Context, Params
from daskpar.nn.parameters import collect, first_not_finite
from daskpar.tasks.types import Backward, Gradient, Lane, Rounded, Spec, Sums
from daskpar.tasks.units import in_units

# A loss that is not finite ends the run with a message of its own, so NumPy's warnings are not needed.
ignore_float_errors = np.errstate(over="ignore", invalid="ignore", divide="ignore")


def differentiate(
    spec: Spec,
    params: Array,
    batch: Chunk,
    step: int,
    row: int,
    into: Array | None = None,
    named: tuple[Params, Params] | None = None,
) -> Gradient:
    """Return the gradient of the loss over a batch, in `accumulate` slices one after the other.

    Args:
        spec: The run.
        params: Flat buffer of the parameters.
        batch: Rows, already transformed.
        step: Number of the step, a key of random draws.
        row: Place of the first row in the global batch, a key of random draws.
        into: Buffer for the gradient, which the caller owns. Default: a new one.
        named: Views of `params` and of `into`, if the caller has them. Default: None.
    """
    xp = array_module(params)
    buffer = xp.zeros_like(params) if into is None else into
    views, out = named or (spec.table.views(params), spec.table.views(buffer))
    rows = len(batch.x)
    sums: Sums = ()
    for k in range(spec.accumulate):
        start, stop = k * rows // spec.accumulate, (k + 1) * rows // spec.accumulate
        if start == stop:
            continue
        ctx = Context(
            True,
            spec.seed,
            step,
            row + start,
            out=None if sums else out,
            input_gradient=False,
            consume=True,
        )
        outputs, saved = spec.model.forward(views, batch.x[start:stop], ctx)
        weights = None if batch.weights is None else batch.weights[start:stop]
        part, dy = measure(spec, outputs, batch.y[start:stop], weights)
        if not math.isfinite(part[0]):
            explain_not_finite(spec, params, batch.x[start:stop], ctx, part[0])
        _, grads = spec.model.backward(views, saved, dy, ctx)
        if sums:
            again = xp.zeros_like(buffer)
            collect(grads, spec.table.views(again))
            buffer += again
        else:
            collect(grads, out)
        sums = add_sums(sums, part)
    return Gradient(buffer, sums)


def measure(
    spec: Spec,
    outputs: Array,
    targets: Array,
    weights: Array | None = None,
    metrics: Sequence[Any] | None = None,
    positions: slice | None = None,
) -> tuple[Sums, Array]:
    """Return the sums of loss, weights and metrics over rows, and the gradient of the loss.

    Args:
        spec: The run.
        outputs: Outputs of the model (rows, ...).
        targets: Targets (rows, ...).
        weights: Weights (rows,). Default: None, all rows have the same weight.
        metrics: Metrics. Default: None, those of training steps.
        positions: The positions of an example that the outputs are for. Default: None, all of them.
    """
    metrics = spec.step_metrics if metrics is None else metrics
    if weights is None:
        loss, weight, dy = spec.loss(outputs, targets)
    else:
        loss, weight, dy = spec.loss.weighted(outputs, targets, weights)
    if spec.units is not None and (spec.units.shares or spec.units.undone) and math.isfinite(loss):
        loss, weight = in_units(spec, outputs, targets, weights, positions)
    sums: Sums = (loss, weight)
    if metrics and spec.targets and spec.loss.task == "numbers":  # metrics are in the units of y
        outputs, targets = (undo(spec.targets, to_numpy(values)) for values in (outputs, targets))
    for metric in metrics:
        if weights is None:
            sums += metric.sums(outputs, targets, spec.loss)
        else:
            sums += metric.weighted_sums(outputs, targets, spec.loss, weights)
    return sums, dy


def add_sums(a: Sums, b: Sums) -> Sums:
    """Add sums element by element. An empty tuple counts as zeros."""
    if not a or not b:
        return a or b
    return tuple(x + y for x, y in zip(a, b, strict=True))


def gradient_in(value: Any) -> Gradient | Rounded:
    """Return the gradient in the value of a task, which may have a state or dx beside it."""
    if isinstance(value, Backward):
        return value.gradients[0]
    gradient = value.gradient if isinstance(value, Lane) else value
    assert isinstance(gradient, Gradient | Rounded)
    return gradient


def gradient_of(value: Any) -> Gradient:
    """Return the gradient in the value of a task, in the run's precision if it was rounded."""
    gradient = gradient_in(value)
    if isinstance(gradient, Gradient):
        return gradient
    buffer = array_module(gradient.buffer).zeros(gradient.buffer.shape, dtype=gradient.dtype)
    return Gradient(buffer, add_gradient(gradient, buffer), gradient.start)


def add_gradient(value: Any, buffer: Array) -> Sums:
    """Add a gradient to `buffer`, which has the same length; return the sums that it carries."""
    gradient = gradient_in(value)
    if isinstance(gradient, Gradient):
        buffer += gradient.buffer
    else:
        kernels(buffer).add_half(gradient.buffer, gradient.scale, buffer)
        for start, exact in gradient.exact:
            buffer[start : start + len(exact)] += exact
    return gradient.sums


def reduce_gradient(*values: Any) -> Gradient:
    """Add gradients of the same parameters, a node of a tree; return their sum."""
    total, rest = gradient_of(values[0]), values[1:]
    if not rest:
        return total
    buffer, sums = total.buffer, total.sums
    if buffer is gradient_in(values[0]).buffer:  # an input, which must not change
        second, rest = gradient_of(rest[0]), rest[1:]
        buffer, sums = buffer + second.buffer, add_sums(sums, second.sums)
    for value in rest:
        sums = add_sums(sums, add_gradient(value, buffer))
    return Gradient(buffer, sums, total.start)


def explain_not_finite(spec: Spec, params: Array, x: Array, ctx: Context, loss: float) -> None:
    """Raise NotFiniteError with the step and the first layer whose numbers are not finite."""
    where = first_not_finite(spec.table, params)
    if where is not None:
        index = int(where.split(".")[0])
        cause = f"parameter {where} of layer {index} ({spec.model.layers[index].kind}) is not finite"
    else:
        cause = "every layer's output is finite, the loss itself is not"
        views = spec.table.views(params)
        for i, layer in enumerate(spec.model.layers):
            x, _, mask = layer.run(views.get(str(i), {}), x, ctx.child(i))
            ctx = ctx.masked(mask)
            if not bool(array_module(x).isfinite(x).all()):
                cause = f"layer {i} ({layer.kind}) is the first with an output that is not finite"
                break
    raise NotFiniteError(f"step {ctx.step}: the loss is {loss}; {cause}; {remedy(ctx.step)}")


def remedy(step: int) -> str:
    """Return advice for a loss that is not finite. In step 0 the cause is the data, not an update."""
    if step == 0:
        return 'scale the data, e.g. transforms=["standardise"], and targets=["standardise"] for numbers'
    return "lower optimizer.lr, or set train.clip.norm"
