"""Operator fusion: the amount of work in one task.

window    many steps of all lanes in one task, whose threads are the lanes; for short steps
step      a lane's forward and backward pass in one task
stage     the forward pass of a stage in one task, its backward pass in another
layer     the forward pass of each layer in one task, its backward pass in another
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
    """Operator fusion: the amount of work in one task."""

    grain: str = setting(
        "step",
        "work in one task (operator fusion): window is many steps of all lanes, step a lane's whole pass, "
        "stage the forward or the backward pass of a stage, layer that of a layer",
        choices=GRAINS,
    )

    def check(self, demands: Demands) -> None:
        if demands.accumulate > 1 and self.grain in ("stage", "layer"):
            raise InputError(
                f"train.accumulate={demands.accumulate} works at layout.grain step and window, not "
                f"{self.grain}"
            )

    def apply(self, plan: Plan, run: Described, across_processes: bool) -> Plan:
        return fused(plan, run, across_processes)
