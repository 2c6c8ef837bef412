"""Parameter sharding (ZeRO, FSDP): parameters and optimizer state are cut into slices with one owner each."""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.errors import InputError
from daskpar.layout.cut import Cut
from daskpar.layout.demands import Demands
from daskpar.settings import setting


@dataclass(frozen=True)
class Shards(Cut):
    """Slices of the flat buffer of parameters, each updated by one worker."""

    shards: int = setting(1, "slices of parameters and optimizer state, updated apart", at_least=1)

    def check(self, demands: Demands) -> None:
        if self.shards > max(1, demands.parameters):
            raise InputError(f"layout.shards={self.shards} is more than the {demands.parameters} parameters")
        if self.shards > 1 and not demands.optimizer.elementwise:
            raise InputError(
                f"layout.shards={self.shards} cuts tensors, of which {demands.optimizer.kind} needs the "
                "norms; use another optimizer, or cut in data or stages"
            )
