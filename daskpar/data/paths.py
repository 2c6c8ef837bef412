"""Paths that people pass, made absolute; and temporary folders of this process.

Accepted: text, `Path` or bytes. Relative paths are relative to the current folder of this process, and `~` is
the home folder. They are made absolute at once (`absolute`), because workers, or this process later, may be
in another folder. Symbolic links are kept. A config keeps paths as they are written; sources and Trainers
made from it have absolute ones.

Refused: values that are no paths, empty paths, and relative paths if the current folder no longer exists.

Checked elsewhere: that a file exists and can be read, by the source that opens it; that the workers see a
folder, by `daskpar.cluster.storage` before a training.
"""

from __future__ import annotations

import atexit
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from daskpar.errors import InputError


def absolute(path: object, what: str = "path") -> str:
    """Return a path as an absolute one, with `~` expanded; `what` names the argument in messages.

    Raises InputError if it is no path.
    """
    try:
        text = os.fsdecode(path)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"{what}: expected a path, got {type(path).__name__}") from None
    if not text or "\0" in text:
        raise InputError(f"{what}: expected a path, got {text!r}")
    try:
        return os.path.abspath(os.path.expanduser(text))
    except FileNotFoundError:
        raise InputError(
            f"{what}: {text} is relative, but the current folder no longer exists; pass an absolute path"
        ) from None


class OwnFolder:
    """A temporary folder of this process; `remove` deletes it, except in a forked child."""

    def __init__(self, within: Path | None = None):
        if within is not None:
            within.mkdir(parents=True, exist_ok=True)
        self.path = Path(absolute(mkdtemp(prefix="daskpar-", dir=within)))
        self.process = os.getpid()

    @property
    def is_ours(self) -> bool:
        """True if this process made the folder and it still exists."""
        return self.process == os.getpid() and self.path.is_dir()

    def remove(self) -> None:
        """Delete the folder, and the folder `.scratch` around it once that is empty."""
        if self.process != os.getpid():
            return
        rmtree(self.path, ignore_errors=True)
        if self.path.parent.name == ".scratch":
            with suppress(OSError):
                self.path.parent.rmdir()


def lasting_folder() -> Path:
    """Return a temporary folder that is deleted when this process ends."""
    return _lasting(os.getpid()).path


@cache
def _lasting(process: int) -> OwnFolder:
    folder = OwnFolder()
    atexit.register(folder.remove)
    return folder
