"""Fitted states in files: checkpoints to restore, and states for tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from daskpar.data.paths import lasting_folder
from daskpar.data.reading import stamp
from daskpar.data.sampler import Sampler
from daskpar.data.schema import Schema
from daskpar.nn.open_sizes import Sizes
from daskpar.tasks.state_file import digest, read_tensors, read_whole, write_state
from daskpar.tasks.types import Spec, State
from daskpar.tasks.units import units_of
from daskpar.train.checkpoint import SavedState, saved_as
from daskpar.train.description import describe
from daskpar.train.going_on import left_out, with_parameters
from daskpar.train.history_list import History
from daskpar.train.problem import bare_spec
from daskpar.train.recorder import BEGUN
from daskpar.train.saved import saved_at
from daskpar.train.saved_data import SavedData
from daskpar.train.settings import Settings

logger = logging.getLogger("daskpar")


def state_file(spec: Spec, state: State, saved: SavedState | None) -> Path:
    """Return a file with the state: the one where it was `saved`, if that is unchanged.

    Otherwise the state is written to a folder of this process, since a lazy prediction may outlive its
    Trainer.
    """
    if saved is not None:
        saved_state, path, stamped = saved
        if saved_state is state and stamped and stamp(str(path)) == stamped:
            return path
    described = f"{digest(spec, state)} {state.step} {spec.table} {sorted(state.slots)}"
    path = lasting_folder() / f"state-{sha256(described.encode()).hexdigest()[:16]}.safetensors"
    if not path.exists():
        write_state(spec, state, path)
    return path


def restored(settings: Settings, path: Path, strict: bool = True) -> dict[str, object]:
    """Return the attributes of a Trainer with the state at a path; see `daskpar.train.saved`.

    With `strict` the parameters must be those of the model. Otherwise matching ones are loaded, the others
    keep their initial values, and a warning names them.
    """
    saved = saved_at(path)
    spec = saved_spec(settings, saved.meta)
    tensors = {} if strict else read_tensors(str(saved.state))[1]
    missing = left_out(spec, tensors) if tensors else []
    if missing:
        logger.warning("%s: left out, because the model differs: %s", path, ", ".join(missing))
        attributes = fitted_with(settings, spec, with_parameters(spec, tensors), saved.meta)
        return {**attributes, "history_": History(), "seconds_": 0.0, "_epoch": 0.0, "_partial": True}
    state = read_whole(spec, str(saved.state))
    return {**fitted_with(settings, spec, state, saved.meta), "saved_": saved_as(state, saved.state)}


def saved_spec(settings: Settings, meta: Mapping[str, Any]) -> Spec:
    """Return the Spec of a saved state, without data."""
    data = SavedData.of(meta)
    spec = bare_spec(
        settings,
        tuple(meta["in_shape"]),  # a list in JSON, which a layer would return as it is
        Sampler(**meta["order"]),
        data.transforms or (),
        data.targets or (),
        data.schema or Schema(),
        data.sizes or Sizes(),
    )
    return replace(spec, units=units_of(spec.loss, spec.targets))


def fitted_with(settings: Settings, spec: Spec, state: State, meta: Mapping[str, Any]) -> dict[str, object]:
    """Return the attributes of a Trainer with a state; `meta` is its description, as in `state.json`."""
    begun = meta.get("begun", BEGUN)
    return {
        "spec_": spec,
        "state_": state,
        "steps_": state.step,
        "saved_": None,
        "names_": tuple(meta.get("names", ())),
        "history_": History(meta["history"]),
        "seconds_": meta["seconds"],
        "_epoch": begun["epoch"] + (state.step - begun["step"]) / spec.order.steps,
        "_unfinished": None,
        "_partial": False,
        "_description": describe(settings),
    }
