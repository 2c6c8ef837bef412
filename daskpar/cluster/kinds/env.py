"""Cluster whose scheduler the environment names, as in the runner pod of a DaskJob.

The runner, the scheduler and the workers start at the same time. So this kind waits for the scheduler's name,
for its answer, and for workers, under one time limit.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import dask

from daskpar.cluster.connecting import client_of, reason
from daskpar.cluster.kind import ClusterKind
from daskpar.cluster.loopback import quiet
from daskpar.errors import ClusterStartError, InputError
from daskpar.registry import register
from daskpar.settings import setting

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger("daskpar")

VARIABLE = "DASK_SCHEDULER_ADDRESS"
_POLL = 1.0  # seconds
_TELL = 10.0  # seconds between lines


@register("env")
@dataclass(frozen=True)
class Env(ClusterKind):
    """Cluster that runs already or starts right now, at the address in `DASK_SCHEDULER_ADDRESS`.

    The Dask operator sets that variable in the pod of a DaskJob's runner. Encrypted connections are set by
    Dask's configuration, e.g. `DASK_DISTRIBUTED__COMM__TLS__CA_FILE`. The end of the context closes the
    client only.

    Args:
        workers: Number of workers to wait for. Default: 1.
        timeout: Seconds to wait for the scheduler and the workers. Default: 300.

    Raises:
        InputError: From `client`, if the variable is not set.
        ClusterStartError: From `client`, if scheduler and workers are not there within `timeout`.

    Example:
        >>> from daskpar.cluster.kinds.env import Env
        >>> Env(workers=4)
        Env(workers=4)
    """

    can_return: ClassVar[bool] = True

    workers: int = setting(1, "number of workers to wait for, for kind env", at_least=1)
    timeout: float = setting(
        300.0, "seconds for the start of the cluster, for kinds env and kubernetes", above=0
    )

    @contextmanager
    def client(self) -> Iterator[Client]:
        address = os.environ.get(VARIABLE) or dask.config.get("scheduler-address", None)
        if not address:
            raise InputError(
                f"cluster.kind=env: {VARIABLE} is not set; set it to the scheduler's address, or use "
                "cluster.kind=address"
            )
        deadline = time.monotonic() + self.timeout
        with quiet("client", "core"), self._connected(str(address), deadline) as client:
            self._wait_for_workers(client, deadline)
            yield client

    def _connected(self, address: str, deadline: float) -> Client:
        told = -_TELL
        while True:
            try:
                return client_of(address)
            except Exception as error:  # each protocol raises other errors
                now, why = time.monotonic(), reason(error)
                if now > deadline:
                    raise ClusterStartError(
                        f"{VARIABLE}={address}: no scheduler answers there after {self.timeout:g} s "
                        f"(cluster.timeout): {why}"
                    ) from None
                if now - told >= _TELL:
                    logger.info("waiting for the scheduler at %s (%s)", address, why)
                    told = now
                time.sleep(min(_POLL, max(0.0, deadline - now)))

    def _wait_for_workers(self, client: Client, deadline: float) -> None:
        told = -_TELL
        while True:
            count = len(client.scheduler_info(n_workers=-1)["workers"])
            if count >= self.workers:
                return
            now = time.monotonic()
            if now > deadline:
                address = client.scheduler.address
                raise ClusterStartError(
                    f"{VARIABLE}={address}: {count} of {self.workers} workers are there after "
                    f"{self.timeout:g} s (cluster.timeout)"
                )
            if now - told >= _TELL:
                logger.info("%d of %d workers are there; waiting", count, self.workers)
                told = now
            time.sleep(min(_POLL, max(0.0, deadline - now)))
