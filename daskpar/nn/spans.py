"""Spans of a program: the places to cut it, the parameters of each span, and the shapes along the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate

import numpy as np

from daskpar.nn.layer import Operation, Program, Shape
from daskpar.nn.parameters import ParameterTable


def holder(operations: Iterable[Operation]) -> Callable[[str], bool]:
    """Return a test for names of parameters: True if one of these operations holds the parameter."""
    places: dict[bool, set[str]] = {False: set(), True: set()}
    for operation in operations:
        if operation.role == "run":
            places[operation.shallow].add(".".join(map(str, operation.path)))

    def holds(name: str) -> bool:
        outer = accumulate(name.split(".")[:-1], "{}.{}".format)
        return name.rpartition(".")[0] in places[True] or any(place in places[False] for place in outer)

    return holds


def boundaries(program: Program, every_layer: bool) -> list[int]:
    """Return the indices of operations before which a program is cut, and its end.

    The cuts are before layers that share statistics and, with `every_layer`, before every layer.
    """
    starts = [0]
    for i in range(1, len(program)):
        now, before = program[i], program[i - 1]
        opens = now.role == "run" and before.role != "fork"
        forks = now.role == "fork" and not (i + 1 < len(program) and program[i + 1].shares)
        if now.shares or (every_layer and (opens or forks)):
            starts.append(i)
    return [*starts, len(program)]


def shares_at(program: Program, index: int) -> bool:
    """Return whether there is an operation at `index` that shares statistics."""
    return index < len(program) and program[index].shares


def differentiated(program: Program, span: tuple[int, int]) -> tuple[int, int]:
    """Return the (start, stop) of the operations whose backward pass ends in the part `span`.

    An operation that shares statistics is the first of its part. Its backward pass belongs to the part
    before, which is the first to have the sums of all chunks. If it is the first operation of all, that part
    is empty.
    """
    first, stop = span
    return first + (first < stop and program[first].shares), stop + shares_at(program, stop)


def extent(table: ParameterTable, program: Program, span: tuple[int, int]) -> tuple[int, int]:
    """Return the slice of the flat buffer that holds the parameters of operations `span`."""
    return table.extent(holder(program[slice(*span)]))


def first_trained(table: ParameterTable, program: Program, passes_frozen: bool = True) -> int:
    """Return the index of the first operation with parameters to train: the backward pass can stop there.

    With `passes_frozen` false, return the first operation with any parameters. It is needed if the first one
    to train shares statistics, because its backward pass begins in the part before.
    """
    trained = [e for e in table.entries if not (e.frozen and passes_frozen)]
    first = next((i for i, op in enumerate(program) if any(op.holds(e.name) for e in trained)), 0)
    if passes_frozen and program[first].shares:
        return first_trained(table, program, False)
    return first


def shapes(program: Program, in_shape: Shape) -> list[tuple[Shape, Shape]]:
    """Return the shapes of an example before and after each operation."""
    around: list[tuple[Shape, Shape]] = []
    branches: list[Shape] = []
    shape = in_shape
    for operation in program:
        before = shape
        if operation.role == "fork":
            branches.append(shape)
        elif operation.role == "swap":
            branches[-1], shape = shape, branches[-1]
        elif operation.role == "join":
            branches.pop()
        else:
            shape = operation.layer.init(np.random.default_rng(0), shape)[1]
        around.append((before, shape))
    return around
