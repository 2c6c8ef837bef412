"""Saved states: in a run's folder, in a checkpoint, and in a file of `Trainer.save`.

The file is safetensors: parameters and slots as in a checkpoint, and the rest as JSON in its metadata.
Nothing is pickled, so a file from an unknown source runs no code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import safetensors

from daskpar.errors import InputError
from daskpar.tasks.state_file import write_state
from daskpar.tasks.types import Spec
from daskpar.train.checkpoint import META, STATE, Checkpoints, read_meta
from daskpar.train.description import VERSION, Description, check_version
from daskpar.train.history import Record
from daskpar.train.plain_json import for_json
from daskpar.train.saved_data import described_data

_KEY = "daskpar"
_LONGEST = 20_000_000  # characters of a history; a header of safetensors has at most 100 MB


class Saved(NamedTuple):
    """Saved state: its description, as in `state.json`, and the file with the tensors."""

    meta: dict[str, Any]
    state: Path


def meta_of(spec: Spec, names: Sequence[str], description: Description) -> dict[str, Any]:
    """Return the description of a run for `state.json`, less its progress."""
    return {
        "description": description,
        "order": asdict(spec.order),
        **described_data(spec, names),
    }


def save_file(path: Path, fitted: Mapping[str, Any], members: Sequence[object] = ()) -> None:
    """Write a fitted Trainer as one file, whole or not at all.

    `fitted` has the attributes of the Trainer, `members` an entry for each member of an Ensemble.
    Raises InputError where the file cannot be written.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder; save writes one file, e.g. {path / 'model.safetensors'}")
    spec: Spec = fitted["spec_"]
    meta = {
        "version": VERSION,
        **meta_of(spec, fitted["names_"], fitted["_description"]),
        "seconds": fitted["seconds_"],
        "since": [(), {"loss": [], "lr": []}],
        "ended": False,
        "callbacks": [],
        "begun": {"step": fitted["steps_"], "epoch": fitted["_epoch"], "seconds": fitted["seconds_"]},
        "members": list(members),
    }
    history = json.dumps(for_json(fitted["history_"]))
    if len(history) > _LONGEST:
        history = json.dumps(for_json([_without_steps(record) for record in fitted["history_"]]))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_state(spec, fitted["state_"], path, {_KEY: json.dumps(for_json(meta)), "history": history})
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def _without_steps(record: Record) -> Record:
    return {**record, "each_step": {"loss": [], "lr": []}}


def saved_at(path: Path) -> Saved:
    """Return the state that is saved in a run's folder, a checkpoint's folder, or a file.

    Raises InputError where there is none.
    """
    if path.is_file():
        return read_file(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    folder = checkpoint_in(path)
    if folder is None:
        raise InputError(
            f"{path}: no checkpoint there; expected the folder of a run or of a checkpoint, or a file of "
            "Trainer.save"
        )
    meta = read_meta(folder)
    if "description" in meta:
        check_version(meta["description"]["version"], str(folder))
    return Saved(meta, folder / STATE)


def checkpoint_in(folder: Path) -> Path | None:
    """Return the final checkpoint in a run's folder, else the last or the best one.

    The folder of a checkpoint is returned itself. Returns None where there is no checkpoint.
    """
    if (folder / META).is_file():
        return folder
    within = folder / "checkpoints"
    checkpoints = Checkpoints(within if within.is_dir() else folder)
    return checkpoints.named("final") or checkpoints.latest() or checkpoints.named("best")


def read_file(path: Path) -> Saved:
    """Return the description in a file of `Trainer.save`, or beside the file of a checkpoint."""
    if path.name == STATE and (path.parent / META).is_file():
        return saved_at(path.parent)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            texts = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: not a file of Trainer.save, or one that was cut short ({error})") from None
    if _KEY not in texts:
        raise InputError(f"{path}: a safetensors file, but none of Trainer.save: it describes no Trainer")
    try:
        meta = json.loads(texts[_KEY])
        check_version(meta["version"], str(path))
        return Saved({**meta, "history": json.loads(texts["history"])}, path)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: its description is not readable ({error})") from None
