"""Pipeline parallelism: the model is cut by depth into stages, a lane's rows into micro-batches.

Each stage runs on its own worker. While stage 1 works on one micro-batch, stage 0 works on the next:

    rows of a lane                 stage 0                  stage 1
    micro-batch 0  ──────────────> layers 0, 1, 2 ────────> layers 3, 4 ──> loss
    micro-batch 1  ──────────────> layers 0, 1, 2 ────────> layers 3, 4 ──> loss

`pipeline_schedule.py` draws the order in which a stage works: GPipe (Huang et al. 2019) or 1F1B (Narayanan
et al. 2019, "PipeDream").
"""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.errors import InputError
from daskpar.layout.cut import Cut
from daskpar.layout.demands import Demands
from daskpar.layout.pipeline_schedule import SCHEDULES
from daskpar.settings import setting

BALANCES = ("flops", "parameters", "bytes", "time")


@dataclass(frozen=True)
class Pipeline(Cut):
    """Pipeline parallelism: stages of equal cost, or of layers chosen by hand."""

    stages: int | tuple[int, ...] = setting(
        1,
        "stages that the model is cut into by depth (pipeline parallelism): a number, or the layers of each "
        "stage, e.g. [3, 2]",
        at_least=1,
    )
    microbatches: int = setting(
        1, "micro-batches that a lane's rows are cut into, so that stages work at the same time", at_least=1
    )
    pipeline: str = setting(
        "1f1b",
        "order of the micro-batches of a stage (pipeline schedule): gpipe runs all forward passes first, "
        "1f1b alternates and keeps fewer activations in memory",
        choices=tuple(SCHEDULES),
    )
    balance: str = setting(
        "flops",
        "cost that stages share equally: flops, parameters, bytes of activations, or measured time",
        choices=BALANCES,
    )
    recompute: bool = setting(
        False,
        "keep only the inputs of a stage and compute its activations again in the backward pass (activation "
        "checkpointing)",
    )

    @property
    def depth(self) -> int:
        """The number of stages."""
        return self.stages if isinstance(self.stages, int) else len(self.stages)

    def check(self, demands: Demands) -> None:
        if self.microbatches > max(1, demands.batch):
            raise InputError(
                f"layout.microbatches={self.microbatches} is more than the {demands.batch} rows of a batch"
            )
        if self.microbatches > 1 and demands.synchronised:
            raise InputError(
                f"layout.microbatches={self.microbatches} cannot be had with {demands.synchronised}: "
                "{sync: true}, whose statistics are those of the whole batch; leave sync out"
            )
