"""Tasks of ring attention: tracks with a share of the positions pass keys and values from one to the next.

forward    project_attention ─> ring_attention, hop 0 ─> ring_attention, hop 1 ─> ... ─> finish_attention
                                  ^ send_keys              ^ send_keys
backward   begin_ring_backward ─> ring_attention_backward, one for each hop ─> finish_ring_backward
                                  send_key_gradients return the gradients of keys to their track
"""

from __future__ import annotations

from typing import NamedTuple

from daskpar.backend.array import Array, Reduced, array_module, pickle_via_host
from daskpar.backend.kernels.reference.ring import Softmax
from daskpar.data.chunk import Chunk
from daskpar.layout.arguments import PassId
from daskpar.nn import operations as program
from daskpar.nn.layer import Context, Operation, Params
from daskpar.nn.parameters import collect
from daskpar.nn.positions import bounds
from daskpar.nn.ring import Keys, Ring, Slope
from daskpar.tasks.gradient import ignore_float_errors
from daskpar.tasks.load import load_batch
from daskpar.tasks.loss import forward_loss
from daskpar.tasks.parts import (
    context,
    flow_into,
    gradient_into,
    gradient_space,
    gradients_from,
    parameters_of,
)
from daskpar.tasks.types import Backward, Forward, Lane, Spec


class Projected(NamedTuple):
    """The values that flowed into attention, and the queries, keys and values of a share."""

    flow: program.Flow
    queries: Array
    keys: Keys

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)


class KeyGradients(NamedTuple):
    """The gradients of a block of keys and values, summed over all tracks that it has passed."""

    dk: Array
    dv: Array

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)


class RingGradients(NamedTuple):
    """The gradients of a track's queries, summed over the blocks so far, and those of the last block."""

    dq: Array
    of_keys: KeyGradients

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)


def load_share(spec: Spec, step: int, share: int, streams: range, *chunks: Chunk) -> Chunk:
    """Load a share of the positions of a lane's rows of a step's batch."""
    batch, xp = load_batch(spec, step, streams, *chunks), spec.xp
    start, stop = bounds(spec.in_shape[0], spec.layout.tracks_per_lane)[share]
    x, y = (xp.ascontiguousarray(a[:, start:stop]) if a.ndim > 1 else a for a in batch[:2])
    return Chunk(x, y, batch.weights)


def share_loss(
    spec: Spec, step: int, pass_id: PassId, batch: Chunk, last: Forward, *owners: Lane
) -> Backward:
    """Compute the loss of a share of the positions, as `forward_loss` does.

    A loss that is a mean over positions is scaled by the length of the share.
    """
    backward = forward_loss(spec, step, pass_id, batch, last, *owners)
    gradient, dx = backward.gradients[0], backward.dx
    if spec.loss.over_positions != "mean" or not gradient.sums or dx is None:
        return backward
    factor = last.y.shape[1] / spec.in_shape[0]
    loss, weight, *metrics = gradient.sums
    gradient = gradient._replace(sums=(loss * factor, weight * factor, *metrics))
    return backward._replace(dx=dx * factor, gradients=(gradient,))


@ignore_float_errors
def project_attention(
    spec: Spec, step: int, pass_id: PassId, value: Chunk | Forward, after: object, *owners: Lane
) -> Projected:
    """Project the inputs of a share to queries, keys and values.

    `after` is the value of the task that the schedule puts before this one; it is not used.
    """
    layer, operation = _ring(spec, pass_id)
    flow, params = flow_into(spec, step, pass_id, value), parameters_of(spec, pass_id, owners)
    ctx = _within(spec, step, pass_id, operation).masked(flow.mask)
    queries, keys = layer.project(program.present(operation, params, flow.x), flow.x, ctx)
    return Projected(flow, queries, keys)


def send_keys(value: Projected | Keys, after: object) -> Keys:
    """Send a block of keys and values to a track, without the queries.

    `after` is the value of an earlier hop; it is not used. It keeps blocks from piling up at a track.
    """
    return value.keys if isinstance(value, Projected) else value


@ignore_float_errors
def ring_attention(
    spec: Spec, step: int, pass_id: PassId, own: Projected, keys: Keys, before: Softmax | None
) -> Softmax:
    """Attend to one more block of keys: return the running softmax of a track's queries.

    `before` is that of the hops before.
    """
    layer, operation = _ring(spec, pass_id)
    return layer.attend(own.queries, keys, before, _within(spec, step, pass_id, operation))


