"""The states of callbacks, as a run keeps them in its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from daskpar.tasks.types import State


class CallbackStates(Protocol):
    """Protocol of the callbacks of a run, as far as their states are kept in checkpoints."""

    def states(self) -> list[list[Any]]:
        """Return pairs of kind and state, one for each callback."""

    def take_up(self, states: Sequence[Sequence[Any]], best: Callable[[int], State | None]) -> None:
        """Restore callbacks from such pairs; `best(step)` reads the best state, if it is of that step."""
