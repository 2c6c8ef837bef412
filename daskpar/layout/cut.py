"""The contract of a cut: one way to divide a step, in one module.

A cut declares its fields with `setting`, which has their help and bounds. It refuses trainings that it cannot
divide, and rewrites the plan of a step. `Layout` inherits from all cuts, so a field of one is a field of
`Layout` and a key of the YAML section.
"""

from __future__ import annotations

from daskpar.layout.demands import Demands
from daskpar.layout.described import Described
from daskpar.layout.plan import Plan
from daskpar.settings import Block


class Cut(Block):
    """Base of the cuts. A subclass is a frozen dataclass of its own fields."""

    def check_fields(self) -> None:
        """Refuse values of fields that contradict each other.

        Raises:
            InputError: They do.
        """

    def check(self, demands: Demands) -> None:
        """Refuse a training that this cut cannot divide.

        Raises:
            InputError: The training and the cut do not go together.
        """

    @property
    def tracks_per_lane(self) -> int:
        """The number of tracks of a lane: shares of its examples, each with a copy of the parameters."""
        return 1

    def apply(self, plan: Plan, run: Described, across_processes: bool) -> Plan:
        """Return the plan of a step with this cut applied.

        `across_processes` is True if workers are processes.
        """
        return plan
