"""Time limits for a cluster that has lost its workers, and warnings while a training waits for it.

`daskpar.cluster.keeper` restarts the workers of local clusters that daskpar started; the number of restarts
is limited here. For other clusters the time is limited: by `cluster.patience` of a config, by
`open_client(patience=...)`, or for any client by `dask.config.set({"daskpar.patience": "5 minutes"})`.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

import dask
from dask.utils import parse_timedelta

from daskpar.cluster.clients import Workers
from daskpar.cluster.keeper import Keeper, keeper_of
from daskpar.errors import ClusterLostError, InputError

if TYPE_CHECKING:
    from distributed import Client

SETTING = "daskpar.patience"
DEFAULT = 600.0  # seconds
POLL = 1.0  # seconds between calls of `Patience.check`
_ASK = 5.0  # seconds between polls of the scheduler
_WARN = 20.0  # seconds between warnings
_STARTS = 5  # restarts of each local worker without a result, after which a training gives up
_DYING = 30.0  # seconds that the restarts must last at least

logger = logging.getLogger(__name__)


def read_patience(value: float | str | None = None) -> float:
    """Return a patience in seconds: `value`, or the one in Dask's configuration, or 10 minutes.

    `value` is a number of seconds, a text such as "5 minutes", or infinity. Raises InputError for anything
    else.
    """
    name = "patience" if value is not None else SETTING
    value = dask.config.get(SETTING, None) if value is None else value
    try:
        seconds = DEFAULT if value is None else float(parse_timedelta(value, "s"))
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError):  # all from parse_timedelta
        seconds = math.nan
    if isinstance(value, bool) or not seconds > 0:
        raise InputError(f'{name}={value!r}: expected seconds above 0, or a text such as "5 minutes"')
    return seconds


class Patience:
    """Decision, while a training waits for a result, whether to wait longer."""

    def __init__(self, client: Client):
        self._client = client
        self._address = client.scheduler.address
        self._seconds = read_patience()
        self._keeper: Keeper | None = keeper_of(client)

    def begin(self) -> None:
        """Start to wait for a result; the previous one has arrived, so the cluster is alive."""
        now = time.monotonic()
        self._idle_since: float | None = None
        self._asked = now
        self._warned = now
        self._begun = now
        self._starts = self._keeper.starts if self._keeper else 0

    def check(self) -> None:
        """Warn at intervals that the cluster cannot compute. Raises ClusterLostError after the time limit."""
        if self._keeper is not None:
            self._check_starts(self._keeper)
        now = time.monotonic()
        if now - self._asked < min(_ASK, self._seconds / 4):
            return
        self._asked = now
        trouble = self._trouble()
        if trouble is None:
            self._idle_since = None
            return
        if self._idle_since is None:
            self._idle_since = now
        waited = now - self._idle_since
        if waited >= self._seconds:
            raise ClusterLostError(f"{trouble}; gave up after {waited:.0f} s (cluster.patience)")
        if now - self._warned >= min(_WARN, self._seconds / 2):
            self._warned = now
            logger.warning("%s; waiting (%.0f of %g s)", trouble, waited, self._seconds)

    def _check_starts(self, keeper: Keeper) -> None:
        starts = keeper.starts - self._starts
        if starts > _STARTS * keeper.size and time.monotonic() - self._begun > _DYING:
            raise ClusterLostError(
                f"the workers at {self._address} ended again and again: {starts} were started anew, without "
                "a result; if they ran out of memory, use fewer workers or smaller chunks (chunk_rows)"
            )

    def _trouble(self) -> str | None:
        """Return the reason why no worker can compute, or None if some can."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            return f"no workers are left at {self._address}"
        if all(worker.get("status") == "paused" for worker in workers.values()):
            return (
                f"all {len(workers)} workers at {self._address} are paused, since their memory is full "
                f"({_memory(workers)}); use workers with more memory, or smaller chunks (chunk_rows)"
            )
        return None


def _memory(workers: Workers) -> str:
    """Return as text the memory in use and its limit, for the worker with the most memory in use."""
    used, limit = max(
        (worker.get("metrics", {}).get("memory") or 0, worker.get("memory_limit") or 0)
        for worker in workers.values()
    )
    return f"{used / 1e6:.0f} of {limit / 1e6:.0f} MB"
