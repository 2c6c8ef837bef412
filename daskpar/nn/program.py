"""A model as a list of operations, which can be cut anywhere: between layers and within blocks.

Layers made of layers are taken apart where something within them has to meet other tasks. What such a cut
must carry from one part of the list to the next is a `Flow`: the array, its mask, and the arrays that
shortcuts hold back meanwhile.

    residual: [a, b]                      fork  a  b  join
    residual: {layers: [a], shortcut: [c]}    fork  a  swap  c  join
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import InputError
from daskpar.nn.embedding import TiedEmbedding
from daskpar.nn.layer import Context, Layer, Params, Shape, Sharing
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.sequential import Residual, Sequential
from daskpar.nn.transformer import TransformerBlock


@dataclass(frozen=True)
class Operation:
    """One operation: `run` a layer, or `fork`, `swap` and `join` the branches of a residual.

    `path` is the layer's place in the model, which names its parameters; with `shallow` only those directly
    at that place are meant. `absent`: parameters (name, shape) that count as zero, because another part of
    the layer holds them. Where `alone`, a layer that shares statistics has nobody to share them with.
    """

    role: str
    path: tuple[int, ...]
    layer: Layer
    shallow: bool = False
    absent: tuple[tuple[str, Shape], ...] = ()
    alone: bool = False

    def holds(self, name: str) -> bool:
        """Whether the parameter of this name is the operation's."""
        place = "".join(f"{index}." for index in self.path)
        own = self.role == "run" and name.startswith(place)
        return own and not (self.shallow and "." in name[len(place) :])

    @property
    def sharing(self) -> Sharing | None:
        """The layer, where its statistics are those of the whole batch."""
        if isinstance(self.layer, Sharing) and synchronised(self.layer) and not self.alone:
            return self.layer
        return None

    @property
    def shares(self) -> bool:
        return self.sharing is not None


def holder(operations: Iterable[Operation]) -> Callable[[str], bool]:
    """Return a test for names of parameters: does one of these operations hold it?"""
    places: dict[bool, set[str]] = {False: set(), True: set()}
    for operation in operations:
        if operation.role == "run":
            places[operation.shallow].add(".".join(map(str, operation.path)))

    def holds(name: str) -> bool:
        outer = accumulate(name.split(".")[:-1], "{}.{}".format)
        return name.rpartition(".")[0] in places[True] or any(place in places[False] for place in outer)

    return holds


def synchronised(layer: Layer) -> bool:
    """Whether a layer asks for statistics of the whole batch."""
    return bool(getattr(layer, "sync", False))


Program = Sequence[Operation]


class Flow(NamedTuple):
    """What is handed from operation to operation; backward, `x` is the gradient."""

    x: Array
    mask: Array | None = None
    held: tuple[Array, ...] = ()


def operations(model: Sequential, apart: bool = False, meets: bool = True) -> tuple[Operation, ...]:
    """The operations of a model: its layers, with those taken apart that hold a layer that shares.

    With `apart` all layers made of layers are, but those with `remat`, which recompute as one. Where no lanes
    meet (`meets` is false) none need be, and none shares.
    """
    return tuple(_flatten(model.layers, (), apart, meets))


def _flatten(layers: Sequence[Layer], path: tuple[int, ...], *how: bool) -> Iterator[Operation]:
    apart, meets = how
    for i, layer in enumerate(layers):
        here = (*path, i)
        inner = layer.inner if isinstance(layer, TransformerBlock) else layer
        must = meets and any(map(synchronised, parts(inner)))
        if not parts(inner)[1:] or not (must or (apart and not getattr(inner, "remat", False))):
            yield Operation("run", here, layer, alone=not meets)
        elif isinstance(inner, TiedEmbedding):
            first, last = inner.ends
            yield Operation("run", here, first, shallow=True)
            yield from _flatten(inner.layers, here, *how)
            yield Operation("run", here, last, shallow=True)
        elif getattr(inner, "remat", False) or not isinstance(inner, Sequential | Residual):
            raise InputError(
                f"{layer.kind}: a layer with sync: true cannot stand within it where several lanes train; "
                "take it out, or leave out remat"
            )
        elif isinstance(inner, Sequential):
            yield from _flatten(inner.layers, here, *how)
        else:
            yield Operation("fork", here, inner)
            yield from _flatten(inner.layers, here, *how)
            if inner.shortcut:
                yield Operation("swap", here, inner)
                yield from _flatten(inner.shortcut, (*here, len(inner.layers)), *how)
            yield Operation("join", here, inner)


