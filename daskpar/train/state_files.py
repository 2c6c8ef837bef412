"""Fitted states as files: of a checkpoint to take up, and for tasks to begin with."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from daskpar.data.paths import lasting_folder
from daskpar.data.reading import stamp
from daskpar.data.sampler import Sampler
from daskpar.data.schema import Schema
from daskpar.nn.open_sizes import Sizes
from daskpar.tasks.state_file import digest, read_state, write_state
from daskpar.tasks.types import Spec, State
from daskpar.train.checkpoint import SavedState, read_checkpoint, saved_as
from daskpar.train.fitting import saved_transforms
from daskpar.train.problem import bare_spec
from daskpar.train.settings import Settings


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


def restored(settings: Settings, folder: Path) -> dict[str, object]:
    """Return the attributes of a Trainer that takes up the state in a checkpoint's folder."""
    checkpoint = read_checkpoint(folder)
    meta = checkpoint.meta
    transforms, targets = saved_transforms(meta)
    schema = Schema.from_json(meta.get("schema", {}))
    order, sizes = Sampler(**meta["order"]), Sizes.from_json(meta.get("sizes", {}))
    spec = bare_spec(settings, meta["in_shape"], order, transforms, targets, schema, sizes)
    state = read_state(spec, str(checkpoint.state))
    return {
        "spec_": spec,
        "state_": state,
        "saved_": saved_as(state, checkpoint.state),
        "history_": meta["history"],
        "steps_": state.step,
        "names_": tuple(meta.get("names", ())),
    }
