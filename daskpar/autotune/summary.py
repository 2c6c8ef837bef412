"""The costs of a network, layer by layer: parameters, operations, memory kept for the backward pass."""

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

_ROWS = 2  # that the network is run on: what it keeps is measured, not guessed


@dataclass(frozen=True)
class Row:
    """One layer, or a block of layers with the sums of its parts, which follow it one level deeper.

    `number`: its place, as in the names of its parameters. `flops`, `kept_bytes`: for one example.
    An array that several layers keep counts for the first of them. `frozen`: how many of the `parameters`
    are not trained.
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


def summarise(model: Sequential, in_shape: Shape, table: ParameterTable | None = None) -> tuple[Row, ...]:
    """A row for each layer of a model, run in float32. Raises InputError where shapes do not fit.

    `table`: the table of its parameters, where that tells which are frozen.
    """
    params, _ = model.init(np.random.default_rng(0), in_shape)
    table = table or ParameterTable.of(params)
    buffer = table.flatten(params, "float32")
    x = np.zeros((_ROWS, *in_shape), dtype="int32" if model.tokens else "float32")
    with np.errstate(all="ignore"):  # zeros are no data: what comes out is not looked at
        _, saved, _ = model.run(table.views(buffer), x, Context(training=True))
    return tuple(_rows(model, "", in_shape, saved, 0, _counts(table), {id(buffer), id(x)}))


class _Counts(NamedTuple):
    """Parameters by layer, and how many of them are frozen."""

    all: Counter[str]
    frozen: Counter[str]


def _counts(table: ParameterTable) -> _Counts:
    """Parameters by layer, e.g. of "3" and "3.0" for a parameter 3.0.weight; no running statistics."""
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


class _Part(NamedTuple):
    """A layer directly within a block: its place, its shapes, and the values that it saved."""

    path: tuple[int, ...]
    layer: Layer
    in_shape: Shape
    out_shape: Shape
    saved: Saved


def _parts(block: Layer, shape: Shape, saved: Saved) -> Iterator[_Part]:
    """The layers within a block in the order of computing; ends that share its parameters are left out."""
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
            yield _Part(child.path, child.layer, before, after, keep)


def _by_place(program: Program, saved: Saved) -> dict[tuple[int, ...], Saved]:
    """The values that layers saved, by their places; none for a block that keeps its input only."""
    found: dict[tuple[int, ...], Saved] = {}
    if not isinstance(saved, list):
        return saved if isinstance(saved, dict) else found
    for operation, keep in zip(program, saved, strict=True):
        if isinstance(operation.layer, FusedLayer):
            found |= _by_place(operation.layer.operations, keep)
        elif operation.role == "run" and not operation.shallow:
            found[operation.path] = keep
    return found


def _under(path: tuple[int, ...], kept: dict[tuple[int, ...], Saved]) -> dict[tuple[int, ...], Saved]:
    """The values saved by layers at a place and deeper, by their places from there."""
    return {place[len(path) :]: keep for place, keep in kept.items() if place[: len(path)] == path}


def new_bytes(saved: object, seen: set[int]) -> int:
    """Bytes of the memory that arrays within `saved` lie in and that is not among `seen`, which it joins.

    A view keeps the whole array that it looks into.
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
    """The arguments that are not as usual, those that are layers left out: they have rows of their own."""
    given = []
    for field in sorted(fields(layer), key=attrgetter("kw_only")):  # what all layers have comes last
        value = getattr(layer, field.name)
        if value != field.default and not (
            isinstance(value, tuple) and value and isinstance(value[0], Layer)
        ):
            given.append(f"{field.name}={value}")
    return " ".join(given)
