"""The end of a cluster of pods, within a time limit."""

from __future__ import annotations

import asyncio
import logging
import time

from daskpar.cluster.kubernetes.api import DASK, Kubernetes
from daskpar.errors import InputError

logger = logging.getLogger("daskpar")

_SECONDS = 30.0
_POLL = 0.5


async def delete(kubernetes: Kubernetes, name: str) -> None:
    """Delete a cluster and wait until it is gone, with its pods.

    Logs a warning on what is left after 30 seconds: while the operator is gone, a deletion does not end.
    """
    deadline = time.monotonic() + _SECONDS
    problem = ""
    try:
        if not await kubernetes.delete("daskclusters", name):
            await asyncio.sleep(1)  # a request to create it may have been interrupted on its way
            if not await kubernetes.delete("daskclusters", name):
                return
        while time.monotonic() < deadline:
            left = await _left(kubernetes, name)
            if not left:
                return
            problem = ", ".join(left)
            await asyncio.sleep(_POLL)
    except InputError as error:
        problem = f"DaskCluster {name} ({error})"
    logger.warning(
        "cluster %s: not gone after %.0f s; left: %s; see `kubectl get daskcluster,pods -n %s`",
        *(name, _SECONDS, problem, kubernetes.namespace),
    )


async def _left(kubernetes: Kubernetes, name: str) -> list[str]:
    """Return what is left of a cluster: its resource, and the pods that are not ending."""
    cluster = await kubernetes.get("daskclusters", name, DASK)
    pods = await kubernetes.select("pods", labels=f"dask.org/cluster-name={name}")
    ending = [pod for pod in pods if pod["metadata"].get("deletionTimestamp")]
    names = [f"pod {pod['metadata']['name']}" for pod in pods if pod not in ending]
    return [f"DaskCluster {name}"] * (cluster is not None) + names