def parts(layer: Layer) -> list[Layer]:
    """A layer and all layers within it."""
    inner = layer.inner if isinstance(layer, TransformerBlock) else layer
    within = [*getattr(inner, "layers", ()), *getattr(inner, "shortcut", ())]
    return [layer, *(found for part in within for found in parts(part))]


def boundaries(program: Program, every_layer: bool) -> list[int]:
    """Where a program is cut: before layers that share, and with `every_layer` before each layer."""
    starts = [0]
    for i in range(1, len(program)):
        now, before = program[i], program[i - 1]
        opens = now.role == "run" and before.role != "fork"
        forks = now.role == "fork" and not (i + 1 < len(program) and program[i + 1].shares)
        if now.shares or (every_layer and (opens or forks)):
            starts.append(i)
    return [*starts, len(program)]


def shares_at(program: Program, index: int) -> bool:
    """Whether there is an operation at `index`, and one that shares."""
    return index < len(program) and program[index].shares


def differentiated(program: Program, span: tuple[int, int]) -> tuple[int, int]:
    """The operations whose backward pass ends in the part `span`.

    One that shares is at the head of its part, but is differentiated in the part before, which is the first
    to know what all chunks have gathered. Where it is the first of all, that part is empty.
    """
    first, stop = span
    return first + (first < stop and program[first].shares), stop + shares_at(program, stop)


def forward(
    program: Program,
    span: tuple[int, int],
    params: Params,
    flow: Flow,
    ctx: Context,
    sums: Any = None,
) -> tuple[Flow, list[Any]]:
    """Operations `span` of a program, forward: what flows on, and what the backward pass needs.

    `sums`: where the first of them shares, what it has gathered on all chunks; else a chunk is on its own.
    """
    saved: list[Any] = []
    x, mask, held = flow
    for i in range(*span):
        operation = program[i]
        keep = None
        if operation.role == "fork":
            held = (*held, x)
        elif operation.role == "swap":
            x, held = held[-1], (*held[:-1], x)
        elif operation.role == "join":
            x, held = held[-1] + x, held[:-1]
        else:
            own, child = present(operation, params, x), placed(ctx, operation.path).masked(mask)
            if sums is not None and i == span[0] and operation.sharing is not None:
                x, keep = operation.sharing.forward_with(own, x, sums, child)
            else:
                x, keep, mask = operation.layer.run(own, x, child)
        saved.append(keep)
    return Flow(x, mask, held), saved


def backward(
    program: Program,
    span: tuple[int, int],
    params: Params,
    saved: Sequence[Any],
    flow: Flow,
    ctx: Context,
    first: int = 0,
) -> tuple[Flow, Params]:
    """Operations `span` of a program, backward: (the gradient that flows on, gradients of the parameters).

    Gradients are nested as `params`. Nobody needs the gradient of what flows into operation `first`, or into
    one before it: it is None.
    """
    grads: Params = {}
    x, _, held = flow
    for i in reversed(range(*span)):
        operation = program[i]
        if i < first:
            return Flow(None), grads
        if operation.role == "fork":
            x, held = held[-1] + x, held[:-1]
        elif operation.role == "swap":
            x, held = held[-1], (*held[:-1], x)
        elif operation.role == "join":
            held = (*held, x)
        else:
            own, child = present(operation, params, x), placed(ctx, operation.path, i > first)
            x, found = operation.layer.backward(own, saved[i - span[0]], x, child)
            absent = dict(operation.absent)
            put(grads, operation.path, {name: g for name, g in found.items() if name not in absent})
    return Flow(x, None, held), grads


