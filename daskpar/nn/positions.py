"""A model split by positions: each share holds some of the positions of every sequence.

    share 0    positions 0 1 2       embedding ─ norm ─ attention ─ norm ─ ...
    share 1    positions 3 4 5                              ╎ keys and values go round
    share 2    positions 6 7 8       embedding ─ norm ─ attention ─ norm ─ ...

Li et al. 2021, "Sequence parallelism: long sequence training from system perspective"; Liu et al. 2023, "Ring
attention with blockwise transformers for near-infinite context" (arXiv 2310.01889).
"""

from __future__ import annotations

from dataclasses import replace

from daskpar.nn.layer import Operation, Program, Shape
from daskpar.nn.partition_rules import Positions
from daskpar.nn.parts import recomputes
from daskpar.nn.spans import shapes


def bounds(length: int, shares: int) -> list[tuple[int, int]]:
    """Return the positions (start, stop) of each share."""
    return [(s * length // shares, (s + 1) * length // shares) for s in range(shares)]


def why_not(program: Program, in_shape: Shape, shares: int) -> str | None:
    """Return the reason why a program cannot be split into `shares` shares of the positions, or None."""
    axes = 1 if program[0].layer.tokens else 2
    if len(in_shape) != axes:
        kind = "sequences of integers" if axes == 1 else "sequences (positions, features)"
        return f"examples of shape {in_shape} are no {kind}"
    length = in_shape[0]
    if length < shares:
        return f"there are more shares than the {length} positions of an example"
    for operation, (_, after) in zip(program, shapes(program, in_shape), strict=True):
        layer = operation.layer
        if operation.role != "run":
            continue
        if layer.positions() is None:
            if recomputes(layer):
                return f"{layer.kind} with remat: true is computed as one; leave out remat"
            return f"{layer.kind} needs all positions of a sequence"
        if after[:1] != (length,):
            return f"{layer.kind} turns {length} positions into {after[:1]}"
    return None


def ring_at(program: Program, index: int) -> Positions | None:
    """Return the rule of the operation at `index` if it needs the positions of other shares, else None."""
    if index >= len(program) or program[index].role != "run":
        return None
    positions = program[index].layer.positions()
    return positions if positions is not None and positions.ring else None


def rings(program: Program) -> list[int]:
    """Return the indices of the operations that need the positions of other shares."""
    return [i for i in range(len(program)) if ring_at(program, i) is not None]


def share_program(program: Program, length: int, share: int, shares: int) -> tuple[Operation, ...]:
    """Return the program of one share of the positions."""
    start, stop = bounds(length, shares)[share]
    return tuple(
        replace(operation, layer=operation.layer.share(start, stop, length))
        if operation.role == "run"
        else operation
        for operation in program
    )
