"""Tasks that take micro-batches through a model part by part, forward and backward, and join its branches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

from daskpar.backend.array import Array, array_module
from daskpar.data.chunk import Chunk
from daskpar.errors import NotFiniteError
from daskpar.layout.plan import At
from daskpar.nn import moments
from daskpar.nn import operations as program
from daskpar.nn.layer import Context, Params
from daskpar.nn.parameters import collect
from daskpar.tasks.gradient import add_sums, explain_not_finite, gradient_of, ignore_float_errors, measure
from daskpar.tasks.rows import with_edges, with_halo
from daskpar.tasks.types import Backward, Forward, Gradient, Lane, Spec, Sums


class Kept(NamedTuple):
    """What flowed into a part that computes again what its backward pass needs."""

    flow: program.Flow
    shared: Any


def rows_of(spec: Spec, step: int, at: At) -> tuple[int, slice]:
    """The place of a micro-batch's first row in the global batch, and its rows among those of its lane."""
    within, micros = step % spec.order.steps, spec.layout.microbatches
    streams = spec.streams(spec.layout.lane_of(at.track))
    rows = spec.order.count(within, streams)
    start, stop = at.micro * rows // micros, (at.micro + 1) * rows // micros
    return spec.order.count(within, range(streams.start)) + start, slice(start, stop)


def context(spec: Spec, step: int, at: At, out: Params | None = None) -> Context:
    return Context(True, spec.seed, step, rows_of(spec, step, at)[0], out=out)


def parameters_of(spec: Spec, at: At, owners: Sequence[Lane]) -> Params:
    return spec.partition.views(at.part, at.branch, [owner.state.params for owner in owners])


def flow_into(spec: Spec, step: int, at: At, value: Chunk | Forward) -> program.Flow:
    """The values that flow into a part: rows of a batch, or what the part before gave."""
    if isinstance(value, Chunk):
        return program.Flow(value.x[rows_of(spec, step, at)[1]])
    return program.Flow(value.y, value.mask, value.held)


@ignore_float_errors
def forward_part(
    spec: Spec, step: int, at: At, value: Chunk | Forward | list[Any], shared: Any, after: Any, *owners: Lane
) -> Forward:
    """A part of the model, forward, on a lane's batch or on what the part before gave.

    A list is a tile's own value and the edges that others lend it.

    `shared`: where its first operation shares statistics, what all lanes have gathered. `after`: what the
    schedule has the worker do before. `owners` hold the parameters.
    """
    cut = spec.partition
    part, operations = cut.parts[at.part], cut.operations(at.track, at.branch)
    if isinstance(value, list):
        value = with_halo(value[0], value[1:], part.strips[at.branch])
    flow = flow_into(spec, step, at, value)
    ctx, params = context(spec, step, at), parameters_of(spec, at, owners)
    sums = gathered_by(shared)
    out, saved = _forward(operations, (part.first, part.stop), params, flow, ctx, sums, spec.layout.recompute)
    if part.section is not None:
        return Forward(out.x, saved, out.mask)
    gathered = program.gather(operations, part.stop, params, out, ctx)
    return Forward(out.x, saved, out.mask, out.held, gathered)


def _forward(
    operations: program.Program,
    span: tuple[int, int],
    params: Params,
    flow: program.Flow,
    ctx: Context,
    sums: Any,
    recompute: bool,
) -> tuple[program.Flow, Any]:
    out, saved = program.forward(operations, span, params, flow, ctx, sums)
    return out, Kept(flow, sums) if recompute else saved


@ignore_float_errors
def forward_loss(spec: Spec, step: int, at: At, batch: Chunk, last: Forward, *owners: Lane) -> Backward:
    """Sums of loss and metrics, and the gradient of the loss with respect to the model's outputs.

    `owners`: the state, where one has all of it, to tell where numbers ceased to be finite.
    """
    none = last.y.reshape(-1)[:0]
    if not len(last.y):
        return Backward(last.y, (Gradient(none, ()),))
    rows = rows_of(spec, step, at)[1]
    sums, dy = measure(spec, last.y, batch.y[rows])
    if not math.isfinite(sums[0]):
        if not owners:
            raise _not_finite(step, sums[0])
        explain_not_finite(spec, owners[0].state.params, batch.x[rows], context(spec, step, at), sums[0])
    return Backward(dy, (Gradient(none, sums),))


def gather_loss(spec: Spec, step: int, at: At, batch: Chunk, last: Forward) -> Array:
    """What the other parts in width need to know of a part's outputs."""
    first, classes = _classes(spec, at, last)
    return spec.loss.gather(last.y, batch.y[rows_of(spec, step, at)[1]], first, classes)


