"""The end of a cluster of pods, within a time limit."""

from __future__ import annotations

import asyncio
import logging
import time

from daskpar.cluster.kubernetes.api import DASK, Kubernetes
from daskpar.errors import InputError

logger = logging.getLogger("daskpar")

_SECONDS = 30.0
_RELEASE = 5.0  # seconds for the operator to let go of the cluster, if it is there at all
_POLL = 0.5


async def delete(kubernetes: Kubernetes, name: str) -> None:
    """Delete a cluster and wait until it is gone, with its pods.

    An operator that is gone or busy holds up a deletion. One that creates the parts of a cluster while it is
    deleted leaves them. So after 5 seconds the cluster does not wait for it: Kubernetes itself deletes what
    belongs to a resource that is gone. Logs a warning on what is left after 30 seconds.
    """
    begun, released, left = time.monotonic(), False, [f"DaskCluster {name}"]
    try:
        if not await kubernetes.delete("daskclusters", name):
            await asyncio.sleep(1)  # a request to create it may have been interrupted on its way
            if not await kubernetes.delete("daskclusters", name):
                return
        while time.monotonic() - begun < _SECONDS:
            pods, exists = await _pods(kubernetes, name), await _exists(kubernetes, name)
            if not pods and not exists:
                return
            if exists and not released and time.monotonic() - begun > _RELEASE:
                await kubernetes.release("daskclusters", name)
                released = True
            left = [*([f"DaskCluster {name}"] if exists else []), *(f"pod {pod}" for pod in pods)]
            await asyncio.sleep(_POLL)
    except InputError as error:
        left = [f"DaskCluster {name} ({error})"]
    logger.warning(
        "cluster %s: not gone after %.0f s; left: %s; see `kubectl get daskcluster,pods -n %s`",
        *(name, time.monotonic() - begun, ", ".join(left), kubernetes.namespace),
    )


async def _exists(kubernetes: Kubernetes, name: str) -> bool:
    return await kubernetes.get("daskclusters", name, DASK) is not None


async def _pods(kubernetes: Kubernetes, name: str) -> list[str]:
    """Return the names of the pods of a cluster that are not ending."""
    pods = await kubernetes.select("pods", labels=f"dask.org/cluster-name={name}")
    return [pod["metadata"]["name"] for pod in pods if not pod["metadata"].get("deletionTimestamp")]
