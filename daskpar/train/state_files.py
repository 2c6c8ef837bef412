"""Fitted states as files, for tasks to begin with."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from daskpar.data.paths import lasting_folder
from daskpar.data.reading import stamp
from daskpar.tasks.state_file import digest, write_state
from daskpar.tasks.types import Spec, State
from daskpar.train.checkpoint import SavedState


def state_file(spec: Spec, state: State, saved: SavedState | None) -> Path:
    """Return a file with the state: the one that it was `saved` in, if nothing else was written there since.

    Otherwise the state is written to a folder of this process: a lazy prediction may outlive its Trainer.
    """
    if saved is not None:
        its_state, path, stamped = saved
        if its_state is state and stamped and stamp(str(path)) == stamped:
            return path
    described = f"{digest(spec, state)} {state.step} {spec.table}"
    path = lasting_folder() / f"state-{sha256(described.encode()).hexdigest()[:16]}.safetensors"
    if not path.exists():
        write_state(spec, state, path)
    return path
