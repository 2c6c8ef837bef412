"""The files of a run: its checkpoints, the restart points between them, the final state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daskpar.tasks.state_file import StateFile, read_state, state_content, write_state
from daskpar.tasks.types import Spec, State
from daskpar.train.checkpoint import STATE, Checkpoints, SavedState, read_meta, saved_as
from daskpar.train.rescue import Rescue
from daskpar.train.scratch import Storage

Meta = dict[str, Any]
"""A description of a run at a step, as in `state.json`."""


class RunFiles:
    """Writer of the states of a run.

    `checkpoints` is None for a run without a folder. `storage` is for files that the workers read.
    `saved` is the file with the run's last state, or None.
    """

    def __init__(self, spec: Spec, checkpoints: Checkpoints | None, storage: Storage):
        self.spec, self.checkpoints, self.storage = spec, checkpoints, storage
        self.saved: SavedState | None = None
        self._rescue = Rescue(None)
        self._passing: Path | None = None  # a file to remove once no task needs it

    def begin(self, origin: Path | None, resumed_at: int | None) -> None:
        """Prepare the folder for the run's checkpoints. `origin` is the file that the run begins with.

        `resumed_at` is the step from which a run in the same folder continues.
        """
        if self.checkpoints:
            self.checkpoints.begin(resumed_at)
        self._rescue = Rescue(origin)
        self._pass_on(origin)

    def checkpoint(self, state: State, meta: Meta) -> Path:
        """Write a checkpoint, and return its folder. The run must have a folder."""
        assert self.checkpoints is not None
        folder = self.checkpoints.save(self.spec, state, meta)
        self.saved = saved_as(state, folder / STATE)
        self._rescue.note(folder / STATE)
        self._pass_on(None)
        return folder

    def restart_point(self, state: State, meta: Meta) -> StateFile:
        """Write a file from which the run can continue, and return its path; the next one replaces it.

        For workers that would not see the file, return its content.
        """
        if not self.storage.shared:
            self._rescue.note(state, meta)
            self._pass_on(None)
            return state_content(self.spec, state)
        path = self.storage() / f"restart-{state.step}.safetensors"
        write_state(self.spec, state, path)
        self._rescue.note(path, meta)
        self._pass_on(path)
        return str(path)

    def note(self, state: State, meta: Meta) -> None:
        """Record an evaluated state in this process as a restart point."""
        self._rescue.note(state, meta)

    def final(self, state: State, meta: Meta) -> Path | None:
        """Write the final state, and return the folder of its checkpoint; None for a run without a folder."""
        if not self.checkpoints:
            self.saved = None
            return None
        folder = self.checkpoints.save(self.spec, state, meta, "final")
        self.saved = saved_as(state, folder / STATE)
        return folder

    def best(self, state: State, meta: Meta) -> None:
        """Write the best state so far, if the run has a folder."""
        if self.checkpoints:
            self.checkpoints.save(self.spec, state, meta, "best")

    def best_of(self, step: int) -> State | None:
        """Return the saved best state if it is that of a step, else None."""
        best = self.checkpoints.named("best") if self.checkpoints else None
        if best is None or read_meta(best)["step"] != step:
            return None
        return read_state(self.spec, str(best / STATE))

    def rescue(self) -> tuple[State | None, str, str]:
        """Return the last state, a phrase for its place, and advice; see `Rescue.save`."""
        self.saved = None
        return self._rescue.save(self.spec, self.checkpoints)

    def close(self) -> None:
        """Remove the run's file in `storage()`."""
        self._pass_on(None)

    def _pass_on(self, path: Path | None) -> None:
        """Remove the last file in `storage()`; the next one to remove is `path`, if it is there."""
        if self._passing is not None and self._passing != path:
            self._passing.unlink(missing_ok=True)
        self._passing = path if path is not None and path.parent == self.storage() else None
