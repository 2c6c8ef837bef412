"""The stage boundary: what flows from one part of a model to the next, forward and backward.

A part that is cut has as many values as branches. How they are scattered from a whole value, and become one
again, is for the cut to say, so each has a `Mover` in its module; `Whole` is that of a part in one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from daskpar.layout.draft import Draft, MicrobatchId, StageInput
from daskpar.layout.plan import Output


class Mover(Protocol):
    """Moves values into and out of the branches of part number `part`."""

    def begin(self, draft: Draft, part: int, track: int, batch: Output) -> list[StageInput]:
        """The track's batch for each branch of the first part."""

    def scatter(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, whole: Output
    ) -> list[StageInput]:
        """A whole value for each branch, on its way forward or backward."""

    def gather(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, into: Output, branches: Sequence[Output]
    ) -> Output:
        """The values of all branches as a whole one; `into`: the value that had flowed into them."""

    def exchange(
        self, draft: Draft, verb: str, part: int, rows: MicrobatchId, branches: Sequence[Output]
    ) -> list[StageInput] | None:
        """The values of the branches of the part before (backward: behind) for those of this one, without
        going through a whole one; None where the two are not cut alike."""


class Whole:
    """Of a part that is not cut."""

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
