"""Dask's own performance report of a run, as one page that opens without a network."""

from __future__ import annotations

import re
from html import escape
from time import time
from typing import TYPE_CHECKING, NamedTuple

from daskpar.errors import one_line

if TYPE_CHECKING:
    from distributed import Client

_ICON = re.compile(r'<link rel="shortcut icon"[^>]*>')  # the page's only file from a network


class PerformancePage(NamedTuple):
    """Dask's performance report as HTML, or the reason why there is none."""

    html: str = ""
    reason: str = ""


class Performance:
    """Recording of a cluster for Dask's performance report, from now on.

    Args:
        client: Client of the cluster, or the name of Dask's threaded scheduler, which makes no such report.
    """

    def __init__(self, client: Client | str):
        self._client = None if isinstance(client, str) else client
        self._since, self._samples = time(), 0
        if self._client is not None:
            self._client.get_task_stream(count=0)  # the first request starts the recording on the scheduler
            self._samples = self._client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.monitor.count)

    def page(self, about: str) -> PerformancePage:
        """Return the report of the time since the recording began, with a text about the run in it."""
        if self._client is None:
            return PerformancePage(reason="the threaded scheduler makes none")
        try:
            html = self._client.sync(
                self._client.scheduler.performance_report,
                start=self._since,
                last_count=self._samples,
                code=escape(about),
                mode="inline",
            )
        except Exception as error:  # e.g. no bokeh on the scheduler: the run goes on without the page
            return PerformancePage(reason=one_line(f"{type(error).__name__}: {error}", 200))
        return PerformancePage(_ICON.sub("", html))
