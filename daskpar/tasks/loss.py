"""Tasks that work out the loss of a micro-batch, whole or across parts in width."""

from __future__ import annotations

import math

from daskpar.backend.array import Array
from daskpar.data.chunk import Chunk
from daskpar.errors import NotFiniteError
from daskpar.layout.arguments import At
from daskpar.nn.positions import bounds
from daskpar.tasks.gradient import explain_not_finite, ignore_float_errors, measure, remedy
from daskpar.tasks.parts import context, rows_of
from daskpar.tasks.types import Backward, Forward, Gradient, Lane, Spec


@ignore_float_errors
def forward_loss(spec: Spec, step: int, at: At, batch: Chunk, last: Forward, *owners: Lane) -> Backward:
    """Sums of loss and metrics, and the gradient of the loss with respect to the model's outputs.

    `owners`: the state, where one has all of it, to tell where numbers ceased to be finite.
    """
    none = last.y.reshape(-1)[:0]
    if not len(last.y):
        return Backward(last.y, (Gradient(none, ()),))
    rows = rows_of(spec, step, at)[1]
    positions = positions_of(spec, at.track)
    sums, dy = measure(spec, last.y, batch.y[rows], _weights(batch, rows), positions=positions)
    if not math.isfinite(sums[0]):
        if not owners:
            raise _not_finite(step, sums[0])
        explain_not_finite(spec, owners[0].state.params, batch.x[rows], context(spec, step, at), sums[0])
    return Backward(dy, (Gradient(none, sums),))


def positions_of(spec: Spec, track: int) -> slice | None:
    """The positions of an example that a track has; None for all of them."""
    shares = spec.layout.sequence
    return slice(*bounds(spec.in_shape[0], shares)[track % shares]) if shares > 1 else None


def gather_loss(spec: Spec, step: int, at: At, batch: Chunk, last: Forward) -> Array:
    """The facts of a part's outputs that the other parts in width need."""
    first, classes = _classes(spec, at, last)
    return spec.loss.gather(last.y, batch.y[rows_of(spec, step, at)[1]], first, classes)


def reduce_loss(spec: Spec, *gathered: Array) -> Array:
    """The facts that several parts in width have gathered for the loss."""
    return spec.loss.combine(gathered)


@ignore_float_errors
def split_loss(spec: Spec, step: int, at: At, batch: Chunk, last: Forward, total: Array) -> Backward:
    """As `forward_loss`, of one part in width; the first carries the sums."""
    first, classes = _classes(spec, at, last)
    rows = rows_of(spec, step, at)[1]
    targets, weights = batch.y[rows], _weights(batch, rows)
    loss, weight, dy = (
        spec.loss.with_total(last.y, targets, first, classes, total)
        if weights is None
        else spec.loss.with_total(last.y, targets, first, classes, total, weights)
    )
    if not math.isfinite(loss):
        raise _not_finite(step, loss)
    sums = (loss, weight) if at.branch == 0 and len(last.y) else ()
    return Backward(dy, (Gradient(last.y.reshape(-1)[:0], sums),))


def _classes(spec: Spec, at: At, last: Forward) -> tuple[int, int]:
    """The first class of a part in width, and how many there are in all."""
    own = last.y.shape[-1]
    return at.branch * own, len(spec.partition.parts[at.part].spans) * own


def _weights(batch: Chunk, rows: slice) -> Array | None:
    """The weights of some rows of a batch, where they have any."""
    return None if batch.weights is None else batch.weights[rows]


def _not_finite(step: int, loss: float) -> NotFiniteError:
    return NotFiniteError(f"step {step}: the loss is {loss}; {remedy(step)}")
