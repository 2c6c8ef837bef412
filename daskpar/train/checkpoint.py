"""Checkpoints: one folder for each saved step, written whole or not at all. The last few are kept.

checkpoints/step-00000440/state.safetensors    parameters and slots, unsharded, by name
checkpoints/step-00000440/state.json           the rest that a run continues from: order of the data, history
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from daskpar.backend.atomic import atomic_write
from daskpar.data.files import stamp
from daskpar.errors import InputError, NotFiniteError
from daskpar.nn.parameters import first_not_finite
from daskpar.settings import at_least_one
from daskpar.tasks.state_file import write_state
from daskpar.tasks.types import Spec, State
from daskpar.train.plain_json import for_json

STATE = "state.safetensors"
META = "state.json"


class Origin(NamedTuple):
    """Start of a run: the description of a state, as in `state.json`, and its file.

    `state(spec)` returns the file for a run with that Spec. Raises InputError where the two do not fit.
    `same_run` is True for a state of the run whose folder the new run has.
    """

    meta: dict[str, Any]
    state: Callable[[Spec], Path]
    same_run: bool = True


SavedState = tuple[State, Path, tuple[int, ...]]
"""A state, the file it is stored in, and the stamp of the file, which changes when it is replaced."""


class Checkpoints:
    """Checkpoints of a run in `folder`; the last `keep` of them stay."""

    def __init__(self, folder: Path, keep: int = 3):
        at_least_one("checkpoint.keep", keep)
        self.folder = folder
        self.keep = keep

    @classmethod
    def within(cls, folder: Path | str | None, keep: int) -> Checkpoints | None:
        """Return the checkpoints in a run's folder, or None for a run without one."""
        return None if folder is None else cls(Path(folder) / "checkpoints", keep)

    def begin(self, resumed_at: int | None) -> None:
        """Prepare the folder for a run: a run that does not resume finds no checkpoints of another one.

        Checkpoints of an earlier run, or of steps after `resumed_at`, are moved to `checkpoints.1`, `.2`, ...
        When a finished run continues, its checkpoint `final` is removed.
        """
        latest = self.latest()
        if resumed_at is not None and (latest is None or latest.name <= _name(resumed_at)):
            shutil.rmtree(self.folder / "final", ignore_errors=True)
        elif self.folder.exists():
            move_aside(self.folder)

    def save(self, spec: Spec, state: State, meta: dict[str, Any], name: str | None = None) -> Path:
        """Write a checkpoint, remove the oldest ones beyond `keep`, and return its folder.

        A checkpoint with a `name` is not counted among these.

        Raises:
            InputError: It cannot be written, or `meta` has values that JSON cannot hold. The earlier
                checkpoints remain.
            NotFiniteError: A parameter is NaN or infinite. Nothing is written.
        """
        bad = first_not_finite(spec.table, state.params)
        if bad is not None:
            raise NotFiniteError(f"step {state.step}: parameter {bad} is not finite; nothing was written")
        described = _as_json({"step": state.step, **meta})
        target = self.folder / (name or _name(state.step))
        partial = self.folder / f".{target.name}.partial"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            write_state(spec, state, partial / STATE)
            atomic_write(partial / META, described)
            replace_folder(partial, target)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            last = self.latest()
            raise InputError(
                f"{target}: the checkpoint could not be written ({error.strerror or error}); "
                f"the last good one is {last.name if last else 'none'}"
            ) from None
        if name is None:
            for old in self._steps()[: -self.keep]:
                shutil.rmtree(old, ignore_errors=True)
        return target

    def latest(self) -> Path | None:
        """Return the folder of the last checkpoint, or None."""
        steps = self._steps()
        return steps[-1] if steps else None

    def named(self, name: str) -> Path | None:
        """Return the folder of the checkpoint that was saved under a name, or None."""
        return self.folder / name if (self.folder / name / META).is_file() else None

    def _steps(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("step-*") if (p / META).is_file())


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _as_json(meta: dict[str, Any]) -> str:
    try:
        return json.dumps(
            meta, default=for_json
        )  # fast: `for_json` is called only for other types than Python's own
    except (
        TypeError,
        InputError,
    ):  # keys of a dictionary may be NumPy's numbers; else a message names the value
        return json.dumps(for_json(meta, META))


def read_meta(folder: Path) -> dict[str, Any]:
    """Return the content of `state.json` of a checkpoint. Raises InputError where it cannot be read."""
    try:
        meta: dict[str, Any] = json.loads((folder / META).read_text())
        return meta
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / META}: not a readable checkpoint ({error})") from None


def to_resume_from(checkpoints: Checkpoints | None, resume: bool) -> Origin | None:
    """Return the checkpoint that a run is resumed from, or None."""
    folder = checkpoints.latest() if checkpoints and resume else None
    return None if folder is None else Origin(read_meta(folder), lambda spec: folder / STATE)


def saved_as(state: State, path: Path) -> SavedState:
    """Return a state with the file it is stored in, and the current stamp of the file."""
    return state, path, stamp(str(path))


def move_aside(path: Path) -> Path:
    """Rename a file or folder to the first free name of `<name>.1`, `.2`, ..., and return the new path."""
    (free,) = free_names([path])
    os.rename(path, free)
    return free


def free_names(paths: Sequence[Path]) -> list[Path]:
    """Return `<name>.1`, or `.2`, ... for each path: the first number that is free for all of them."""
    numbered = ([path.with_name(f"{path.name}.{n}") for path in paths] for n in count(1))
    return next(names for names in numbered if not any(name.exists() for name in names))


def replace_folder(partial: Path, target: Path) -> None:
    """Move a finished folder to its place, and remove the folder that was there."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(partial, target)
    shutil.rmtree(old, ignore_errors=True)
