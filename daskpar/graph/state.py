"""A run between two steps, as keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from daskpar.graph.dask_api import TaskRef
from daskpar.graph.graph import Key


class StepState(NamedTuple):
    """A run between two steps: references to all values that later steps read, by variable.

    `earlier`: the values of the steps before, the newest first, of variables that are read from further back.
    `rate`: the learning rate with which gradients that wait are to be applied. `logs`: the values whose logs
    tell of the steps since the last window.
    """

    step: int
    values: Mapping[str, tuple[TaskRef, ...]] = {}
    earlier: Mapping[str, tuple[tuple[TaskRef, ...], ...]] = {}
    rate: float = 0.0
    logs: tuple[Key, ...] = ()

    @property
    def keys(self) -> set[Key]:
        """The values that the next window needs to find."""
        older = {ref.key for steps in self.earlier.values() for refs in steps for ref in refs}
        return {ref.key for refs in self.values.values() for ref in refs} | older

    def read(self, variable: str, back: int = 1) -> tuple[TaskRef, ...]:
        """References to a variable, as it was `back` steps ago; none where there is no such value."""
        if back == 1:
            return self.values.get(variable, ())
        steps = self.earlier.get(variable, ())
        return steps[back - 2] if len(steps) >= back - 1 else ()
