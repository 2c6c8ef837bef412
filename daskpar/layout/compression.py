"""Gradient compression: gradients are rounded to float16 between lanes, with error feedback.

Every value that a reduction tree sends is rounded: a lane's own gradient, and the sum of each node. The
remainder of rounding stays at the slot where it arose and is added to the gradient of the next step. So
rounding delays parts of a gradient, but loses none (Seide et al. 2014, "1-bit stochastic gradient descent";
Karimireddy et al. 2019, "Error feedback fixes SignSGD"). Dotted arrows lead into the next step:

    grad ─┬─> compress-gradient ┄┄┄> updates of all lanes
          └─> error-feedback ┄┄┄┄┄┄> compress-gradient and error-feedback

Remainders are part of a run's state. Its file stores them as slots `wire-<level>-<place>`, one for each place
in the tree. A run that goes on with another number of lanes keeps them; with one lane, or `full`, it drops
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from daskpar.layout.arguments import Carried, Now, Output
from daskpar.layout.cut import Cut
from daskpar.layout.draft import Draft
from daskpar.layout.partition import Span
from daskpar.layout.plan import Index, Kind
from daskpar.layout.tree import levels
from daskpar.settings import setting

REMAINDER = "wire-"
"""The beginning of the names of slots that hold remainders of rounding."""
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
    """The remainder of rounding at one place of a tree.

    `slot` is its name in a file, `variable` its name between steps, `value` the operation that computes it.
    `load` are the arguments of the operation that reads it from a file.
    """

    slot: str
    variable: str
    value: Output
    load: tuple[object, ...]


@dataclass
class Sender:
    """The rounding of all values that one tree of a step sends; collects the `remainders`.

    `span` names the parameters of the gradients, None those of the whole model. `extent` are the first and
    the last element (exclusive) of that buffer. `index` distinguishes the tree from others of the step.
    """

    draft: Draft
    axes: tuple[str, ...]
    index: Index
    span: Span | None
    extent: tuple[int, int]
    leaves: int
    root: bool
    remainders: list[Remainder] = field(default_factory=list)

    def send(self, value: Output, level: int, number: int, which: int = 0) -> Output:
        """Return a value as it is sent from place `number` of a level. The leaves are level 0.

        `which` is the number of the gradient among those that the operation returns.
        """
        index = (*self.index, level, number)
        variable, slot = f"remainder {index}", self.draft.section.slot(value)
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
        load = (Now.MODEL, self.span, *self.extent, Now.FILE, Now.PREFIX, name, tuple(slots))
        self.remainders.append(Remainder(name, variable, kept, load))
        return rounded


def _slot(level: int, number: int) -> str:
    return f"{REMAINDER}{level}-{number}"