@ignore_float_errors
def finish_attention(
    spec: Spec, step: int, pass_id: PassId, own: Projected, seen: Softmax, *owners: Lane
) -> Forward:
    """Finish attention for a share, after all blocks: return its output and the saved values."""
    layer, operation = _ring(spec, pass_id)
    params = program.present(operation, parameters_of(spec, pass_id, owners), own.queries)
    y, saved = layer.finish(params, seen)
    held = own.flow.held if spec.partition.parts[pass_id.part].section is None else ()
    return Forward(y, saved, own.flow.mask, held)


@ignore_float_errors
def begin_ring_backward(
    spec: Spec, step: int, pass_id: PassId, forward: Forward, above: Backward, after: object, *owners: Lane
) -> Slope:
    """Begin the backward pass of a share: return the gradient of the softmax's output.

    `after` is as for `project_attention`.
    """
    layer, operation = _ring(spec, pass_id)
    dy = gradient_into(spec, pass_id, above)
    return layer.begin_backward(
        program.present(operation, parameters_of(spec, pass_id, owners), dy), forward.saved, dy
    )


@ignore_float_errors
def ring_attention_backward(
    spec: Spec,
    step: int,
    pass_id: PassId,
    own: Projected,
    forward: Forward,
    slope: Slope,
    keys: Keys,
    before: RingGradients | None,
    arrived: KeyGradients | None,
) -> RingGradients:
    """Run attention to one block backward; return the gradients of queries, keys and values.

    They are added to those of the queries by the blocks `before`, and to those of the block that have
    `arrived` from other tracks.
    """
    layer, operation = _ring(spec, pass_id)
    ctx = _within(spec, step, pass_id, operation)
    dq, dk, dv = layer.attend_backward(own.queries, keys, forward.saved, slope, ctx)
    if before is not None:
        dq += before.dq
    if arrived is not None:
        dk += arrived.dk
        dv += arrived.dv
    xp = array_module(dq)
    return RingGradients(dq, KeyGradients(xp.ascontiguousarray(dk), xp.ascontiguousarray(dv)))


def send_key_gradients(value: RingGradients) -> KeyGradients:
    """Send the gradients of a block of keys to the next track, or to the track that owns the block."""
    return value.of_keys


@ignore_float_errors
def finish_ring_backward(
    spec: Spec,
    step: int,
    pass_id: PassId,
    own: Projected,
    forward: Forward,
    above: Backward,
    last: RingGradients,
    home: KeyGradients,
    before: Backward | None,
    *owners: Lane,
) -> Backward:
    """Finish the backward pass of a share: return the gradients of its inputs and of the parameters.

    `home` are the gradients of the share's own keys, from all tracks. `before` is as for `backward_part`.
    """
    layer, operation = _ring(spec, pass_id)
    buffers, out = gradient_space(spec, pass_id)
    dy, params = gradient_into(spec, pass_id, above), parameters_of(spec, pass_id, owners)
    needed = spec.partition.parts[pass_id.part].first > spec.partition.first_trained
    ctx = context(spec, step, pass_id, out).within(operation.path, needed)
    present = program.present(operation, params, dy)
    gradients = (last.dq, home.dk, home.dv)
    dx, grads = layer.finish_backward(present, own.flow.x, forward.saved, dy, gradients, ctx)
    absent = dict(operation.absent)
    nested: Params = {}
    program.put(nested, operation.path, {n: g for n, g in grads.items() if n not in absent})
    collect(nested, out)
    held = above.held if spec.partition.parts[pass_id.part].section is None else ()
    return Backward(dx, gradients_from(spec, pass_id, buffers, above, before), held)


def _ring(spec: Spec, pass_id: PassId) -> tuple[Ring, Operation]:
    """Return the layer of a part for the share of a track, and its operation."""
    operation = spec.partition.operations(pass_id.track, pass_id.branch)[
        spec.partition.parts[pass_id.part].first
    ]
    assert isinstance(operation.layer, Ring)
    return operation.layer, operation


def _within(spec: Spec, step: int, pass_id: PassId, operation: Operation) -> Context:
    return context(spec, step, pass_id).within(operation.path)
