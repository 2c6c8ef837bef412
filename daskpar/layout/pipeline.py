"""Pipeline parallelism: the model is cut by depth into stages, a lane's rows into micro-batches.

GPipe (Huang et al. 2019) and 1F1B (Narayanan et al. 2019); `schedule.py` draws both.
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
    """Stages, each with about the same share of what `balance` names; or the layers of each by hand."""

    stages: int | tuple[int, ...] = setting(
        1, "parts that the model is cut into by depth; or the layers of each, e.g. [3, 2]", at_least=1
    )
    microbatches: int = setting(1, "that a lane's rows flow through the stages in", at_least=1)
    pipeline: str = setting(
        "1f1b",
        "the order of micro-batches, which decides how many are alive at once",
        choices=tuple(SCHEDULES),
    )
    balance: str = setting("flops", "what stages have about the same share of", choices=BALANCES)
    recompute: bool = setting(False, "keep only what flowed into a stage for the backward pass")

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
