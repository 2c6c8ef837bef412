"""Loading of a Trainer from the folder of a run, from a checkpoint, or from a file of `save`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from daskpar.data.paths import absolute
from daskpar.entries import name_of
from daskpar.errors import InputError
from daskpar.optim.sgd import SGD
from daskpar.tasks.state_file import read_state
from daskpar.tasks.types import State
from daskpar.train.description import described
from daskpar.train.ensemble import Ensemble
from daskpar.train.saved import Saved, saved_at
from daskpar.train.settings import Settings
from daskpar.train.state_files import fitted_with, restored, saved_spec
from daskpar.train.trainer import Trainer


def load(path: str | Path, **settings: Any) -> Trainer:
    """Return a fitted Trainer from a folder or file: it predicts, evaluates, and continues with `fit`.

    The Trainer has the settings of the saved one, except `client`, `folder`, and callbacks other than
    `EarlyStopping`. Nothing is unpickled, and no code in the file is run: a block of your own must be
    registered (`register`) and its module imported, or be passed as a setting.

    Args:
        path: Folder of a run (its final state, or the last checkpoint if it did not end), folder of one
            checkpoint, or a file of `Trainer.save`. For an Ensemble, the folder of its members, or its file.
        **settings: Arguments of `Trainer` that replace the saved ones, e.g. `client`, `folder`, `epochs`.
            With another `optimizer` the state of the optimizer is reset.

    Returns:
        The fitted Trainer, or Ensemble.

    Raises:
        InputError: There is nothing to load at the path, the file is damaged or of a newer version, or it
            needs a block that is not known.

    Example:
        >>> import numpy as np, tempfile, daskpar
        >>> x, y = np.random.default_rng(0).normal(size=(64, 4)), np.arange(64) % 2
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trainer = daskpar.Trainer([{"dense": 2}], folder=folder).fit(x, y)
        ...     loaded = daskpar.load(folder, batch=16)
        >>> loaded.parameters_sha256_ == trainer.parameters_sha256_, loaded.batch
        (True, 16)
    """
    place = Path(absolute(path, "load"))
    members = sorted(place.glob("member-*"))
    saved = saved_at(members[0] if members else place)
    if "description" not in saved.meta:
        raise InputError(
            f"{place}: a checkpoint of an earlier version, which does not describe its model; use "
            "Trainer(...).restore(path) with the settings of then"
        )
    keywords = {**described(saved.meta["description"], settings, str(place)), **settings}
    count = len(members) or len(saved.meta.get("members", ()))
    if count:
        return Ensemble(members=count, **keywords).restore(place)
    trainer = Trainer(**keywords)
    trainer.__dict__.update(_taken_up(trainer.settings, saved, place, "optimizer" in settings))
    return trainer


def _taken_up(settings: Settings, saved: Saved, place: Path, another_optimizer: bool) -> dict[str, object]:
    """Return the attributes of the loaded Trainer; another optimizer begins with a new state."""
    before = saved.meta["description"]["settings"].get("optimizer", {})
    spec = saved_spec(settings, saved.meta)
    if not another_optimizer or name_of(spec.optimizer) in before:
        return restored(settings, place)
    state = read_state(replace(spec, optimizer=SGD()), str(saved.state))  # SGD without momentum has no slots
    state = State(state.step, state.params, spec.optimizer.init(state.params))
    return fitted_with(settings, spec, state, saved.meta)