def reduce_loss(spec: Spec, *gathered: Array) -> Array:
    """What several parts in width have gathered for the loss."""
    return spec.loss.combine(gathered)


@ignore_float_errors
def split_loss(spec: Spec, step: int, at: At, batch: Chunk, last: Forward, total: Array) -> Backward:
    """As `forward_loss`, of one part in width; the first carries the sums."""
    first, classes = _classes(spec, at, last)
    targets = batch.y[rows_of(spec, step, at)[1]]
    loss, weight, dy = spec.loss.with_total(last.y, targets, first, classes, total)
    if not math.isfinite(loss):
        raise _not_finite(step, loss)
    sums = (loss, weight) if at.branch == 0 and len(last.y) else ()
    return Backward(dy, (Gradient(last.y.reshape(-1)[:0], sums),))


def _classes(spec: Spec, at: At, last: Forward) -> tuple[int, int]:
    """The first class of a part in width, and how many there are in all."""
    own = last.y.shape[-1]
    return at.branch * own, len(spec.partition.parts[at.part].spans) * own


def _not_finite(step: int, loss: float) -> NotFiniteError:
    return NotFiniteError(f"step {step}: the loss is {loss}; lower optimizer.lr, or set train.clip.norm")


@ignore_float_errors
def backward_part(
    spec: Spec,
    step: int,
    at: At,
    forward: Forward,
    above: Backward | list[Any],
    upper: Forward | None,
    shared: Any,
    before: Backward | None,
    after: Any,
    *owners: Lane,
) -> Backward:
    """A part of the model, backward. Sums that come from the loss pass through the last of them.

    Where the operation that follows shares statistics, its backward pass begins here: `upper` is what it has
    saved, `shared` what all lanes have gathered. Where the first shares, what it gathers is handed on.
    `before`: what the micro-batch before gave here, to be added to. Where `above` is a list, it is what flows
    back to a tile from the part that follows, and the edges of that which flow back from others.
    """
    cut = spec.partition
    if isinstance(above, list):
        above = with_edges(above[0], above[1:], cut.parts[at.part + 1].strips[at.branch])
    part, operations = cut.parts[at.part], cut.operations(at.track, at.branch)
    params, (buffers, out) = parameters_of(spec, at, owners), gradient_space(spec, at)
    ctx = context(spec, step, at, out)
    saved = _saved(forward, operations, (part.first, part.stop), params, ctx)
    flow = program.Flow(gradient_into(spec, at, above), None, above.held)
    if upper is not None:
        total = gathered_by(shared)
        first = _saved(upper, operations, (part.stop, part.stop + 1), params, ctx)[0]
        dx, grads = program.backward_shared(operations, part.stop, params, first, flow.x, total, ctx)
        collect(grads, out)
        flow = flow._replace(x=dx)
    leading = part.first < part.stop and operations[part.first].shares
    rest = (part.first + leading, part.stop)
    flow, grads = program.backward(operations, rest, params, saved[leading:], flow, ctx, cut.first_trained)
    collect(grads, out)
    sums = None
    if leading:
        sums = program.gather_backward(operations, part.first, params, saved[0], flow.x, ctx)
    gradients = gradients_from(spec, at, buffers, above, before)
    return Backward(flow.x, gradients, () if part.section else flow.held, sums)


def gradient_space(spec: Spec, at: At) -> tuple[list[Array], Params]:
    """(a buffer of zeros for each span of a part's parameters, their views by name)."""
    cut = spec.partition
    spans = cut.parts[at.part].spans[at.branch]
    buffers = [spec.xp.zeros(s.stop - s.start, dtype=spec.precision) for s in spans]
    out: Params = {}
    for span, buffer in zip(spans, buffers, strict=True):
        program.merge(out, cut.places[span.place].table.views(buffer, span.start))
    return buffers, out


def gradients_from(
    spec: Spec, at: At, buffers: Sequence[Array], above: Backward, before: Backward | None
) -> tuple[Gradient, ...]:
    """The gradients of a part, those of the micro-batch before added; the last carries the loss's sums."""
    part = spec.partition.parts[at.part]
    last = part.stop == len(spec.partition.program) and at.branch == 0
    carried = above.gradients[0].sums if last else ()
    gradients = tuple(Gradient(b, (), s.start) for s, b in zip(part.spans[at.branch], buffers, strict=True))
    gradients = (gradients[0]._replace(sums=carried), *gradients[1:])
    return gradients if before is None else tuple(map(_added, gradients, before.gradients))


