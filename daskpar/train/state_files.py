"""Fitted states as files: of a checkpoint to take up, and for tasks to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from daskpar.data.paths import lasting_folder
from daskpar.data.reading import stamp
from daskpar.data.sampler import Sampler
from daskpar.tasks.state_file import digest, read_state, write_state
from daskpar.tasks.types import Spec, State
from daskpar.train.checkpoint import SavedState, saved_as
from daskpar.train.description import describe
from daskpar.train.fitting import saved_transforms
from daskpar.train.problem import bare_spec
from daskpar.train.saved import saved_at
from daskpar.train.settings import Settings


def state_file(spec: Spec, state: State, saved: SavedState | None) -> Path:
    """Return a file with the state: the one that it was `saved` in, if nothing else was written there since.

    Otherwise the state is written to a folder of this process: a lazy prediction may outlive its Trainer.
    """
    if saved is not None:
        its_state, path, stamped = saved
        if its_state is state and stamped and stamp(str(path)) == stamped:
            return path
    described = f"{digest(spec, state)} {state.step} {spec.table} {sorted(state.slots)}"
    path = lasting_folder() / f"state-{sha256(described.encode()).hexdigest()[:16]}.safetensors"
    if not path.exists():
        write_state(spec, state, path)
    return path


def restored(settings: Settings, path: Path) -> dict[str, object]:
    """Return the attributes of a Trainer that takes up what lies at a path; see `daskpar.train.saved`."""
    saved = saved_at(path)
    spec = saved_spec(settings, saved.meta)
    state = read_state(spec, str(saved.state))
    return {**fitted_with(settings, spec, state, saved.meta), "saved_": saved_as(state, saved.state)}


def saved_spec(settings: Settings, meta: Mapping[str, Any]) -> Spec:
    """Return the Spec of a saved state, which knows no data."""
    return bare_spec(settings, meta["in_shape"], Sampler(**meta["order"]), *saved_transforms(meta))


def fitted_with(settings: Settings, spec: Spec, state: State, meta: Mapping[str, Any]) -> dict[str, object]:
    """Return the attributes of a Trainer with a state that is described by `meta`, as in `state.json`."""
    return {
        "spec_": spec,
        "state_": state,
        "saved_": None,
        "history_": meta["history"],
        "steps_": state.step,
        "names_": tuple(meta.get("names", ())),
        "seconds_": meta["seconds"],
        "_description": describe(settings),
    }
