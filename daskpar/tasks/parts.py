"""Tasks that run a part of a model on a micro-batch, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from daskpar.backend.array import Array, array_module
from daskpar.data.chunk import Chunk
from daskpar.layout.arguments import PassId
from daskpar.nn import operations as program
from daskpar.nn.layer import Context, Params
from daskpar.nn.parameters import collect
from daskpar.tasks.gradient import add_sums, ignore_float_errors
from daskpar.tasks.moves import gathered_by
from daskpar.tasks.rows import with_edges, with_halo
from daskpar.tasks.types import Backward, Forward, Gradient, Lane, Spec


class PartInput(NamedTuple):
    """The saved input of a part whose activations are computed again in the backward pass."""

    flow: program.Flow
    shared: Any


def rows_of(spec: Spec, step: int, pass_id: PassId) -> tuple[int, slice]:
    """Return the place of a micro-batch's first row in the global batch, and its rows within its lane."""
    (_, within), micros = spec.order.place(step), spec.layout.microbatches
    streams = spec.streams(spec.layout.lane_of(pass_id.track))
    rows = spec.order.count(within, streams)
    start, stop = pass_id.micro * rows // micros, (pass_id.micro + 1) * rows // micros
    return spec.order.count(within, range(streams.start)) + start, slice(start, stop)


def context(spec: Spec, step: int, pass_id: PassId, out: Params | None = None) -> Context:
    """Return the context of a training pass; layers write gradients into `out`, if there is one."""
    return Context(True, spec.seed, step, rows_of(spec, step, pass_id)[0], out=out)


def parameters_of(spec: Spec, pass_id: PassId, owners: Sequence[Lane]) -> Params:
    """Return the parameters of a part, from the states of their owners."""
    return spec.partition.views(pass_id.part, pass_id.branch, [owner.state.params for owner in owners])


def flow_into(spec: Spec, step: int, pass_id: PassId, value: Chunk | Forward) -> program.Flow:
    """Return the values that flow into a part: rows of a batch, or the outputs of the part before."""
    if isinstance(value, Chunk):
        return program.Flow(value.x[rows_of(spec, step, pass_id)[1]])
    return program.Flow(value.y, value.mask, value.held)


@ignore_float_errors
def forward_part(
    spec: Spec,
    step: int,
    pass_id: PassId,
    value: Chunk | Forward | list[Any],
    shared: Any,
    after: Any,
    *owners: Lane,
) -> Forward:
    """Run a part of the model forward on a micro-batch; return its outputs and the saved values.

    Args:
        spec: The run.
        step: Number of the step.
        pass_id: The part and the rows.
        value: A lane's batch or the outputs of the part before; for a tile a list of its own value and the
            rows of its neighbours.
        shared: Statistics of all lanes, if the first operation is synchronised.
        after: Value of the task that the schedule puts before this one; it is not used.
        owners: States with the parameters.
    """
    partition = spec.partition
    part, operations = partition.parts[pass_id.part], partition.operations(pass_id.track, pass_id.branch)
    if isinstance(value, list):
        value = with_halo(value[0], value[1:], part.strips[pass_id.branch])
    flow = flow_into(spec, step, pass_id, value)
    ctx, params = context(spec, step, pass_id), parameters_of(spec, pass_id, owners)
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
    return out, PartInput(flow, sums) if recompute else saved


