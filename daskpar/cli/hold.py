"""The dashboard after the end of a run, which stays open with `dashboard.hold`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from daskpar.cluster.kind import CLUSTERS
from daskpar.config import Config
from daskpar.errors import InputError

_POLL = 0.5  # seconds between checks that the scheduler is still there


def check_hold(config: Config) -> None:
    """Refuse to hold the dashboard of a cluster that has none. Raises InputError."""
    kind = config.cluster.kind
    if config.dashboard.hold and not CLUSTERS[kind].distributed:
        raise InputError(
            f"dashboard.hold=true: cluster.kind={kind} has no dashboard; use cluster.kind=threads, or "
            "leave dashboard.hold out"
        )


def hold_dashboard(client: Any, announce: Callable[[str], None]) -> None:
    """Wait until Ctrl-C, or until the scheduler of a client is gone. `announce` prints a line."""
    announce(f"dashboard {client.dashboard_link} stays open; Ctrl-C closes it")
    try:
        while client.status in ("running", "connecting"):
            time.sleep(_POLL)
    except KeyboardInterrupt:
        announce("dashboard closed")
