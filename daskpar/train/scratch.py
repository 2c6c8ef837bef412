"""A folder for the files of a run that workers read: arrays, and states of restart points."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from weakref import finalize

from daskpar.cluster.executor import Executor
from daskpar.cluster.storage import check_shared
from daskpar.data.paths import OwnFolder


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


def check_workers_see(executor: Executor, scratch: Callable[[], Path]) -> None:
    """Refuse workers that cannot share files in the folder `scratch()` with this process."""
    if not executor.in_process:
        advice = "put folder= (run.dir in a config) on storage that all workers share"
        check_shared(executor, scratch(), advice)
