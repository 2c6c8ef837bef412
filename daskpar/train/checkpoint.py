"""Checkpoints: a folder a step, written whole or not at all, the last few kept.

checkpoints/step-00000440/state.safetensors    parameters and slots, unsharded, by full name
checkpoints/step-00000440/state.json           what else a run needs to go on: order of the data, history
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
    """A state that a run begins with: its description, as in `state.json`, and its file.

    `state(spec)` returns the file for a run with that Spec. Raises InputError where the two do not fit.
    `same_run`: whether it is a state of the run whose folder the new one has.
    """

    meta: dict[str, Any]
    state: Callable[[Spec], Path]
    same_run: bool = True


SavedState = tuple[State, Path, tuple[int, ...]]
"""A state, the file it lies in, and what changes when another run writes a file in its place."""


class Checkpoints:
    """The checkpoints of a run in `folder`, of which the last `keep` stay."""

    def __init__(self, folder: Path, keep: int = 3):
        at_least_one("checkpoint.keep", keep)
        self.folder = folder
        self.keep = keep

    @classmethod
    def within(cls, folder: Path | str | None, keep: int) -> Checkpoints | None:
        """The checkpoints in a run's folder, or None for a run without one."""
        return None if folder is None else cls(Path(folder) / "checkpoints", keep)

    def begin(self, resumed_at: int | None) -> None:
        """Make way for a run: one that does not resume finds none of another's checkpoints.

        Those of an earlier run, or of steps after `resumed_at`, are moved to `checkpoints.1`, `.2`, ...; what
        a finished run called final is final no more once it goes on.
        """
        latest = self.latest()
        if resumed_at is not None and (latest is None or latest.name <= _name(resumed_at)):
            shutil.rmtree(self.folder / "final", ignore_errors=True)
        elif self.folder.exists():
            move_aside(self.folder)

    def save(self, spec: Spec, state: State, meta: dict[str, Any], name: str | None = None) -> Path:
        """Write one and remove those beyond `keep`; with a `name` it is apart from these. Returns its folder.

        Raises InputError when it cannot be written, or when JSON cannot carry `meta`; the ones before it
        remain. Raises NotFiniteError rather than write parameters that are not finite.
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
        """The folder of the last one, or None."""
        steps = self._steps()
        return steps[-1] if steps else None

    def named(self, name: str) -> Path | None:
        """The folder of one that was saved under a name, or None."""
        return self.folder / name if (self.folder / name / META).is_file() else None

    def _steps(self) -> list[Path]:
        return sorted(p for p in self.folder.glob("step-*") if (p / META).is_file())


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _as_json(meta: dict[str, Any]) -> str:
    try:
        return json.dumps(meta, default=for_json)  # fast: only what is not Python's own is looked at
    except (
        TypeError,
        InputError,
    ):  # keys of dictionaries are NumPy's numbers, or a value is nothing for JSON
        return json.dumps(for_json(meta, META))


def read_meta(folder: Path) -> dict[str, Any]:
    """The content of `state.json` of a checkpoint."""
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
    """Note that a state lies in a file, as the file is now."""
    return state, path, stamp(str(path))


def move_aside(path: Path) -> Path:
    """Rename a file or folder to the first of `<name>.1`, `.2`, ... that is free; returns its new path."""
    (free,) = free_names([path])
    os.rename(path, free)
    return free


def free_names(paths: Sequence[Path]) -> list[Path]:
    """Return `<name>.1`, or `.2`, ... for each path: the first number that is free for all of them."""
    numbered = ([path.with_name(f"{path.name}.{n}") for path in paths] for n in count(1))
    return next(names for names in numbered if not any(name.exists() for name in names))


def replace_folder(partial: Path, target: Path) -> None:
    """Move a finished folder to its place, and away what lay there."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(partial, target)
    shutil.rmtree(old, ignore_errors=True)
