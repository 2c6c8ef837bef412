"""The one interpreter of a model: a list of operations, run forward and backward, which can be cut anywhere.

Layers made of layers say what operations they stand for (`Layer.children`). They run them here; where
something within them has to meet other tasks they are taken apart, and a part of the list is run there. A cut
must carry from one part of the list to the next a `Flow`: the array, its mask, and the arrays that shortcuts
hold back meanwhile.

    residual: [a, b]                          fork  a  b  join
    residual: {layers: [a], shortcut: [c]}    fork  a  swap  c  join
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.fusion import FusedLayer
from daskpar.nn.fusions import reordered
from daskpar.nn.layer import (
    BatchStatistics,
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


class Flow(NamedTuple):
    """The values handed from operation to operation; backward, `x` is the gradient."""

    x: Array
    mask: Array | None = None
    held: tuple[Array, ...] = ()


def operations(model: Layer, apart: bool = False, meets: bool = True) -> tuple[Operation, ...]:
    """The operations of a model: its layers, with those taken apart that hold a layer that shares.

    With `apart` all layers made of layers are, but those with `remat`, which recompute as one. Where no lanes
    meet (`meets` is false) none need be, and none shares. Raises InputError where a layer that shares stands
    within one that cannot be taken apart.
    """
    return tuple(_flatten(model.children(), (), apart, meets))


def _flatten(program: Program, place: tuple[int, ...], apart: bool, meets: bool) -> Iterator[Operation]:
    for operation in reordered(program):
        path, layer = (*place, *operation.path), operation.layer
        if operation.role != "run":
            yield replace(operation, path=path)
            continue
        inner = parts(layer)
        whole = recomputes(layer) or not layer.children()
        shares = meets and any(map(synchronised, inner))
        if whole and shares and inner[1:]:
            raise InputError(
                f"{layer.kind}: a layer with sync: true cannot stand within it where several lanes train; "
                "take it out, or leave out remat"
            )
        if whole or not (operation.inline or shares or apart):
            yield replace(operation, path=path, alone=not meets)
        else:
            yield from _flatten(layer.children(), path, apart, meets)


def forward(
    program: Program,
    span: tuple[int, int],
    params: Params,
    flow: Flow,
    ctx: Context,
    sums: Array | None = None,
) -> tuple[Flow, list[Saved]]:
    """Run operations `span` of a program forward: (the values that flow on, values for the backward pass).

    `sums`: where the first of them shares, what it has gathered on all chunks; else a chunk is on its own.
    A residual hands on the mask that it was given, whatever its layers make of theirs.
    """
    saved: list[Saved] = []
    masks: list[Array | None] = []
    x, mask, held = flow
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
            held = (*held, x)
            masks.append(after)
        elif operation.role == "swap":
            x, held = held[-1], (*held[:-1], x)
            after = masks[-1] if masks else after
        else:
            x, held = held[-1] + x, held[:-1]
            after = masks.pop() if masks else after
        saved.append(keep)
        ctx = ctx.masked(after)
    return Flow(x, ctx.mask, held), saved


def _run(layer: Layer, params: Params, x: Array, ctx: Context) -> tuple[Array, Saved, Array | None]:
    """(output, values for the backward pass, mask of the output) of one layer."""
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
    """Run operations `span` of a program backward: (the gradient that flows on, gradients of the parameters).

    Gradients are nested as `params`. Nobody needs the gradient of what flows into operation `first`, or into
    one before it: it is None. With `needs`, an entry for each operation of the span, it says so in place of
    `first`. Where the pass may `consume` what was saved, `saved` is a list, and is emptied on the way.
    """
    grads: Params = {}
    x, _, held = flow
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
            x, found = _run_backward(operation.layer, params_here, keep, x, child)
            if operation.absent:
                absent = dict(operation.absent)
                found = {name: gradient for name, gradient in found.items() if name not in absent}
            put(grads, operation.path, found, child.out)
        elif operation.role == "fork":
            x, held = (held[-1] + x if needs[k] else None), held[:-1]
        elif operation.role == "swap":
            x, held = held[-1], (*held[:-1], x)
        else:
            held = (*held, x)
    return Flow(x, None, held), grads


def _run_backward(
    layer: Layer, params: Params, saved: Saved, dy: Array, ctx: Context
) -> tuple[Array, Params]:
    """(dx, gradients) of one layer."""
    if isinstance(layer, FusedLayer) and not layer.supports(dy):
        needs = needed(layer.operations, params, ctx.input_gradient)
        span = 0, len(layer.operations)
        flow, grads = backward(layer.operations, span, params, saved, Flow(dy), ctx, needs=needs)
        return flow.x, grads
    return layer.backward(params, saved, dy, ctx)


def needed(program: Program, params: Params, input_gradient: bool) -> list[bool]:
    """For each operation, whether the gradient of its input is needed.

    It is where something before it has parameters that are trained, or where that of the input of all is
    (`input_gradient`).
    """
    needs: list[bool] = []
    held: list[bool] = []
    now = input_gradient
    for operation in program:
        needs.append(now)
        if operation.role == "run":
            now = now or (operation.layer.trainable and bool(at(params, operation.path)))
        elif operation.role == "fork":
            held.append(now)
        elif operation.role == "swap":
            now, held[-1] = held[-1], now
        else:
            now = held.pop() or now
    return needs


def gather(program: Program, index: int, params: Params, flow: Flow, ctx: Context) -> Array | None:
    """The sums over a chunk that the next operation gathers; None where it does not share."""
    sharing = program[index].sharing if index < len(program) else None
    if sharing is None:
        return None
    params_here, child = _placed(program[index], params, ctx)
    return sharing.gather(params_here, flow.x, child.masked(flow.mask))


def gather_backward(
    program: Program, index: int, params: Params, saved: Saved, dy: Array, ctx: Context
) -> Array | None:
    """The sums over a chunk that an operation gathers on the way back; None where it does not share."""
    sharing = program[index].sharing
    if sharing is None:
        return None
    params_here, child = _placed(program[index], params, ctx)
    return sharing.gather_backward(params_here, saved, dy, child)


def backward_shared(
    program: Program, index: int, params: Params, saved: Saved, dy: Array, sums: Array, ctx: Context
) -> tuple[Array, Params]:
    """The backward pass of an operation that shares, with the sums of all chunks; gradients are nested."""
    sharing = program[index].sharing
    assert isinstance(sharing, BatchStatistics)
    params_here, child = _placed(program[index], params, ctx)
    grads: Params = {}
    dx, found = sharing.backward_with(params_here, saved, dy, sums, child)
    put(grads, program[index].path, found)
    return dx, grads


def _placed(operation: Operation, params: Params, ctx: Context) -> tuple[Params, Context]:
    return at(params, operation.path), ctx.within(operation.path)


def present(operation: Operation, params: Params, like: Array) -> Params:
    """The parameters of an operation, those that are absent as zeros."""
    own = at(params, operation.path)
    if not operation.absent:
        return own
    xp = array_module(like)
    return own | {name: xp.zeros(shape, dtype=like.dtype) for name, shape in operation.absent}
