"""The interpreter of models: a list of operations, run forward and backward, that can be cut anywhere.

A layer that contains layers lists its operations (`Layer.children`) and is run by this interpreter. If
something inside it must synchronise with other tasks, its operations become part of the list. From one part
of the list to the next, a `Flow` must be passed: the array, its mask, and the arrays of open shortcuts.

    residual: [a, b]                          fork  a  b  join
    residual: {layers: [a], shortcut: [c]}    fork  a  swap  c  join
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.flow import Flow
from daskpar.nn.fusion import FusedLayer
from daskpar.nn.fusions import reordered
from daskpar.nn.layer import (
    Context,
    Layer,
    Operation,
    Params,
    Program,
    Saved,
    Shape,
    synchronised,
)
from daskpar.nn.nested import at, merge, put
from daskpar.nn.parts import parts, recomputes
from daskpar.nn.shared_statistics import backward_shared, gather, gather_backward
from daskpar.nn.spans import (
    boundaries,
    differentiated,
    extent,
    first_trained,
    holder,
    shapes,
    shares_at,
)

__all__ = [
    "Flow",
    "Operation",
    "Program",
    "Shape",
    "at",
    "backward",
    "backward_shared",
    "boundaries",
    "differentiated",
    "extent",
    "first_trained",
    "forward",
    "gather",
    "gather_backward",
    "holder",
    "merge",
    "needed",
    "operations",
    "parts",
    "present",
    "put",
    "shapes",
    "shares_at",
    "synchronised",
]


def operations(model: Layer, apart: bool = False, sync: bool = True) -> tuple[Operation, ...]:
    """Return the operations of a model.

    A layer that contains layers is one operation. It is taken apart if one of them shares statistics with
    other lanes.

    Args:
        model: The model.
        apart: Take all layers apart, except those with `remat`, which are recomputed as one. Default: False.
        sync: True if lanes synchronise within a step. If not, no layer shares statistics. Default: True.

    Raises:
        InputError: A layer that shares statistics is within a layer that cannot be taken apart.
    """
    return tuple(_flatten(model.children(), (), apart, sync))


def _flatten(program: Program, place: tuple[int, ...], apart: bool, sync: bool) -> Iterator[Operation]:
    """Yield the operations of a program at a place in the model."""
    for operation in reordered(program):
        path, layer = (*place, *operation.path), operation.layer
        if operation.role != "run":
            yield replace(operation, path=path)
            continue
        inner = parts(layer)
        whole = recomputes(layer) or not layer.children()
        shares = sync and any(map(synchronised, inner))
        if whole and shares and inner[1:]:
            raise InputError(
                f"{layer.kind}: a layer with sync: true cannot be inside it if several lanes train; "
                "take it out, or leave out remat"
            )
        if whole or not (operation.inline or shares or apart):
            yield replace(operation, path=path, alone=not sync)
        else:
            yield from _flatten(layer.children(), path, apart, sync)


def forward(
    program: Program,
    span: tuple[int, int],
    params: Params,
    flow: Flow,
    ctx: Context,
    sums: Array | None = None,
) -> tuple[Flow, list[Saved]]:
    """Run operations `span` of a program forward. Return the values that flow on, and those for `backward`.

    `sums` are those of all chunks, if the first operation shares statistics. None computes with the sums of
    this chunk. The output of a residual has the mask of its input, whatever masks its layers return.
    """
    saved: list[Saved] = []
    masks: list[Array | None] = []
    x, mask, shortcuts = flow
    ctx = ctx.masked(mask)
    for i in range(*span):
        operation = program[i]
        keep, after = None, ctx.mask
        if operation.role == "run":
            params_here, child = present(operation, params, x), ctx.within(operation.path)
            sharing = operation.sharing if sums is not None and i == span[0] else None
            if sharing is not None:
                x, keep = sharing.forward_with(params_here, x, sums, child)
            else:
                x, keep, after = _run(operation.layer, params_here, x, child)
        elif operation.role == "fork":
            shortcuts = (*shortcuts, x)
            masks.append(after)
        elif operation.role == "swap":
            x, shortcuts = shortcuts[-1], (*shortcuts[:-1], x)
            after = masks[-1] if masks else after
        else:
            x, shortcuts = shortcuts[-1] + x, shortcuts[:-1]
            after = masks.pop() if masks else after
        saved.append(keep)
        ctx = ctx.masked(after)
    return Flow(x, ctx.mask, shortcuts), saved


def _run(layer: Layer, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved, Array | None]:
    """Return the output of one layer, the values for its backward pass, and the mask of the output."""
    if isinstance(layer, FusedLayer) and not layer.supports(x):
        span = 0, len(layer.operations)
        flow, saved = forward(layer.operations, span, params, Flow(x, ctx.mask), ctx)
        return flow.x, saved, flow.mask
    return layer.run(params, x, ctx)


def backward(
    program: Program,
    span: tuple[int, int],
    params: Params,
    saved: Sequence[Saved],
    flow: Flow,
    ctx: Context,
    first: int = 0,
    needs: Sequence[bool] | None = None,
) -> tuple[Flow, Params]:
    """Run operations `span` of a program backward.

    Return the gradient that flows on, and those of parameters, nested as `params`.

    Args:
        program: All operations of the model.
        span: First operation, and the one after the last.
        params: Nested parameters.
        saved: Values from `forward`, one entry for each operation of the span. If `ctx.consume`, it must be a
            list, and its entries are released one after the other.
        flow: Gradient of the output, and of the open shortcuts.
        ctx: The pass.
        first: Operation whose input needs no gradient, nor do those before it. Their gradient is None.
        needs: For each operation of the span, whether its input needs a gradient. It replaces `first`.
    """
    grads: Params = {}
    x, _, shortcuts = flow
    if needs is None:
        needs = [i > first for i in range(*span)]
    else:
        first = span[0]
    for i in reversed(range(*span)):
        if i < first:
            return Flow(None), grads
        operation, k = program[i], i - span[0]
        if operation.role == "run":
            params_here, keep = present(operation, params, x), saved[k]
            if ctx.consume and isinstance(saved, list):
                saved[k] = None
            if not needs[k] and not (params_here and operation.layer.trainable):
                x = None
                continue
            child = ctx.within(operation.path, needs[k])
            x, gradients = _run_backward(operation.layer, params_here, keep, x, child)
            if operation.absent:
                absent = dict(operation.absent)
                gradients = {name: gradient for name, gradient in gradients.items() if name not in absent}
            put(grads, operation.path, gradients, child.out)
        elif operation.role == "fork":
            x, shortcuts = (shortcuts[-1] + x if needs[k] else None), shortcuts[:-1]
        elif operation.role == "swap":
            x, shortcuts = shortcuts[-1], (*shortcuts[:-1], x)
        else:
            shortcuts = (*shortcuts, x)
    return Flow(x, None, shortcuts), grads


def _run_backward(
    layer: Layer, params: Params, saved: Saved, dy: Array, ctx: Context
) -> tuple[Array, Params]:
    """Return dx and the gradients of one layer."""
    if isinstance(layer, FusedLayer) and not layer.supports(dy):
        needs = needed(layer.operations, params, ctx.input_gradient)
        span = 0, len(layer.operations)
        flow, grads = backward(layer.operations, span, params, saved, Flow(dy), ctx, needs=needs)
        return flow.x, grads
    return layer.backward(params, saved, dy, ctx)


def needed(program: Program, params: Params, input_gradient: bool) -> list[bool]:
    """Return for each operation whether its input needs a gradient.

    It does if an operation before it has parameters that are trained, or if the input of the program needs a
    gradient (`input_gradient`).
    """
    needs: list[bool] = []
    shortcuts: list[bool] = []
    now = input_gradient
    for operation in program:
        needs.append(now)
        if operation.role == "run":
            now = now or (operation.layer.trainable and bool(at(params, operation.path)))
        elif operation.role == "fork":
            shortcuts.append(now)
        elif operation.role == "swap":
            now, shortcuts[-1] = shortcuts[-1], now
        else:
            now = shortcuts.pop() or now
    return needs


def present(operation: Operation, params: Params, like: Array) -> Params:
    """Return the parameters of an operation, with zeros for those that are absent."""
    named = at(params, operation.path)
    if not operation.absent:
        return named
    xp = array_module(like)
    return named | {name: xp.zeros(shape, dtype=like.dtype) for name, shape in operation.absent}
