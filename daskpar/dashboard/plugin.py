"""The plugin of the scheduler that listens to trainings and shows them at `/daskpar`."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from distributed import Scheduler, SchedulerPlugin

from daskpar.dashboard import prometheus
from daskpar.dashboard.activity import Activity
from daskpar.dashboard.routes import add_routes
from daskpar.dashboard.runs import Runs
from daskpar.errors import one_line

logger = logging.getLogger(__name__)

NAME = "daskpar-page"
OPERATION = "daskpar_event"
"""The operation of the scheduler that takes events of runs."""

_WATCHED = 10.0  # seconds after a request for which tasks are recorded


class TrainingPage(SchedulerPlugin):
    """Plugin with the runs of a scheduler: it hears their events, and counts workers that come and go.

    Tasks are recorded only while the page is open, so that nobody pays for a page that nobody reads.
    """

    name = NAME
    idempotent = True

    def __init__(self) -> None:
        self.runs = Runs()
        self.activities: dict[str, Activity] = {}
        self.keys: dict[str, Activity] = {}
        self.workers: dict[str, str] = {}
        self.lost = self.joined = 0
        self.dask_pages: list[str] = []
        self._watched_until = 0.0

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), ()  # the runs stay where they are

    async def start(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.workers = {address: str(state.name) for address, state in scheduler.workers.items()}
        scheduler.handlers[OPERATION] = self.take
        add_routes(self)
        prometheus.show(self)

    def watch(self) -> None:
        """Record tasks from now on, until nobody has asked for some seconds."""
        self._watched_until = time.monotonic() + _WATCHED

    def take(self, event: Mapping[str, Any]) -> dict[str, object]:
        """Take up an event of a run, and return the names of Dask's own pages; [] without bokeh."""
        try:
            self._hear(event)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            logger.warning("an event of a training was not understood: %s", one_line(repr(error)))
        return {"dask_pages": self.dask_pages}

    def _hear(self, event: Mapping[str, Any]) -> None:
        run = self.runs.hear(event)
        if run is None:
            return
        if event["kind"] == "operations":
            activity = self.activities.setdefault(run.id, Activity())
            activity.know(event)
            self.keys.update(dict.fromkeys(activity.operations, activity))
        elif event["kind"] in ("begin", "end"):
            self._forget()

    def _forget(self) -> None:
        """Forget the operations of runs that have ended."""
        going_on = {run.id for run in self.runs.running}
        self.activities = {run: each for run, each in self.activities.items() if run in going_on}
        live = self.activities.values()
        self.keys = {key: each for each in live for key in each.operations}

    def transition(self, key: Any, start: str, finish: str, *args: Any, **options: Any) -> None:
        if finish != "memory" or start != "processing" or not self._watched_until:
            return
        if time.monotonic() > self._watched_until:
            self._watched_until = 0.0
            return
        activity = self.keys.get(key[0]) if isinstance(key, tuple) else None
        if activity is not None:
            worker = self.workers.get(options["worker"], "")
            activity.done(key, worker, options.get("startstops") or ())

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        name = str(scheduler.workers[worker].name)
        self.workers[worker] = name
        self.joined += 1
        self.runs.mark("worker joined", f"worker {name} joined", time.time())

    def remove_worker(self, scheduler: Scheduler, worker: str, *, stimulus_id: str, **options: Any) -> None:
        name = self.workers.pop(worker, worker)
        lost = stimulus_id.startswith(("handle-worker-cleanup", "check-worker-ttl"))
        self.lost += lost
        kind = "worker lost" if lost else "worker left"
        self.runs.mark(kind, f"{kind.replace('worker', f'worker {name}')}", time.time())

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        self.runs.lose(client, time.time())
        self._forget()

    def restart(self, scheduler: Scheduler) -> None:
        self.runs.mark("restart", "the cluster was restarted", time.time())
