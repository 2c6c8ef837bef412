"""Operations that share statistics: their sums over a chunk are added over all chunks of a batch.

    chunk 0   forward ... gather ─┐             ┌─> forward_with the sums ...
                                  ├─ combine ───┤
    chunk 1   forward ... gather ─┘             └─> forward_with the sums ...

The backward pass does the same with `gather_backward` and `backward_with`.
"""

from __future__ import annotations

from daskpar.backend.array import Array
from daskpar.nn.flow import Flow
from daskpar.nn.layer import BatchStatistics, Context, Operation, Params, Program, Saved
from daskpar.nn.nested import at, put


def gather(program: Program, index: int, params: Params, flow: Flow, ctx: Context) -> Array | None:
    """Return the sums over a chunk that the next operation needs of all chunks; None if it shares nothing."""
    sharing = program[index].sharing if index < len(program) else None
    if sharing is None:
        return None
    params_here, child = _placed(program[index], params, ctx)
    return sharing.gather(params_here, flow.x, child.masked(flow.mask))


def gather_backward(
    program: Program, index: int, params: Params, saved: Saved, dy: Array, ctx: Context
) -> Array | None:
    """Return the sums over a chunk that the backward pass of an operation needs of all chunks, or None."""
    sharing = program[index].sharing
    if sharing is None:
        return None
    params_here, child = _placed(program[index], params, ctx)
    return sharing.gather_backward(params_here, saved, dy, child)


def backward_shared(
    program: Program, index: int, params: Params, saved: Saved, dy: Array, sums: Array, ctx: Context
) -> tuple[Array, Params]:
    """Return dx and nested gradients of an operation that shares statistics, from the sums of all chunks."""
    sharing = program[index].sharing
    assert isinstance(sharing, BatchStatistics)
    params_here, child = _placed(program[index], params, ctx)
    grads: Params = {}
    dx, gradients = sharing.backward_with(params_here, saved, dy, sums, child)
    put(grads, program[index].path, gradients)
    return dx, grads


def _placed(operation: Operation, params: Params, ctx: Context) -> tuple[Params, Context]:
    """Return the parameters of an operation, and the pass as seen by it."""
    return at(params, operation.path), ctx.within(operation.path)
