"""The state of a run between two steps, as keys of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from daskpar.graph.dask_api import TaskRef
from daskpar.graph.graph import Key


class StepState(NamedTuple):
    """The state of a run between two steps.

    Args:
        step: Number of the next step.
        values: References to the values that later steps read, by variable.
        earlier: The values of earlier steps, newest first, for variables that are kept longer than a step.
        rate: Learning rate for gradients that are still to be applied.
        logs: Keys of the values whose logs describe the steps since the last window.
    """

    step: int
    values: Mapping[str, tuple[TaskRef, ...]] = {}
    earlier: Mapping[str, tuple[tuple[TaskRef, ...], ...]] = {}
    rate: float = 0.0
    logs: tuple[Key, ...] = ()

    @property
    def keys(self) -> set[Key]:
        """The keys of all values that the next window reads."""
        older = {ref.key for steps in self.earlier.values() for refs in steps for ref in refs}
        return {ref.key for refs in self.values.values() for ref in refs} | older

    def read(self, variable: str, back: int = 1) -> tuple[TaskRef, ...]:
        """Return references to a variable as it was `back` steps ago; an empty tuple if there are none."""
        if back == 1:
            return self.values.get(variable, ())
        steps = self.earlier.get(variable, ())
        return steps[back - 2] if len(steps) >= back - 1 else ()
