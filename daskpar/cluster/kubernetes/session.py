"""A cluster of pods from its creation to its end, and a client of it.

    create the DaskCluster -> scheduler -> client -> workers -> versions -> training -> delete the DaskCluster

All requests run in one event loop in a thread of its own. The name of the cluster is chosen before the first
request, so an interrupt at any time deletes what was created.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import dask

from daskpar.cluster.kubernetes.api import Kubernetes, in_a_pod
from daskpar.cluster.kubernetes.deletion import delete
from daskpar.cluster.kubernetes.encryption import security_from
from daskpar.cluster.kubernetes.forward import Forward
from daskpar.cluster.kubernetes.owner import owned
from daskpar.cluster.kubernetes.pods import SCHEDULER_PORT
from daskpar.cluster.kubernetes.resources import PLURALS, resources
from daskpar.cluster.kubernetes.settings import Pods
from daskpar.cluster.kubernetes.starting import Start
from daskpar.cluster.kubernetes.versions import check_versions
from daskpar.cluster.loopback import quiet
from daskpar.cluster.setup import QuietTasks
from daskpar.errors import ClusterStartError, InputError, one_line
from daskpar.interrupts import sigterm_interrupts

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from distributed import Client

logger = logging.getLogger("daskpar")

T = TypeVar("T")

_CANCEL = 5.0  # seconds for the end of a coroutine that is cancelled


@contextmanager
def connected(pods: Pods) -> Iterator[Client]:
    """Create a cluster of pods, yield a client of it, and delete it at the end.

    Raises InputError in one line if the cluster does not start within `pods.timeout`; it is deleted then.
    """
    if not pods.image:
        raise InputError("cluster.kind=kubernetes needs cluster.image, an image with daskpar installed")
    try:
        from anyio.from_thread import start_blocking_portal
        from dask_kubernetes.operator import KubeCluster as KubeCluster  # a test that the extra is installed
    except ImportError:
        raise InputError(
            "cluster.kind=kubernetes needs dask-kubernetes: pip install 'daskpar[kubernetes]'"
        ) from None
    with sigterm_interrupts(), start_blocking_portal("asyncio") as portal:
        session = Session(portal, pods)
        try:
            with session.client() as client:
                yield client
        finally:
            session.close()


class Session:
    """One cluster of pods: the requests for it, in the event loop of `portal`."""

    def __init__(self, portal: BlockingPortal, pods: Pods):
        self.pods = pods
        self.name = pods.name or f"daskpar-{uuid4().hex[:8]}"
        self.deadline = time.monotonic() + pods.timeout
        self._portal = portal
        self._ours = self._started = False
        self._forward: Forward | None = None
        self._call(_ignore_broken_connections)
        self._kubernetes = self._call(Kubernetes.connect, pods.context, pods.namespace)

    @property
    def _left(self) -> float:
        return max(1.0, self.deadline - time.monotonic())

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Start the cluster and yield a client of it."""
        exists = self.pods.name is not None and self._call(self._exists)
        if exists:
            logger.info("cluster %s exists; it is used as it is, and left at the end", self.name)
        else:
            self._ours = True  # before the request, which may be interrupted on its way
            self._call(self._create)
        start = Start(self._kubernetes, self.name, self.deadline)
        count = 1 if exists else max(1, self.pods.workers + self.pods.gpu_workers)
        self._call(start.scheduler)
        with self._connected() as client:
            self._call(start.workers, count)
            self._wait_for(client, count)
            check_versions(client, str(self.pods.image))
            client.register_plugin(QuietTasks())
            self._started = True
            yield client

    @contextmanager
    def _connected(self) -> Iterator[Client]:
        from distributed import Client
        from distributed.versions import VersionMismatchWarning

        protocol = "tls" if self.pods.tls else "tcp"
        security = self._call(security_from, self._kubernetes, self.pods.tls) if self.pods.tls else None
        if in_a_pod():
            host = f"{self.name}-scheduler.{self._kubernetes.namespace}.svc.cluster.local"
            address, link = f"{protocol}://{host}:{SCHEDULER_PORT}", None
        else:
            scheduler, dashboard = self._call(self._start_forward)
            address, link = f"{protocol}://127.0.0.1:{scheduler}", f"http://127.0.0.1:{dashboard}/status"
        settings = {} if link is None else {"distributed.dashboard.link": link}
        with dask.config.set(settings), quiet("client", "core", "comm"), warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)  # `check_versions` is strict
            try:
                client = Client(address, timeout=self._left, security=security)
            except (OSError, TimeoutError, ValueError) as error:
                raise ClusterStartError(
                    f"cluster.kind=kubernetes: the scheduler of {self.name} runs, but does not answer at "
                    f"{address} ({one_line(str(error))})"
                ) from None
            with client:
                yield client

    def _wait_for(self, client: Client, count: int) -> None:
        try:
            client.wait_for_workers(count, timeout=self._left)
        except TimeoutError:
            known = len(client.scheduler_info(n_workers=-1)["workers"])
            raise ClusterStartError(
                f"cluster.kind=kubernetes: the pods of {count} workers of {self.name} run, but the scheduler "
                f"knows {known} after {self.pods.timeout:g} s (cluster.timeout)"
            ) from None

    def close(self) -> None:
        """Delete the cluster if it was created here, and end the requests."""
        try:
            if self._forward is not None:
                self._call(self._forward.stop)
        finally:
            if self._ours:
                self._end()
            self._call(self._kubernetes.close)

    def _end(self) -> None:
        if not (self.pods.keep_cluster and self._started):
            self._call(delete, self._kubernetes, self.name)
            return
        where = f"{self.name} -n {self._kubernetes.namespace}"
        logger.info(
            "cluster %s is kept: cluster.name=%s uses it again, `kubectl delete daskcluster %s` deletes it",
            *(self.name, self.name, where),
        )

    async def _exists(self) -> bool:
        return await self._kubernetes.get("daskclusters", self.name, "kubernetes.dask.org/v1") is not None

    async def _create(self) -> None:
        for number, resource in enumerate(resources(self.pods, self.name, self._kubernetes.namespace)):
            try:
                await self._kubernetes.create(PLURALS[str(resource["kind"])], owned(resource))
            except InputError:
                self._ours = number > 0  # the server has refused the cluster: there is nothing to delete
                raise
        logger.info("cluster %s: created in namespace %s", self.name, self._kubernetes.namespace)

    async def _start_forward(self) -> tuple[int, int]:
        service = await self._kubernetes.get("services", f"{self.name}-scheduler")
        assert service is not None, "`Start.scheduler` has waited for it"
        self._forward = Forward(self._kubernetes, service)
        return await self._forward.start()

    def _call(self, function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """Run a coroutine function in the event loop.

        If this thread is interrupted, the coroutine is cancelled, and has ended before the interrupt goes on:
        what it may have created is to be deleted then.
        """
        ended = threading.Event()

        async def run() -> T:
            try:
                return await function(*arguments)
            finally:
                ended.set()

        future = self._portal.start_task_soon(run)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            ended.wait(_CANCEL)
            raise


async def _ignore_broken_connections() -> None:
    """Log what forwarded connections raise when a pod goes, instead of printing tracebacks."""
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: logger.debug("a forwarded connection broke: %s", context.get("exception"))
    )
