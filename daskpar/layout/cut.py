"""The contract of a cut: one way to divide a step, in one module.

A cut declares its fields with `setting`, which says their help and bounds, and refuses what it cannot do.
`Layout` inherits from all of them, so a field of one is a field of `Layout` and a key of the YAML section.
"""

from __future__ import annotations

from daskpar.layout.demands import Demands
from daskpar.layout.described import Described
from daskpar.layout.plan import Plan
from daskpar.settings import Block


class Cut(Block):
    """Base of the cuts. A subclass is a frozen dataclass of its own fields."""

    def check_fields(self) -> None:
        """Refuse values that make no sense together. Raises InputError."""

    def check(self, demands: Demands) -> None:
        """Refuse a training that cannot be cut so. Raises InputError."""

    @property
    def tracks_per_lane(self) -> int:
        """The number of tracks of a lane: of shares of its examples, each with a copy of the parameters."""
        return 1

    def apply(self, plan: Plan, run: Described, across_processes: bool) -> Plan:
        """Rewrite the plan of a step. `across_processes`: whether workers are processes."""
        return plan
