"""Fusion: neighbouring operations become others that compute the same bits in less time (a peephole pass).

A `Fusion` is a pattern over neighbouring layers and the operations that they become. The pass goes over a
program once for each fusion of a table, from its first operation to the last:

    [dense | relu | max_pool]  ->  [dense | max_pool | relu]      the ReLU has less to do
    [dense | relu]             ->  [dense, rectified | relu, done by its neighbour]

The table of what is fused is `nn.fusions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from daskpar.backend.array import Array
from daskpar.nn.layer import Layer, Operation, Program


@dataclass(frozen=True)
class Fusion:
    """Operations whose layers match a `pattern`, one test for each, and what they `become`.

    A fusion is `local` where only operations of one task may be fused; others hold wherever a program is cut
    afterwards.

    >>> from daskpar.nn.layer import Layer, Operation
    >>> first = Fusion("the first of two", (lambda layer: True,) * 2, lambda both: both[:1])
    >>> program = [Operation("run", (i,), Layer()) for i in range(3)]
    >>> [operation.path for operation in fuse(program, [first])]
    [(0,)]
    """

    name: str
    pattern: tuple[Callable[[Layer], bool], ...]
    become: Callable[[Program], Program]
    local: bool = True

    def matches(self, operations: Program) -> bool:
        """Tell whether neighbouring operations, as many as the pattern has tests, are of this pattern."""
        return all(
            operation.role == "run" and not operation.absent and test(operation.layer)
            for operation, test in zip(operations, self.pattern, strict=True)
        )


def fuse(program: Program, fusions: Iterable[Fusion]) -> tuple[Operation, ...]:
    """A program after every fusion of a table, in the table's order."""
    operations = list(program)
    for fusion in fusions:
        size, i = len(fusion.pattern), 0
        while i + size <= len(operations):
            neighbours = operations[i : i + size]
            if fusion.matches(neighbours):
                operations[i : i + size] = fused = fusion.become(neighbours)
                if len(fused) < size:
                    continue  # it may be fused with those that follow it, too
            i += 1
    return tuple(operations)


@dataclass(frozen=True)
class FusedLayer(Layer):
    """A layer that does the work of several operations, where it supports the arrays at hand.

    Its parameters are theirs, nested as theirs are. It saves a list with an entry for each of them, the same
    as they save themselves: forward and backward pass may each be fused or not.
    """

    operations: Sequence[Operation]

    def supports(self, x: Array) -> bool:
        """Tell whether it can take `x`, an input or gradient of an output; else its operations are run."""
        return True