def gather(program: Program, index: int, params: Params, flow: Flow, ctx: Context) -> Array | None:
    """What the operation that comes next gathers of a chunk; None where it does not share."""
    operation = program[index] if index < len(program) else None
    if operation is None or operation.sharing is None:
        return None
    child = placed(ctx, operation.path).masked(flow.mask)
    return operation.sharing.gather(at(params, operation.path), flow.x, child)


def gather_backward(
    program: Program, index: int, params: Params, saved: Any, dy: Array, ctx: Context
) -> Array | None:
    """What an operation gathers of a chunk on the way back; None where it does not share."""
    operation = program[index]
    if operation.sharing is None:
        return None
    child = placed(ctx, operation.path)
    return operation.sharing.gather_backward(at(params, operation.path), saved, dy, child)


def backward_shared(
    program: Program, index: int, params: Params, saved: Any, dy: Array, sums: Any, ctx: Context
) -> tuple[Array, Params]:
    """The backward pass of an operation that shares, with the sums of all chunks; gradients are nested."""
    operation = program[index]
    assert operation.sharing is not None
    child = placed(ctx, operation.path)
    grads: Params = {}
    dx, found = operation.sharing.backward_with(at(params, operation.path), saved, dy, sums, child)
    put(grads, operation.path, found)
    return dx, grads


def at(params: Params, path: tuple[int, ...]) -> Params:
    """The parameters of the layer at a place."""
    for index in path:
        params = params.get(str(index), {})
    return params


def present(operation: Operation, params: Params, like: Array) -> Params:
    """The parameters of an operation, those that are absent as zeros."""
    own = at(params, operation.path)
    if not operation.absent:
        return own
    xp = array_module(like)
    return own | {name: xp.zeros(shape, dtype=like.dtype) for name, shape in operation.absent}


def put(grads: Params, path: tuple[int, ...], found: Params) -> None:
    """Put the gradients of the layer at a place into nested dicts; adds to those that are there."""
    for index in path:
        grads = grads.setdefault(str(index), {})
    for name, gradient in found.items():
        if name in grads and not isinstance(gradient, dict):
            gradient = grads[name] + gradient
        grads[name] = gradient


def merge(into: Params, other: Params) -> None:
    """Put nested dicts into others; what is there already stays."""
    for name, value in other.items():
        if isinstance(value, dict):
            merge(into.setdefault(name, {}), value)
        else:
            into.setdefault(name, value)


def placed(ctx: Context, path: tuple[int, ...], input_gradient: bool = True) -> Context:
    """The context of the layer at a place."""
    for index in path:
        ctx = ctx.child(index, input_gradient)
    return ctx


def extent(table: ParameterTable, program: Program, span: tuple[int, int]) -> tuple[int, int]:
    """The slice of the flat buffer that holds the parameters of operations `span`."""
    return table.extent(holder(program[slice(*span)]))


def first_trained(table: ParameterTable, program: Program) -> int:
    """The first operation that has parameters: the backward pass need not go further."""
    held = (i for i, op in enumerate(program) if any(op.holds(entry.name) for entry in table.entries))
    return next(held, 0)


def shapes(program: Program, in_shape: Shape) -> list[tuple[Shape, Shape]]:
    """The shapes of an example before and after each operation."""
    found: list[tuple[Shape, Shape]] = []
    held: list[Shape] = []
    shape = in_shape
    for operation in program:
        before = shape
        if operation.role == "fork":
            held.append(shape)
        elif operation.role == "swap":
            held[-1], shape = shape, held[-1]
        elif operation.role == "join":
            held.pop()
        else:
            shape = operation.layer.init(np.random.default_rng(0), shape)[1]
        found.append((before, shape))
    return found
