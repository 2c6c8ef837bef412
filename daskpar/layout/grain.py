"""Operator fusion: how much goes into one task.

window    many steps, the lanes are threads of one task; for short steps
step      a lane's whole pass
stage     its forward and its backward pass
layer     each layer of both
"""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.errors import InputError
from daskpar.layout.cut import Cut
from daskpar.layout.demands import Demands
from daskpar.layout.described import Described
from daskpar.layout.fuse import fused
from daskpar.layout.plan import Plan
from daskpar.settings import setting

GRAINS = ("window", "step", "stage", "layer")


@dataclass(frozen=True)
class Grain(Cut):
    """The size of a task."""

    grain: str = setting("step", "how much goes into one task", choices=GRAINS)

    def check(self, demands: Demands) -> None:
        if demands.accumulate > 1 and self.grain in ("stage", "layer"):
            raise InputError(
                f"train.accumulate={demands.accumulate} works at layout.grain step and window, not "
                f"{self.grain}"
            )

    def apply(self, plan: Plan, run: Described, across_processes: bool) -> Plan:
        return fused(plan, run, across_processes)
