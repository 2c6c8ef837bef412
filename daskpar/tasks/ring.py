"""Tasks of tracks that have a share of the positions: keys and values go round from track to track.

Forward    project_attention ─> ring_attention, a hop after the other ─> finish_attention
Backward   begin_ring_backward ─> ring_attention_backward, hop after hop ─> finish_ring_backward
"""

from __future__ import annotations

from typing import NamedTuple

from daskpar.backend.array import Array, Reduced, array_module, pickle_via_host
from daskpar.backend.kernels.reference.ring import Softmax
from daskpar.data.chunk import Chunk
from daskpar.layout.arguments import At
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
    """The values that flowed into attention, and the queries and keys of a share."""

    flow: program.Flow
    queries: Array
    keys: Keys

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)


class KeyGradients(NamedTuple):
    """The gradients of a block of keys and values, by all tracks that it has passed."""

    dk: Array
    dv: Array

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)


class RingGradients(NamedTuple):
    """The gradients of a track's queries, by all blocks so far, and of the block that it has seen last."""

    dq: Array
    of_keys: KeyGradients

    def __reduce__(self) -> Reduced:
        return pickle_via_host(self)


def load_share(spec: Spec, step: int, share: int, streams: range, *chunks: Chunk) -> Chunk:
    """A share of the positions of a lane's rows of the batch of a step."""
    batch, xp = load_batch(spec, step, streams, *chunks), spec.xp
    start, stop = bounds(spec.in_shape[0], spec.layout.tracks_per_lane)[share]
    x, y = (xp.ascontiguousarray(a[:, start:stop]) if a.ndim > 1 else a for a in batch[:2])
    return Chunk(x, y, batch.weights)


def share_loss(spec: Spec, step: int, at: At, batch: Chunk, last: Forward, *owners: Lane) -> Backward:
    """As `forward_loss`, of a share; a loss that is a mean over positions counts as far as the share goes."""
    backward = forward_loss(spec, step, at, batch, last, *owners)
    gradient, dx = backward.gradients[0], backward.dx
    if spec.loss.over_positions != "mean" or not gradient.sums or dx is None:
        return backward
    factor = last.y.shape[1] / spec.in_shape[0]
    loss, weight, *metrics = gradient.sums
    gradient = gradient._replace(sums=(loss * factor, weight * factor, *metrics))
    return backward._replace(dx=dx * factor, gradients=(gradient,))


@ignore_float_errors
def project_attention(
    spec: Spec, step: int, at: At, value: Chunk | Forward, after: object, *owners: Lane
) -> Projected:
    """The queries, keys and values of a share. `after`: the value of a task that is to be done before."""
    layer, operation = _ring(spec, at)
    flow, params = flow_into(spec, step, at, value), parameters_of(spec, at, owners)
    ctx = _within(spec, step, at, operation).masked(flow.mask)
    queries, keys = layer.project(program.present(operation, params, flow.x), flow.x, ctx)
    return Projected(flow, queries, keys)


def send_keys(value: Projected | Keys, after: object) -> Keys:
    """A block of keys and values as the next track needs it, and nothing else.

    `after`: a task that is to be done before, so that no track collects more blocks than it can look at.
    """
    return value.keys if isinstance(value, Projected) else value


@ignore_float_errors
def ring_attention(
    spec: Spec, step: int, at: At, own: Projected, keys: Keys, before: Softmax | None
) -> Softmax:
    """A track's queries look at one more block of keys."""
    layer, operation = _ring(spec, at)
    return layer.attend(own.queries, keys, before, _within(spec, step, at, operation))


@ignore_float_errors
def finish_attention(spec: Spec, step: int, at: At, own: Projected, seen: Softmax, *owners: Lane) -> Forward:
    """The output of attention for a share, when all blocks have passed."""
    layer, operation = _ring(spec, at)
    params = program.present(operation, parameters_of(spec, at, owners), own.queries)
    y, saved = layer.finish(params, seen)
    held = own.flow.held if spec.partition.parts[at.part].section is None else ()
    return Forward(y, saved, own.flow.mask, held)


@ignore_float_errors
def begin_ring_backward(
    spec: Spec, step: int, at: At, forward: Forward, above: Backward, after: object, *owners: Lane
) -> Slope:
    """The gradient of what a share's queries have gathered. `after` as for `project_attention`."""
    layer, operation = _ring(spec, at)
    dy = gradient_into(spec, at, above)
    return layer.begin_backward(
        program.present(operation, parameters_of(spec, at, owners), dy), forward.saved, dy
    )


@ignore_float_errors
def ring_attention_backward(
    spec: Spec,
    step: int,
    at: At,
    own: Projected,
    forward: Forward,
    slope: Slope,
    keys: Keys,
    before: RingGradients | None,
    arrived: KeyGradients | None,
) -> RingGradients:
    """The gradients by one block. `before`: those of the blocks before; `arrived`: of the block, so far."""
    layer, operation = _ring(spec, at)
    ctx = _within(spec, step, at, operation)
    dq, dk, dv = layer.attend_backward(own.queries, keys, forward.saved, slope, ctx)
    if before is not None:
        dq += before.dq
    if arrived is not None:
        dk += arrived.dk
        dv += arrived.dv
    xp = array_module(dq)
    return RingGradients(dq, KeyGradients(xp.ascontiguousarray(dk), xp.ascontiguousarray(dv)))


def send_key_gradients(value: RingGradients) -> KeyGradients:
    """The gradients of a block as the next track needs them, or the track that the block belongs to."""
    return value.of_keys


@ignore_float_errors
def finish_ring_backward(
    spec: Spec,
    step: int,
    at: At,
    own: Projected,
    forward: Forward,
    above: Backward,
    last: RingGradients,
    home: KeyGradients,
    before: Backward | None,
    *owners: Lane,
) -> Backward:
    """The gradients of a share's input and of the parameters. `home`: of the share's own keys.

    `before`: as for `backward_part`.
    """
    layer, operation = _ring(spec, at)
    buffers, out = gradient_space(spec, at)
    dy, params = gradient_into(spec, at, above), parameters_of(spec, at, owners)
    needed = spec.partition.parts[at.part].first > spec.partition.first_trained
    ctx = context(spec, step, at, out).within(operation.path, needed)
    present = program.present(operation, params, dy)
    gradients = (last.dq, home.dk, home.dv)
    dx, found = layer.finish_backward(present, own.flow.x, forward.saved, dy, gradients, ctx)
    absent = dict(operation.absent)
    nested: Params = {}
    program.put(nested, operation.path, {n: g for n, g in found.items() if n not in absent})
    collect(nested, out)
    held = above.held if spec.partition.parts[at.part].section is None else ()
    return Backward(dx, gradients_from(spec, at, buffers, above, before), held)


def _ring(spec: Spec, at: At) -> tuple[Ring, Operation]:
    """The layer of a part on the share of a track, and its operation."""
    operation = spec.partition.operations(at.track, at.branch)[spec.partition.parts[at.part].first]
    assert isinstance(operation.layer, Ring)
    return operation.layer, operation


def _within(spec: Spec, step: int, at: At, operation: Operation) -> Context:
    return context(spec, step, at).within(operation.path)
