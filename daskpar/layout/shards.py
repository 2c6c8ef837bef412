"""Parameter sharding (ZeRO, FSDP): parameters and optimizer state are cut into slices with one owner each.

Two lanes on two processes, `shards: 2`. Dotted arrows lead into the next step:

    update, shard 0 ─┬──> gather-parameters ─> grad, lane 0 ─┬─> pick-gradient 0 ┄┄> update, shard 0
                     │                                       └─> pick-gradient 1 ┄┄> update, shard 1
    update, shard 1 ─┴──> gather-parameters ─> grad, lane 1 ─┬─> pick-gradient 0 ┄┄> update, shard 0
                                                             └─> pick-gradient 1 ┄┄> update, shard 1

An owner receives the gradients of its own slice only, and only it stores the optimizer state of that slice.
With more lanes than `fan_in`, a tree of `reduce-shard` tasks adds the gradients of a slice.
"""

from __future__ import annotations

from dataclasses import dataclass

from daskpar.errors import InputError
from daskpar.layout.cut import Cut
from daskpar.layout.demands import Demands
from daskpar.settings import setting


@dataclass(frozen=True)
class Shards(Cut):
    """Parameter sharding: slices of the flat buffer of parameters, each updated by one worker."""

    shards: int = setting(
        1,
        "slices of parameters and optimizer state, each stored and updated by one worker (ZeRO, FSDP)",
        at_least=1,
    )

    def check(self, demands: Demands) -> None:
        if self.shards > max(1, demands.parameters):
            raise InputError(f"layout.shards={self.shards} is more than the {demands.parameters} parameters")
        if self.shards > 1 and not demands.optimizer.elementwise:
            raise InputError(
                f"layout.shards={self.shards} cuts tensors, but {demands.optimizer.kind} needs the norms of "
                "whole tensors; use another optimizer, or cut in data or stages"
            )
