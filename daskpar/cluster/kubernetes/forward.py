"""Ports of the scheduler on this machine, forwarded through the API server."""

from __future__ import annotations

from daskpar.cluster.kubernetes.api import Found, Kubernetes
from daskpar.cluster.kubernetes.pods import DASHBOARD_PORT, SCHEDULER_PORT
from daskpar.cluster.loopback import free_port


class Forward:
    """Ports of a scheduler's service on the loopback interface of this machine.

    Each connection goes to the pod that the service selects at that time, so it survives a new pod.
    """

    def __init__(self, kubernetes: Kubernetes, service: Found):
        from kr8s.asyncio.objects import Service

        target = Service(service, api=kubernetes.api)
        self._scheduler = target.portforward(SCHEDULER_PORT, local_port="auto")
        self._dashboard = target.portforward(DASHBOARD_PORT, local_port=free_port(None) or "auto")

    async def start(self) -> tuple[int, int]:
        """Start to listen, and return the local ports of the scheduler and of its dashboard."""
        return await self._scheduler.start(), await self._dashboard.start()

    async def stop(self) -> None:
        """Stop to listen."""
        await self._scheduler.stop()
        await self._dashboard.stop()
