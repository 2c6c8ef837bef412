"""Places in a program: where it may be cut, who holds which parameters, and the shapes on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate

import numpy as np

from daskpar.nn.layer import Operation, Program, Shape
from daskpar.nn.parameters import ParameterTable


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


def boundaries(program: Program, every_layer: bool) -> list[int]:
    """The operations before which a program is cut, and its end.

    They are layers that share and, with `every_layer`, all layers.
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
    """Tell whether there is an operation at `index`, and one that shares."""
    return index < len(program) and program[index].shares


def differentiated(program: Program, span: tuple[int, int]) -> tuple[int, int]:
    """The operations whose backward pass ends in the part `span`.

    One that shares is at the head of its part, but is differentiated in the part before, which is the first
    to know what all chunks have gathered. Where it is the first of all, that part is empty.
    """
    first, stop = span
    return first + (first < stop and program[first].shares), stop + shares_at(program, stop)


def extent(table: ParameterTable, program: Program, span: tuple[int, int]) -> tuple[int, int]:
    """The slice of the flat buffer that holds the parameters of operations `span`."""
    return table.extent(holder(program[slice(*span)]))


def first_trained(table: ParameterTable, program: Program, passes_frozen: bool = True) -> int:
    """The first operation that has parameters to train: the backward pass need not go further.

    With `passes_frozen` false it is the first that has any parameters, and so where the first to train shares
    statistics: the backward pass of such an operation begins in the part before.
    """
    trained = [e for e in table.entries if not (e.frozen and passes_frozen)]
    first = next((i for i, op in enumerate(program) if any(op.holds(e.name) for e in trained)), 0)
    if passes_frozen and program[first].shares:
        return first_trained(table, program, False)
    return first


def shapes(program: Program, in_shape: Shape) -> list[tuple[Shape, Shape]]:
    """The shapes of an example before and after each operation."""
    around: list[tuple[Shape, Shape]] = []
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
        around.append((before, shape))
    return around
