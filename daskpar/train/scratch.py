"""A folder for the files of a run that workers read: arrays, and states of restart points."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from weakref import finalize

from daskpar.cluster.executor import Executor
from daskpar.cluster.storage import why_not_shared, workers_read
from daskpar.data.paths import OwnFolder
from daskpar.errors import InputError
from daskpar.tasks.state_file import StateFile

logger = logging.getLogger("daskpar")


class Scratch:
    """Temporary folder that is made when it is first used, within the run's folder if there is one.

    Workers that see the run's folder see it. It is removed with this object. A forked child makes its own.
    """

    def __init__(self, run_folder: str | Path | None = None):
        self._within = None if run_folder is None else Path(run_folder) / ".scratch"
        self._folder: OwnFolder | None = None

    def __call__(self) -> Path:
        """Return the folder, which exists."""
        if self._folder is None or not self._folder.is_ours:
            self._folder = OwnFolder(self._within)
            finalize(self, self._folder.remove)
        return self._folder.path


class Storage:
    """Folder `scratch()` for the files of one executor's workers, and the knowledge of whether they see it.

    Workers that do not see it, such as pods of a cluster elsewhere, get the content of files as values of
    tasks, through the client.
    """

    def __init__(self, executor: Executor, scratch: Callable[[], Path]):
        self.executor, self._scratch = executor, scratch

    def __call__(self) -> Path:
        """Return the folder, which exists."""
        return self._scratch()

    @cached_property
    def shared(self) -> bool:
        """True if the workers see the folder; they are asked once."""
        if self.executor.in_process:
            return True
        reason = why_not_shared(self.executor, self())
        if reason is not None:
            logger.info(
                "%s; states and arrays travel through the client; folder= (run.dir in a config) on storage "
                "that all workers share avoids that",
                reason,
            )
        return reason is None

    def for_workers(self, path: Path) -> StateFile:
        """Return a state's file in a folder of the run: its path, or its content if it is not shared."""
        return str(path) if self.shared else path.read_bytes()

    def seen(self, path: Path) -> StateFile:
        """Return a state's file in any folder: its path if the workers see this very file, or its content."""
        if self.executor.in_process:
            return str(path)
        content = path.read_bytes()
        same = partial(check_same_file, str(path), sha256(content).hexdigest())
        return str(path) if workers_read(self.executor, same) else content


def check_same_file(path: str, digest: str) -> None:
    """Raise InputError unless a file has the content with this SHA-256."""
    if sha256(Path(path).read_bytes()).hexdigest() != digest:
        raise InputError(f"{path}: another file is there")
