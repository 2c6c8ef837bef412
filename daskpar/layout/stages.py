"""The stages of a model: cut by depth, so that each has about the same cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from daskpar.errors import InputError
from daskpar.layout.cuts import Cuts
from daskpar.nn.layer import Shape
from daskpar.nn.operations import Program, shapes
from daskpar.nn.parameters import ParameterTable
from daskpar.nn.tensor_parallel import Section


def operation_costs(program: Program, table: ParameterTable, in_shape: Shape, what: str) -> list[float]:
    """Return the cost of each operation of a program.

    Args:
        program: The operations.
        table: Table of the parameters.
        in_shape: Shape of one example.
        what: `flops` for one example, `parameters` for the number of elements, or `bytes` for the size of the
            outputs, which is counted in elements.
    """
    if what == "parameters":
        return [
            float(sum(e.stop - e.start for e in table.entries if operation.holds(e.name)))
            for operation in program
        ]
    costs = []
    for operation, (before, after) in zip(program, shapes(program, in_shape), strict=True):
        runs = operation.role == "run"
        size = float(math.prod(after))
        costs.append(float(operation.layer.flops(before, after)) if runs and what == "flops" else size)
    return costs


def stage_ends(
    program: Program,
    sections: Sequence[Section],
    table: ParameterTable,
    in_shape: Shape,
    layout: Cuts,
    costs: Sequence[float] | None,
) -> list[int]:
    """Return the operation at which each stage ends (exclusive).

    Raises:
        InputError: The model has too few operations, or other layers than the layout lists.
    """
    if layout.depth == 1:
        return [len(program)]
    if isinstance(layout.stages, tuple):
        return _by_hand(program, layout.stages)
    inside = {i for section in sections for i in range(section.first + 1, section.stop)}
    inside |= {i for i, operation in enumerate(program) if operation.shares}  # differentiated before it
    starts = [i for i in range(len(program)) if i not in inside]
    if len(starts) < layout.depth:
        raise InputError(f"layout.stages={layout.depth}: this model can be cut into {len(starts)} at most")
    if costs is None:
        costs = operation_costs(program, table, in_shape, layout.balance)
    units = [sum(costs[first:stop]) for first, stop in pairwise([*starts, len(program)])]
    return [[*starts, len(program)][end] for end in balanced(units, layout.depth)]


def _by_hand(program: Program, stages: Sequence[int]) -> list[int]:
    """Return the ends of stages whose numbers of layers are given."""
    tops = [i for i in range(len(program)) if i == 0 or program[i].path[0] != program[i - 1].path[0]]
    if sum(stages) != len(tops):
        raise InputError(
            f"layout.stages={list(stages)} are {sum(stages)} layers in all, the model has {len(tops)}"
        )
    starts, ends = [*tops, len(program)], []
    for i in range(len(stages)):
        ends.append(starts[sum(stages[: i + 1])])
    return ends


def balanced(costs: Sequence[float], parts: int) -> list[int]:
    """Return the ends of `parts` runs of `costs`, so that the most expensive run is as cheap as possible.

    No run is empty. Dynamic programming; of equally good cuts the one with the earliest ends is returned.

    Example:
        >>> balanced([3, 1, 1, 1], 2)
        [1, 4]
    """
    sums = [0.0]
    for cost in costs:
        sums.append(sums[-1] + cost)
    best: list[tuple[float, tuple[int, ...]]] = [(sums[end], (end,)) for end in range(len(sums))]
    for run in range(2, parts + 1):
        best = [
            min(
                (
                    (max(best[middle][0], sums[end] - sums[middle]), (*best[middle][1], end))
                    for middle in range(run - 1, end)
                ),
                default=(float("inf"), ()),
            )
            for end in range(len(sums))
        ]
    return list(best[-1][1])
