"""Compiling: from the description of a run to the plan of its steps, once a run."""

from __future__ import annotations

from typing import Protocol

from daskpar.layout.described import Described
from daskpar.layout.layout import CUTS, Layout
from daskpar.layout.plan import Plan
from daskpar.layout.synchronous import Synchronous


class LaidOut(Described, Protocol):
    """The description of a run with its whole layout."""

    @property
    def layout(self) -> Layout:
        """The layout."""


def compile_plan(run: LaidOut, across_processes: bool = False) -> Plan:
    """Return the plan of a run: the synchronous plan, rewritten by each cut of the layout.

    Args:
        run: The description of the run.
        across_processes: True if workers are processes. Then states and gradients are separate values, and
            only the parts that another slot needs are sent.
    """
    plan = Synchronous(run, across_processes).plan()
    for cut in CUTS:
        plan = cut.apply(run.layout, plan, run, across_processes)
    return plan
