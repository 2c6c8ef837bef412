"""Fitted states as files: of a checkpoint to take up, and for tasks to begin with."""

from __future__ import annotations

import logging
from hashlib import sha256
from pathlib import Path

from daskpar.data.paths import lasting_folder
from daskpar.data.reading import stamp
from daskpar.data.sampler import Sampler
from daskpar.tasks.state_file import digest, read_state, read_tensors, write_state
from daskpar.tasks.types import Spec, State
from daskpar.train.checkpoint import STATE, SavedState, read_meta, saved_as
from daskpar.train.fitting import saved_transforms
from daskpar.train.going_on import left_out, with_parameters
from daskpar.train.history_list import History
from daskpar.train.problem import bare_spec
from daskpar.train.recorder import BEGUN
from daskpar.train.settings import Settings

logger = logging.getLogger("daskpar")


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


def restored(settings: Settings, folder: Path, strict: bool = True) -> dict[str, object]:
    """Return the attributes of a Trainer that takes up the state in a checkpoint's folder.

    With `strict` the parameters must be those of the model; else those that fit are taken, the others are as
    at the start, and a line names them.
    """
    meta, path = read_meta(folder), folder / STATE
    transforms, targets = saved_transforms(meta)
    spec = bare_spec(settings, meta["in_shape"], Sampler(**meta["order"]), transforms or (), targets or ())
    begun = meta.get("begun", BEGUN)
    attributes = {
        "spec_": spec,
        "names_": tuple(meta.get("names", ())),
        "history_": History(meta["history"]),
        "seconds_": meta["seconds"],
        "_epoch": begun["epoch"] + (meta["step"] - begun["step"]) / spec.order.steps,
        "_unfinished": None,
        "_partial": False,
    }
    tensors = {} if strict else read_tensors(str(path))[1]
    missing = left_out(spec, tensors) if tensors else []
    if missing:
        logger.warning("%s: left out, because the model differs: %s", path, ", ".join(missing))
        state = with_parameters(spec, tensors)
        anew = {"state_": state, "steps_": 0, "saved_": None, "history_": History(), "seconds_": 0.0}
        return {**attributes, **anew, "_epoch": 0.0, "_partial": True}
    state = read_state(spec, str(path))
    return {**attributes, "state_": state, "steps_": state.step, "saved_": saved_as(state, path)}
