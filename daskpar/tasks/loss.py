"""Tasks that compute the loss of a micro-batch, whole or across parts in width."""

from __future__ import annotations

import math

from daskpar.backend.array import Array
from daskpar.data.chunk import Chunk
from daskpar.errors import NotFiniteError
from daskpar.layout.arguments import PassId
from daskpar.nn.positions import bounds
from daskpar.tasks.gradient import explain_not_finite, ignore_float_errors, measure, remedy
from daskpar.tasks.parts import context, rows_of
from daskpar.tasks.types import Backward, Forward, Gradient, Lane, Spec


@ignore_float_errors
def forward_loss(
    spec: Spec, step: int, pass_id: PassId, batch: Chunk, last: Forward, *owners: Lane
) -> Backward:
    """Compute the loss of a micro-batch: return its gradient with respect to the outputs, and the sums.

    Args:
        spec: The run.
        step: Number of the step.
        pass_id: The track and the micro-batch.
        batch: Rows of the track, with the targets.
        last: Outputs of the model.
        owners: The state, if one task has all of it. It serves to explain a loss that is not finite.

    Raises:
        NotFiniteError: The loss is not finite.
    """
    none = last.y.reshape(-1)[:0]
    if not len(last.y):
        return Backward(last.y, (Gradient(none, ()),))
    rows = rows_of(spec, step, pass_id)[1]
    positions = positions_of(spec, pass_id.track)
    sums, dy = measure(spec, last.y, batch.y[rows], _weights(batch, rows), positions=positions)
    if not math.isfinite(sums[0]):
        if not owners:
            raise _not_finite(step, sums[0])
        explain_not_finite(spec, owners[0].state.params, batch.x[rows], context(spec, step, pass_id), sums[0])
    return Backward(dy, (Gradient(none, sums),))


def positions_of(spec: Spec, track: int) -> slice | None:
    """Return the positions of an example that a track works on; None for all of them."""
    shares = spec.layout.sequence
    return slice(*bounds(spec.in_shape[0], shares)[track % shares]) if shares > 1 else None


def gather_loss(spec: Spec, step: int, pass_id: PassId, batch: Chunk, last: Forward) -> Array:
    """Gather the facts of a part's outputs that the other parts in width need, such as the maximum."""
    first, classes = _classes(spec, pass_id, last)
    return spec.loss.gather(last.y, batch.y[rows_of(spec, step, pass_id)[1]], first, classes)


def reduce_loss(spec: Spec, *gathered: Array) -> Array:
    """Combine the facts that parts in width have gathered for the loss."""
    return spec.loss.combine(gathered)


@ignore_float_errors
def split_loss(spec: Spec, step: int, pass_id: PassId, batch: Chunk, last: Forward, total: Array) -> Backward:
    """Compute the loss of one part in width, as `forward_loss` does; the first part has the sums.

    `total` are the facts of all parts, from `reduce_loss`.
    """
    first, classes = _classes(spec, pass_id, last)
    rows = rows_of(spec, step, pass_id)[1]
    targets, weights = batch.y[rows], _weights(batch, rows)
    loss, weight, dy = (
        spec.loss.with_total(last.y, targets, first, classes, total)
        if weights is None
        else spec.loss.with_total(last.y, targets, first, classes, total, weights)
    )
    if not math.isfinite(loss):
        raise _not_finite(step, loss)
    sums = (loss, weight) if pass_id.branch == 0 and len(last.y) else ()
    return Backward(dy, (Gradient(last.y.reshape(-1)[:0], sums),))


def _classes(spec: Spec, pass_id: PassId, last: Forward) -> tuple[int, int]:
    """Return the first class of a part in width, and the number of classes of all parts."""
    classes = last.y.shape[-1]
    return pass_id.branch * classes, len(spec.partition.parts[pass_id.part].spans) * classes


def _weights(batch: Chunk, rows: slice) -> Array | None:
    """Return the weights of some rows of a batch; None if the batch has no weights."""
    return None if batch.weights is None else batch.weights[rows]


def _not_finite(step: int, loss: float) -> NotFiniteError:
    return NotFiniteError(f"step {step}: the loss is {loss}; {remedy(step)}")
