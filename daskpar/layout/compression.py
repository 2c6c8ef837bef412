"""Gradient compression: gradients are rounded to float16 between lanes, with error feedback.

Whatever is sent on in a reduction tree, a lane's own gradient or the sum of a node, is rounded. What rounding
leaves out stays where it arose, and is added a step later, so that nothing is lost but time (Seide et al.
2014, "1-bit stochastic gradient descent"; Karimireddy et al. 2019, "Error feedback fixes SignSGD"):

    grad ─┬─> compress-gradient ──> all who need it
          └─> error-feedback ┄┄┄┄> compress-gradient and error-feedback of the next step

What was left out is part of a run's state. It lies in its file as slots `wire-<level>-<place>`, one for each
place in the tree. Under another number of lanes nothing of it is lost; under one lane, or `full`, it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from daskpar.layout.cut import Cut
from daskpar.layout.draft import Draft
from daskpar.layout.partition import Span
from daskpar.layout.plan import Carried, Index, Kind, Now, Output
from daskpar.layout.tree import levels
from daskpar.settings import setting

RESIDUAL = "wire-"
"""The names of slots that hold what rounding has left out begin so."""
_ROUND = Kind("compress-gradient", "compress", (), urgent=True)
_KEEP = Kind("error-feedback", "feedback", ())

COMPRESSIONS = ("full", "float16")


@dataclass(frozen=True)
class Compression(Cut):
    """Gradient compression: the number format in which gradients are sent."""

    compression: str = setting(
        "full",
        "number format of gradients that are sent between lanes (gradient compression): full keeps that of "
        "the run, float16 rounds, with error feedback",
        choices=COMPRESSIONS,
    )


class Remainder(NamedTuple):
    """The remainder of rounding at one place of a tree: its slot in a file, and its variable."""

    slot: str
    variable: str
    value: Output
    load: tuple[object, ...]


@dataclass
class Sender:
    """Rounds all that one tree of a step sends on; `residuals` are those of this step.

    `span`: of whose parameters the gradients are, None for the whole model's; `extent`: which elements of
    that buffer. `index`: what tells this tree from the step's others.
    """

    draft: Draft
    axes: tuple[str, ...]
    index: Index
    span: Span | None
    extent: tuple[int, int]
    leaves: int
    root: bool
    residuals: list[Remainder] = field(default_factory=list)

    def send(self, value: Output, level: int, number: int, which: int = 0) -> Output:
        """The value as it is sent on, from place `number` of a level; the leaves are level 0.

        `which`: of the gradients that the operation gives, the one meant.
        """
        index = (*self.index, level, number)
        variable, slot = f"residual {index}", self.draft.section.slot(value)
        arguments = (Now.MODEL, self.span, value, which, *self.extent, Carried(variable))
        axes = (*self.axes, "level", "node")
        rounded = self.draft.section.add(
            _ROUND._replace(axes=axes), "compress_gradient", index, slot, *arguments
        )
        kept = self.draft.section.add(_KEEP._replace(axes=axes), "error_feedback", index, slot, *arguments)
        name = _slot(level, number)
        slots = [_slot(0, n) for n in range(self.leaves)]
        for nodes in levels(self.leaves, self.draft.layout.fan_in, self.root):
            slots += [_slot(node.level + 1, node.place) for node in nodes]
        load = (Now.MODEL, self.span, *self.extent, Now.FILE, Now.PART, name, tuple(slots))
        self.residuals.append(Remainder(name, variable, kept, load))
        return rounded


def _slot(level: int, number: int) -> str:
    return f"{RESIDUAL}{level}-{number}"
