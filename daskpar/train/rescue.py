"""The rest of a run whose cluster was lost: the state at its last restart point, kept as a checkpoint.

Parameters live on the workers, so those of the last steps are gone with them. A restart point ("root") is a
file, written every few seconds where workers may die.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daskpar.errors import InputError
from daskpar.tasks.state_file import read_state

if TYPE_CHECKING:
    from daskpar.train.fit import Fit


class Rescue:
    """Remembers the last restart point of a run, with what a checkpoint needs besides the state."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._meta: dict[str, Any] | None = None

    def note(self, root: Path, meta: dict[str, Any] | None = None) -> None:
        """Take note of a restart point, where the run stands as `meta` says; None if it is a checkpoint."""
        self._root, self._meta = root, meta
        if meta is not None:
            sums, each = meta["since"]
            since = [sums, {name: list(values) for name, values in each.items()}]
            kept = {"history": list(meta["history"]), "callbacks": deepcopy(meta["callbacks"])}
            self._meta = {**meta, **kept, "since": since}

    def save(self, fit: Fit) -> str:
        """Keep the state of the last restart point; returns a phrase that says where, and what to do."""
        trainer = fit.trainer
        if self._root is None:
            return "nothing was saved before that; start a cluster and train anew"
        try:
            state = read_state(fit.spec, str(self._root))
            if fit.checkpoints and self._meta is not None:
                fit.checkpoints.save(fit.spec, state, self._meta)
        except InputError as error:
            return f"the state of the last steps could not be saved ({error})"
        trainer.state_, trainer.steps_, trainer.steps_run_ = state, state.step, state.step
        saved = fit.checkpoints.latest() if fit.checkpoints else None
        if saved is None:
            return f"the Trainer has the state of step {state.step}; to resume such a run, give it a folder"
        return f"{saved} is kept; start a cluster and go on from there with `--resume`, or resume=True"
