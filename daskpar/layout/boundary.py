"""The stage boundary: values that flow from one part of a model to the next, forward and backward.

A part that is cut has one value for each branch. Each cut of that kind has a `Mover` in its module, which
scatters a whole value to the branches and gathers it again. `Whole` is the mover of a part in one piece.

    forward    whole value ── scatter ──> [branch 0, branch 1] ── gather ──> whole value
               [tile 0, tile 1] of one part ── exchange ──> [tile 0, tile 1] of the next part
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from daskpar.layout.arguments import Output
from daskpar.layout.draft import Draft, MicrobatchId, StageInput


class Mover(Protocol):
    """The moves of values into and out of the branches of part number `part`.

    `verb` is `forward` or `backward`. The operations that move are added to the `draft`.
    """

    def begin(self, draft: Draft, part: int, track: int, batch: Output) -> list[StageInput]:
        """Return the track's batch for each branch of the first part."""

    def scatter(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, whole: Output
    ) -> list[StageInput]:
        """Return the input of each branch, from a whole value."""

    def gather(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, into: Output, branches: Sequence[Output]
    ) -> Output:
        """Return the values of all branches as a whole one. `into` is the value that flowed into them."""

    def exchange(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, branches: Sequence[Output]
    ) -> list[StageInput] | None:
        """Return the inputs of the branches, from those of the neighbouring part, without a whole value.

        The neighbour is the part before or, backward, the part behind. Returns None if the two parts are not
        cut in the same way.
        """


class Whole(Mover):
    """The mover of a part that is not cut."""

    def begin(self, draft: Draft, part: int, track: int, batch: Output) -> list[StageInput]:
        return [StageInput(batch)]

    def scatter(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, whole: Output
    ) -> list[StageInput]:
        return [StageInput(whole)]

    def gather(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, into: Output, branches: Sequence[Output]
    ) -> Output:
        return branches[0]

    def exchange(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, branches: Sequence[Output]
    ) -> list[StageInput] | None:
        return None