@ignore_float_errors
def backward_part(
    spec: Spec,
    step: int,
    pass_id: PassId,
    forward: Forward,
    above: Backward | list[Any],
    upper: Forward | None,
    shared: Any,
    before: Backward | None,
    after: Any,
    *owners: Lane,
) -> Backward:
    """Run a part of the model backward; return the gradients of its inputs and of its parameters.

    The sums of the loss pass through the last part. If the next part begins with a synchronised operation,
    the backward pass of that operation is completed here, with the statistics of all lanes. If this part
    begins with one, its own statistics are returned.

    Args:
        spec: The run.
        step: Number of the step.
        pass_id: The part and the rows.
        forward: Value of the part's forward pass.
        above: Gradient of the outputs; for a tile a list of its own and those of its neighbours' rows.
        upper: Value of the next part's forward pass, if it begins with a synchronised operation.
        shared: Statistics of all lanes for that operation.
        before: Gradients of the micro-batch before, to which these are added.
        after: Value of the task that the schedule puts before this one; it is not used.
        owners: States with the parameters.
    """
    partition = spec.partition
    if isinstance(above, list):
        above = with_edges(above[0], above[1:], partition.parts[pass_id.part + 1].strips[pass_id.branch])
    part, operations = partition.parts[pass_id.part], partition.operations(pass_id.track, pass_id.branch)
    params, (buffers, out) = parameters_of(spec, pass_id, owners), gradient_space(spec, pass_id)
    ctx = context(spec, step, pass_id, out)
    saved = _saved(forward, operations, (part.first, part.stop), params, ctx)
    flow = program.Flow(gradient_into(spec, pass_id, above), None, above.held)
    if upper is not None:
        total = gathered_by(shared)
        first = _saved(upper, operations, (part.stop, part.stop + 1), params, ctx)[0]
        dx, grads = program.backward_shared(operations, part.stop, params, first, flow.x, total, ctx)
        collect(grads, out)
        flow = flow._replace(x=dx)
    leading = part.first < part.stop and operations[part.first].shares
    rest = (part.first + leading, part.stop)
    flow, grads = program.backward(
        operations, rest, params, saved[leading:], flow, ctx, partition.first_trained
    )
    collect(grads, out)
    sums = None
    if leading:
        sums = program.gather_backward(operations, part.first, params, saved[0], flow.x, ctx)
    gradients = gradients_from(spec, pass_id, buffers, above, before)
    return Backward(flow.x, gradients, () if part.section else flow.held, sums)


def gradient_space(spec: Spec, pass_id: PassId) -> tuple[list[Array], Params]:
    """Return a buffer of zeros for each span of a part's parameters, and their views by name."""
    partition = spec.partition
    spans = partition.parts[pass_id.part].spans[pass_id.branch]
    buffers = [spec.xp.zeros(s.stop - s.start, dtype=spec.precision) for s in spans]
    out: Params = {}
    for span, buffer in zip(spans, buffers, strict=True):
        program.merge(out, partition.places[span.place].table.views(buffer, span.start))
    return buffers, out


def gradients_from(
    spec: Spec, pass_id: PassId, buffers: Sequence[Array], above: Backward, before: Backward | None
) -> tuple[Gradient, ...]:
    """Return the gradients of a part, added to those of the micro-batch before.

    Those of the last part carry the sums of the loss.
    """
    part = spec.partition.parts[pass_id.part]
    last = part.stop == len(spec.partition.program) and pass_id.branch == 0
    carried = above.gradients[0].sums if last else ()
    gradients = tuple(
        Gradient(b, (), s.start) for s, b in zip(part.spans[pass_id.branch], buffers, strict=True)
    )
    gradients = (gradients[0]._replace(sums=carried), *gradients[1:])
    return gradients if before is None else tuple(map(_added, gradients, before.gradients))


def _saved(
    forward: Forward, operations: program.Program, span: tuple[int, int], params: Params, ctx: Context
) -> Any:
    """Return the values saved for the backward pass, computed again if only the input was saved."""
    saved = forward.saved
    if isinstance(saved, PartInput):
        _, saved = program.forward(operations, span, params, saved.flow, ctx, saved.shared)
    return saved


def gradient_into(spec: Spec, pass_id: PassId, above: Backward) -> Array:
    """Return a branch's share of the gradient of concatenated outputs; of other outputs all of it."""
    dy, partition = above.dx, spec.partition
    section, branches = partition.parts[pass_id.part].section, len(partition.parts[pass_id.part].spans)
    own = partition.splits_loss and pass_id.part == len(partition.parts) - 1
    if section is None or section.sums or own or dy is None:
        return dy
    each = dy.shape[-1] // branches
    return array_module(dy).ascontiguousarray(dy[..., pass_id.branch * each : (pass_id.branch + 1) * each])


def _added(gradient: Gradient, before: Gradient) -> Gradient:
    """Return the sum, in the buffer of the first, which belongs to this task."""
    buffer = gradient.buffer
    buffer += before.buffer
    return Gradient(buffer, add_sums(before.sums, gradient.sums), gradient.start)
