"""Fusion: neighbouring operations are replaced by others that compute the same bits in less time.

A `Fusion` is a pattern of neighbouring layers and the operations that replace them. The pass (a peephole
optimisation) goes through the program once for each fusion of a table, from the first operation to the last:

    [dense | relu | max_pool]  ->  [dense | max_pool | relu]      the ReLU has less to do
    [dense | relu]             ->  [dense, rectified | relu, already done by the dense layer]

The table of fusions is `nn.fusions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from daskpar.backend.array import Array
from daskpar.nn.layer import Layer, Operation, Program


@dataclass(frozen=True)
class Fusion:
    """A pattern of layers, and the operations that replace operations of that pattern.

    Args:
        name: Description for people.
        pattern: One test for each of the neighbouring layers.
        become: Function that returns the new operations.
        local: True if only operations of one task may be fused. False if the fusion is valid wherever the
            program is cut afterwards. Default: True.

    Example:
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
        """Return whether neighbouring operations, as many as the pattern has tests, match it."""
        return all(
            operation.role == "run" and not operation.absent and test(operation.layer)
            for operation, test in zip(operations, self.pattern, strict=True)
        )


def fuse(program: Program, fusions: Iterable[Fusion]) -> tuple[Operation, ...]:
    """Return a program after all fusions, in their order."""
    operations = list(program)
    for fusion in fusions:
        size, i = len(fusion.pattern), 0
        while i + size <= len(operations):
            neighbours = operations[i : i + size]
            if fusion.matches(neighbours):
                operations[i : i + size] = fused = fusion.become(neighbours)
                if len(fused) < size:
                    continue  # the result may be fused with the next operations
            i += 1
    return tuple(operations)


@dataclass(frozen=True)
class FusedLayer(Layer):
    """A layer that does the work of several operations.

    Its parameters are those of the operations, nested in the same way. It saves a list with one entry for
    each operation, equal to what the operation itself saves. So the forward pass may be fused and the
    backward pass not, or the other way round.
    """

    operations: Sequence[Operation]

    def supports(self, x: Array) -> bool:
        """Return whether it can compute with `x`, an input or a gradient. If not, its operations are run."""
        return True
