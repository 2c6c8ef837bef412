"""The summary of a model, layer by layer: parameters, operations, bytes saved for the backward pass."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from daskpar.nn.container import Container
from daskpar.nn.fusion import FusedLayer
from daskpar.nn.fusions import reordered
from daskpar.nn.layer import Context, Layer, Program, Saved, Shape
from daskpar.nn.layers.sequential import Sequential
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.spans import shapes

_ROWS = 2  # rows that the model runs on, to measure the values that it saves


@dataclass(frozen=True)
class Row:
    """One layer, or a block of layers with the sums of its layers, which follow one level deeper.

    Args:
        number: Place of the layer, as in the names of its parameters.
        depth: Number of blocks around it.
        layer: Kind of the layer.
        arguments: Arguments that differ from their defaults.
        out_shape: Shape of the outputs for one example.
        parameters: Number of elements of its parameters.
        flops: Floating-point operations for one example.
        kept_bytes: Bytes that are saved for the backward pass of one example. An array that several layers
            save counts for the first of them.
        frozen: Number of elements that are not trained. Default: 0.
    """

    number: str
    depth: int
    layer: str
    arguments: str
    out_shape: Shape
    parameters: int
    flops: int
    kept_bytes: int
    frozen: int = 0


def summarise(
    model: Sequential, in_shape: Shape, table: ParameterTable | None = None, measured: bool = True
) -> tuple[Row, ...]:
    """Return a row for each layer of a model, which is run in float32.

    Args:
        model: The model.
        in_shape: Shape of one example.
        table: Table of its parameters with those that are frozen. Default: None, none is frozen.
        measured: Run the model to count the bytes that it saves, which are 0 otherwise. Default: True.

    Raises:
        InputError: The shapes do not fit.
    """
    if table is not None and not measured:
        return tuple(_rows(model, "", in_shape, None, 0, _counts(table), set()))
    params, _ = model.init(np.random.default_rng(0), in_shape)
    table = table or ParameterTable.of(params)
    buffer = table.flatten(params, "float32")
    x = np.zeros((_ROWS, *in_shape), dtype="int32" if model.tokens else "float32")
    with np.errstate(all="ignore"):  # the inputs are zeros, and the outputs are not used
        _, saved, _ = model.run(table.views(buffer), x, Context(training=True))
    return tuple(_rows(model, "", in_shape, saved, 0, _counts(table), {id(buffer), id(x)}))


class _Counts(NamedTuple):
    """The numbers of parameters by layer, and of frozen ones."""

    all: Counter[str]
    frozen: Counter[str]


def _counts(table: ParameterTable) -> _Counts:
    """Count parameters by layer, e.g. 3.0.weight for "3" and for "3.0", without running statistics."""
    counts = _Counts(Counter(), Counter())
    for entry in table.entries:
        if not entry.is_statistic:
            path = entry.name.split(".")
            for end in range(1, len(path)):
                place, size = ".".join(path[:end]), math.prod(entry.shape)
                counts.all[place] += size
                counts.frozen[place] += size * entry.frozen
    return counts


def _rows(
    block: Layer, prefix: str, shape: Shape, saved: Saved, depth: int, counts: _Counts, seen: set[int]
) -> Iterator[Row]:
    for path, layer, in_shape, out_shape, keep in _parts(block, shape, saved):
        name = prefix + ".".join(map(str, path))
        inner = list(_rows(layer, f"{name}.", in_shape, keep, depth + 1, counts, seen))
        parts = sum(row.kept_bytes for row in inner if row.depth == depth + 1)
        kept = parts + new_bytes(keep, seen) // _ROWS
        flops = layer.flops(in_shape, out_shape)
        parameters, frozen = counts.all[name], counts.frozen[name]
        yield Row(name, depth, layer.kind, _arguments(layer), out_shape, parameters, flops, kept, frozen)
        yield from inner


class _Inner(NamedTuple):
    """A layer directly within a block: its place, its shapes, and the values that it saved."""

    path: tuple[int, ...]
    layer: Layer
    in_shape: Shape
    out_shape: Shape
    saved: Saved


def _parts(block: Layer, shape: Shape, saved: Saved) -> Iterator[_Inner]:
    """Yield the layers directly within a block, in the order in which they run."""
    children = reordered(block.children())
    kept = _by_place(block.program, saved) if isinstance(block, Container) else {}
    for child, (before, after) in zip(children, shapes(children, shape), strict=True):
        if child.role != "run" or child.shallow:
            continue
        keep = kept.get(child.path)
        if child.inline and keep is None:
            keep = _under(child.path, kept)
        if child.inline and not child.path:
            yield from _parts(child.layer, before, keep)
        else:
            yield _Inner(child.path, child.layer, before, after, keep)


def _by_place(program: Program, saved: Saved) -> dict[tuple[int, ...], Saved]:
    """Return the values that layers saved, by their places; none for a block that saves only its input."""
    by_place: dict[tuple[int, ...], Saved] = {}
    if not isinstance(saved, list):
        return saved if isinstance(saved, dict) else by_place
    for operation, keep in zip(program, saved, strict=True):
        if isinstance(operation.layer, FusedLayer):
            by_place |= _by_place(operation.layer.operations, keep)
        elif operation.role == "run" and not operation.shallow:
            by_place[operation.path] = keep
    return by_place


def _under(path: tuple[int, ...], kept: dict[tuple[int, ...], Saved]) -> dict[tuple[int, ...], Saved]:
    """Return the values saved by layers at a place and within it, by their places from there."""
    return {place[len(path) :]: keep for place, keep in kept.items() if place[: len(path)] == path}


def new_bytes(saved: object, seen: set[int]) -> int:
    """Return the bytes of the arrays within `saved` that are not among `seen`, and add them to `seen`.

    A view counts as the whole array of which it is a part. `seen` are ids of arrays.
    """
    total = 0
    for array in _arrays(saved):
        while isinstance(array.base, np.ndarray):
            array = array.base
        if id(array) not in seen:
            seen.add(id(array))
            total += array.nbytes
    return total


def _arrays(value: object) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _arrays(part)
    elif isinstance(value, dict):
        yield from _arrays(list(value.values()))
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _arrays([getattr(value, f.name) for f in fields(value)])


def _arguments(layer: Layer) -> str:
    """Return the arguments that differ from their defaults, without layers, which have rows of their own."""
    arguments = []
    for field in sorted(fields(layer), key=attrgetter("kw_only")):  # arguments that all layers have come last
        value = getattr(layer, field.name)
        if value != field.default and not (
            isinstance(value, tuple) and value and isinstance(value[0], Layer)
        ):
            arguments.append(f"{field.name}={value}")
    return " ".join(arguments)
