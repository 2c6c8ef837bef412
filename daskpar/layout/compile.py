"""From a run's description to the plan of its steps."""

from __future__ import annotations

from typing import Protocol

from daskpar.layout.described import Described
from daskpar.layout.layout import CUTS, Layout
from daskpar.layout.plan import Plan
from daskpar.layout.synchronous import Synchronous


class LaidOut(Described, Protocol):
    """A run's description that carries its whole layout."""

    @property
    def layout(self) -> Layout: ...


def compile_plan(run: LaidOut, across_processes: bool = False) -> Plan:
    """The plan of a run, once. `across_processes`: whether workers are processes: then states and gradients
    are separate values, and only what another slot needs is sent."""
    plan = Synchronous(run, across_processes).plan()
    for cut in CUTS:
        plan = cut.apply(run.layout, plan, run, across_processes)
    return plan