def _saved(
    forward: Forward, operations: program.Program, span: tuple[int, int], params: Params, ctx: Context
) -> Any:
    """What operations have saved for their backward pass; computed again, where only inputs were kept."""
    saved = forward.saved
    if isinstance(saved, Kept):
        _, saved = program.forward(operations, span, params, saved.flow, ctx, saved.shared)
    return saved


def gradient_into(spec: Spec, at: At, above: Backward) -> Array:
    """A branch's share of the gradient of outputs that were laid side by side; else all of it."""
    dy, cut = above.dx, spec.partition
    section, branches = cut.parts[at.part].section, len(cut.parts[at.part].spans)
    own = cut.splits_loss and at.part == len(cut.parts) - 1
    if section is None or section.sums or own or dy is None:
        return dy
    each = dy.shape[-1] // branches
    return array_module(dy).ascontiguousarray(dy[..., at.branch * each : (at.branch + 1) * each])


def _added(gradient: Gradient, before: Gradient) -> Gradient:
    """The sum, in a buffer that is the first one's own."""
    buffer = gradient.buffer
    buffer += before.buffer
    return Gradient(buffer, add_sums(before.sums, gradient.sums), gradient.start)


def join_forward(sums: bool, before: Chunk | Forward, *branches: Forward) -> Forward:
    """The outputs of all branches, summed or side by side. `before`: what flowed into them."""
    first, held = branches[0], () if isinstance(before, Chunk) else before.held
    if not sums:
        y = array_module(first.y).concatenate([branch.y for branch in branches], axis=-1)
        return Forward(y, None, first.mask, held)
    return Forward(_sum([branch.y for branch in branches]), None, first.mask, held)


def join_backward(above: Backward, *branches: Backward) -> Backward:
    """The gradient of what flowed into all branches. `above`: what flowed back into them."""
    found = [branch.dx for branch in branches if branch.dx is not None]
    return Backward(_sum(found) if found else None, (), above.held)


def _sum(arrays: Sequence[Array]) -> Array:
    total = arrays[0] + arrays[1] if len(arrays) > 1 else arrays[0]
    for array in arrays[2:]:
        total += array
    return total


def add_outputs(*branches: Forward | Backward) -> Forward | Backward:
    """A node of the tree over many branches: the sum of what they put out."""
    first = branches[0]
    if isinstance(first, Forward):
        return Forward(_sum([b.y for b in branches]), None, first.mask)  # type: ignore[union-attr]
    found = [b.dx for b in branches if b.dx is not None]  # type: ignore[union-attr]
    return Backward(_sum(found) if found else None, ())


def send_activation(value: Forward) -> Forward:
    """What other workers need of a forward pass: not what it saved."""
    return value._replace(saved=None)


def send_gradient(value: Backward) -> Backward:
    """What other workers need of a backward pass: not the gradients of parameters."""
    return value._replace(gradients=())


def send_targets(batch: Chunk) -> Chunk:
    """What the end of a model needs of a batch: not the examples."""
    return batch._replace(x=batch.x[:0])


def send_parameters(owner: Lane) -> Lane:
    """What other workers need of a state: not the optimizer's part of it."""
    return Lane(owner.state._replace(slots={}, log=()))


def pick_gradient(value: Any, index: int, start: int, stop: int) -> Gradient:
    """Elements `start` to `stop` of a place's buffer, of one of the gradients that a task handed on."""
    gradient = value.gradients[index] if isinstance(value, Backward) else gradient_of(value)
    offset = gradient.start
    first, last = max(start - offset, 0), max(stop - offset, 0)
    return Gradient(gradient.buffer[first:last], gradient.sums, max(start, offset))


def sums_of(value: Any) -> Sums:
    """The sums of loss and metrics that a gradient carries."""
    return gradient_of(value).sums


def reduce_sums(*values: Sums) -> Sums:
    """The sums of loss and metrics over all lanes."""
    return reduce(add_sums, values)


def reduce_moments(*values: Any) -> Array:
    """The moments that lanes have gathered for a layer that shares statistics, as of one."""
    return moments.combine(*map(gathered_by, values))


def reduce_statistics(*values: Any) -> Array:
    """The sum of what lanes have gathered on the way back through such a layer, in the order given."""
    first, *others = map(gathered_by, values)
    return sum(others, first)


def gathered_by(value: Any) -> Any:
    """Return what a lane's task has gathered, or a node of the tree; None where nothing is shared."""
    return value.sums if isinstance(value, Forward | Backward) else value
