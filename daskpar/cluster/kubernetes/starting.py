"""Wait until the pods of a cluster are ready, under one time limit.

The service and the pods are polled, not `status.phase` of the DaskCluster: the operator may leave that at
`Pending` although all pods run (dask-kubernetes#968).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from daskpar.cluster.kubernetes import reasons
from daskpar.cluster.kubernetes.api import DASK, Found, Kubernetes
from daskpar.cluster.kubernetes.reasons import Reason
from daskpar.errors import ClusterStartError, InputError

logger = logging.getLogger("daskpar")

_POLL = 1.0  # seconds
_TELL = 10.0  # seconds between lines on the same reason
_PULL = 60.0  # seconds for an image that cannot be pulled
_UNSEEN = 10.0  # seconds after which an operator that has done nothing is named
_PLURAL = {"scheduler": "scheduler", "worker": "workers"}


class Start:
    """Start of the pods of the cluster `name`; `deadline` is a time of `time.monotonic`."""

    def __init__(self, kubernetes: Kubernetes, name: str, deadline: float):
        self.kubernetes, self.name, self.deadline = kubernetes, name, deadline
        self._begun = time.monotonic()
        self._told: set[str] = set()
        self._told_at = -_TELL
        self._pulling_since: float | None = None

    async def scheduler(self) -> None:
        """Wait for the scheduler's pod and service. Raises InputError with the reason at the time limit."""
        await self._wait("scheduler", 1)

    async def workers(self, count: int) -> None:
        """Wait for pods of `count` workers. Raises InputError with the reason at the time limit."""
        await self._wait("worker", count)

    async def _wait(self, component: str, count: int) -> None:
        while True:
            pods = await self._pods(component)
            ready = sum(reasons.of_pod(pod) is None for pod in pods)
            if ready >= count and await self._has_service():
                return
            reason = await self._reason(pods, component)
            late = time.monotonic() > self.deadline
            if late or self._gives_up(reason):
                raise await self._failure(pods, reason, component, ready, count, late)
            self._tell(f"waiting for the {_PLURAL[component]}: {reason.text}", f"{ready} of {count} ready")
            await asyncio.sleep(_POLL)

    async def _pods(self, component: str) -> list[Found]:
        labels = f"dask.org/cluster-name={self.name},dask.org/component={component}"
        return await self.kubernetes.select("pods", labels=labels)

    async def _has_service(self) -> bool:
        return await self.kubernetes.get("services", f"{self.name}-scheduler") is not None

    async def _reason(self, pods: Sequence[Found], component: str) -> Reason:
        """Return the most telling reason why the pods are not ready."""
        why = [reason for pod in pods if (reason := reasons.of_pod(pod)) is not None]
        hopeless = [reason for reason in why if reason.hopeless]
        refused = list(reasons.failed_creations(await self._events(), self._prefix(component)))
        if hopeless or refused or why:
            return (hopeless or refused or why)[0]
        if pods:
            return Reason("its service is not there yet")
        cluster = await self.kubernetes.get("daskclusters", self.name, DASK)
        if cluster is None:
            return Reason(f"the DaskCluster {self.name} was deleted", hopeless=True)
        if not cluster.get("status", {}).get("phase") and time.monotonic() - self._begun > _UNSEEN:
            return Reason(
                "the Dask operator has not seen the DaskCluster; is the operator running, and does it watch "
                f"namespace {self.kubernetes.namespace}?"
            )
        return Reason("no pod yet")

    def _prefix(self, component: str) -> str:
        return f"{self.name}-scheduler" if component == "scheduler" else f"{self.name}-"

    async def _events(self) -> list[Found]:
        try:
            return await self.kubernetes.select("events")
        except InputError:  # a role without events: the states of the pods tell enough
            return []

    async def _failure(
        self, pods: Sequence[Found], reason: Reason, component: str, ready: int, count: int, late: bool
    ) -> InputError:
        """Return the error to raise; after the time limit one that may pass."""
        tries = "is not ready" if component == "scheduler" else f"are not ready ({ready} of {count})"
        what = "the scheduler" if component == "scheduler" else "the workers"
        seconds = time.monotonic() - self._begun
        limit = " (cluster.timeout)" if late else ""
        texts = [reason.text]
        waiting = [pod for pod in pods if reasons.of_pod(pod) is not None]
        if waiting:
            texts += reasons.warnings(await self._events(), self._prefix(component))[-2:]
            texts += [await reasons.last_words(self.kubernetes, waiting)]
        details = "; ".join(dict.fromkeys(text for text in texts if text))
        error = ClusterStartError if late else InputError
        return error(
            f"cluster.kind=kubernetes: {what} of {self.name} {tries} after {seconds:.0f} s{limit}: {details}"
        )

    def _tell(self, reason: str, progress: str) -> None:
        now = time.monotonic()
        if reason in self._told and now - self._told_at < _TELL:
            return
        self._told.add(reason)
        self._told_at = now
        logger.info("cluster %s: %s (%s, %.0f s)", self.name, reason, progress, now - self._begun)

    def _gives_up(self, reason: Reason) -> bool:
        """Return whether it is of no use to wait; a pull of an image may fail for a short while."""
        now = time.monotonic()
        self._pulling_since = (self._pulling_since or now) if reason.pulls else None
        return reason.hopeless or (self._pulling_since is not None and now - self._pulling_since > _PULL)
