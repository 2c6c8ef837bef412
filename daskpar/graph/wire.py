"""Gradients that are handed on in half precision, with what that leaves out kept for the next step.

Whatever is handed on in a reduction tree, a lane's own gradient or the sum that a node has made, is rounded
to float16. What rounding leaves out stays where it arose, and is added to what is there a step later, so that
nothing is lost but time (Seide et al. 2014, "1-bit stochastic gradient descent"; Karimireddy et al. 2019,
"Error feedback fixes SignSGD"):

    grad[0] ─┬─> round-gradient[0] ──> all who need it         grad[1] ─┬─> round-gradient[1] ──> ...
             └─> keep-residual[0] ──────────────────────────────────────┴─> keep-residual[1]

Residuals are part of a run's state: they lie in its file as slots `wire-<level>-<place>`, one for each place
in the tree, so that a run that goes on from there computes what it would have computed. Under another number
of lanes nothing of it is lost; under one lane, or `compression: full`, it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from daskpar.graph import tasks
from daskpar.graph.build import Graph, Key, Ref
from daskpar.graph.partition import Span
from daskpar.graph.spec import WIRE
from daskpar.graph.tree import levels


class Residual(NamedTuple):
    """What rounding has left out at one place of a tree: the name of its slot, and the key of its value."""

    slot: str
    key: Key


@dataclass
class Wire:
    """Adds the rounding of all that one tree of a step hands on; `residuals` are those of this step.

    `span`: of whose parameters the gradients are, None for the whole model's; `extent`: which elements of
    that buffer. `index`: what tells this tree from the step's others. `goes_on`: whether residuals of the
    step before are in the graph; else they are in a file, at (path, part), or nowhere.
    """

    graph: Graph
    model: Key
    step: int
    index: tuple[Any, ...]
    span: Span | None
    extent: tuple[int, int]
    leaves: int
    fan_in: int
    root: bool
    goes_on: bool
    file: tuple[str, str] | None
    residuals: list[Residual] = field(default_factory=list)

    def hand(self, key: Key, at: int, level: int, number: int, which: int = 0) -> Key:
        """The key of a value as it is handed on, from place `number` of a level; the leaves are level 0.

        `which`: of the gradients that the task of `key` gives, the one meant.
        """
        place = (*self.index, level, number)
        given = (Ref(self.model), self.span, Ref(key), which, *self.extent, self._before(place, at))
        rounded = self.graph.add("round-gradient", (self.step, *place), tasks.round_gradient, *given, lane=at)
        kept = self.graph.add("keep-residual", (self.step, *place), tasks.keep_residual, *given, lane=at)
        self.residuals.append(Residual(_slot(level, number), kept))
        return rounded

    def _before(self, place: tuple[Any, ...], at: int) -> Any:
        """The argument for what the step before has left out at a place of the tree."""
        if self.goes_on:
            return Ref(self.graph.key("keep-residual", self.step - 1, *place))
        if self.file is None:
            return None
        slots = [_slot(0, n) for n in range(self.leaves)]
        for above in levels(self.leaves, self.fan_in, self.root):
            slots += [_slot(node.level + 1, node.place) for node in above]
        given = (Ref(self.model), self.span, *self.extent, *self.file, _slot(*place[-2:]), tuple(slots))
        return Ref(self.graph.add("load-residual", (self.step, *place), tasks.load_residual, *given, lane=at))


def _slot(level: int, number: int) -> str:
    return f"{WIRE}{level}-{number}"
