"""The door for paths: files and folders that people name, and folders of this process's own.

Takes: text, `Path` or bytes; relative paths mean the folder that this process is in when they are given, and
`~` the home. They are made absolute there and then (`absolute`), since workers, or this process later on, may
be in another folder. Symbolic links stay as they are named. What a config says is kept as it is written; the
sources and Trainers made from it have absolute paths.
Refuses: what is no path, an empty one, a relative one where the folder that this process is in is gone.
Checked elsewhere: whether a file is there and readable, by the source that opens it; whether the workers see
a folder, before training, by `daskpar.cluster.storage`.
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
    """Return a path as an absolute one, with `~` expanded. Raises InputError; `what` names the argument."""
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
            f"{what}: {text} is relative, and the folder that this process is in is gone; give it whole"
        ) from None


class OwnFolder:
    """A temporary folder of this process, removed by `remove`; a forked child leaves it to its parent."""

    def __init__(self, within: Path | None = None):
        if within is not None:
            within.mkdir(parents=True, exist_ok=True)
        self.path = Path(absolute(mkdtemp(prefix="daskpar-", dir=within)))
        self.process = os.getpid()

    @property
    def is_ours(self) -> bool:
        """Return whether this process made it, and it is still there."""
        return self.process == os.getpid() and self.path.is_dir()

    def remove(self) -> None:
        """Remove it, and the `.scratch` it lies in once that is empty."""
        if self.process != os.getpid():
            return
        rmtree(self.path, ignore_errors=True)
        if self.path.parent.name == ".scratch":
            with suppress(OSError):
                self.path.parent.rmdir()


def lasting_folder() -> Path:
    """A folder that goes with this process."""
    return _lasting(os.getpid()).path


@cache
def _lasting(process: int) -> OwnFolder:
    folder = OwnFolder()
    atexit.register(folder.remove)
    return folder
