"""Interface between the plugin of the training page and its routes."""

from __future__ import annotations

from typing import Protocol

from distributed import Scheduler

from daskpar.dashboard.activity import Activity
from daskpar.dashboard.runs import Runs


class Shown(Protocol):
    """Protocol of the plugin, as routes and metrics read it.

    `workers` has the names of workers by address, `activities` those of running trainings by identifier, and
    `dask_pages` the names of Dask's own pages. `lost` and `joined` count workers.
    """

    scheduler: Scheduler
    runs: Runs
    activities: dict[str, Activity]
    workers: dict[str, str]
    dask_pages: list[str]
    lost: int
    joined: int

    def watch(self) -> None:
        """Record tasks from now on, until nobody has asked for some seconds."""
