"""Recovery of a run whose cluster was lost: the state at its last restart point becomes a checkpoint.

Parameters are stored on the workers, so those of the last steps are lost with them. A restart point is a
file, written every few seconds where workers may die.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from daskpar.errors import InputError
from daskpar.tasks.state_file import read_whole
from daskpar.tasks.types import Spec, State
from daskpar.train.checkpoint import Checkpoints


def snapshot_of(meta: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a run's description that does not change while the run continues."""
    sums, each = meta["since"]
    since = [sums, {name: list(values) for name, values in each.items()}]
    kept = {"history": list(meta["history"]), "callbacks": deepcopy(meta["callbacks"])}
    return {**meta, **kept, "since": since}


class Rescue:
    """Keeps the last restart point of a run, and the description that a checkpoint of it needs.

    In one process the state of the last evaluation serves as a restart point. Where workers do not see the
    client's files, a restart point is a state, too.
    """

    def __init__(self, restart_point: Path | None) -> None:
        self._restart_point: Path | State | None = restart_point
        self._meta: dict[str, Any] | None = None

    def note(self, restart_point: Path | State, meta: dict[str, Any] | None = None) -> None:
        """Record a restart point, and the description of the run there; None if it is a checkpoint."""
        self._restart_point, self._meta = restart_point, meta
        if meta is not None:
            self._meta = snapshot_of(meta)

    def save(self, spec: Spec, checkpoints: Checkpoints | None) -> tuple[State | None, str, str]:
        """Save the state of the last restart point as a checkpoint.

        Returns the state, a phrase that says where it is, and advice for a lost cluster.
        """
        if self._restart_point is None:
            return None, "nothing was saved before that", "start a cluster and train from scratch"
        try:
            state = (
                self._restart_point
                if isinstance(self._restart_point, State)
                else read_whole(spec, str(self._restart_point))
            )
            if checkpoints and self._meta is not None:
                checkpoints.save(spec, state, self._meta)
        except InputError as error:
            return None, f"the state of the last steps could not be saved ({error})", "train from scratch"
        saved = checkpoints.latest() if checkpoints else None
        if saved is None:
            return (
                state,
                f"the Trainer has the state of step {state.step}",
                "start a cluster; `fit` continues from there",
            )
        return (
            state,
            f"{saved} is kept",
            "start a cluster and continue from there with `--resume`, or resume=True",
        )
