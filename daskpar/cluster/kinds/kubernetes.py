"""Clusters on Kubernetes, through the Dask operator and daskpar's own specification.

The default specification of dask-kubernetes 2026.3.0 starts `dask-scheduler` and `dask-worker`, commands that
distributed 2026.6.0 and later do not install, so its pods cannot start. In the custom resource, quantities
must be strings and ports of probes must be names.

Status: tests check the specification against the operator's resource definition. No cluster has been started
from it yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from daskpar.cluster.kind import WithWorkers
from daskpar.cluster.setup import QuietTasks
from daskpar.errors import InputError
from daskpar.registry import register
from daskpar.settings import setting

if TYPE_CHECKING:
    from distributed import Client


@register("kubernetes")
@dataclass(frozen=True)
class Kubernetes(WithWorkers):
    """Cluster of pods on Kubernetes, started through the Dask operator.

    KUBECONFIG must name a Kubernetes cluster with the operator. Needs dask-kubernetes.

    Args:
        workers: Number of worker pods, of one thread each. Default: 2.
        image: Container image with daskpar installed. Required, although the default is None.
        namespace: Kubernetes namespace of the pods. None is that of the Kubernetes context. Default: None.

    Raises:
        InputError: From `client`, if the image is missing, dask-kubernetes is not installed, the cluster does
            not start, or its workers are not ready within 600 seconds.

    Example:
        >>> from daskpar.cluster.kinds.kubernetes import Kubernetes
        >>> Kubernetes(workers=8, image="registry.example.com/daskpar:1")
        Kubernetes(workers=8, image='registry.example.com/daskpar:1')
    """

    image: str | None = setting(None, "container image with daskpar installed, for kind kubernetes")
    namespace: str | None = setting(
        None, "Kubernetes namespace of the pods, for kind kubernetes; null: that of the Kubernetes context"
    )

    @contextmanager
    def client(self) -> Iterator[Client]:
        from distributed import Client

        with start(self.workers, self.image, self.namespace) as cluster, Client(cluster) as client:
            _wait(client, self.workers)
            client.register_plugin(QuietTasks())
            yield client


def _wait(client: Client, workers: int, seconds: float = 600) -> None:
    try:
        client.wait_for_workers(workers, timeout=seconds)
    except TimeoutError:
        raise InputError(
            f"cluster.kind=kubernetes: {workers} workers did not come up in {seconds:.0f} s; "
            "`kubectl describe pods` says why"
        ) from None


def cluster_spec(name: str, image: str, workers: int) -> dict[str, Any]:
    """Return the `DaskCluster` resource (kubernetes.dask.org/v1) of a scheduler and `workers` workers."""
    labels = {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    ports = {"tcp-comm": 8786, "http-dashboard": 8787}
    scheduler = {
        "name": "scheduler",
        "image": image,
        "args": ["dask", "scheduler", "--host", "0.0.0.0"],
        "ports": [{"name": n, "containerPort": p, "protocol": "TCP"} for n, p in ports.items()],
        "readinessProbe": {"httpGet": {"port": "http-dashboard", "path": "/health"}, "periodSeconds": 5},
        "livenessProbe": {"httpGet": {"port": "http-dashboard", "path": "/health"}, "periodSeconds": 20},
    }
    worker = {
        "name": "worker",
        "image": image,
        "args": ["dask", "worker", "--name", "$(DASK_WORKER_NAME)", "--nthreads", "1"],
    }
    service = {
        "type": "ClusterIP",
        "selector": labels,
        "ports": [{"name": n, "port": p, "targetPort": n, "protocol": "TCP"} for n, p in ports.items()],
    }
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": name},
        "spec": {
            "worker": {"replicas": workers, "spec": {"containers": [worker]}},
            "scheduler": {"spec": {"containers": [scheduler]}, "service": service},
        },
    }


def start(workers: int, image: str | None, namespace: str | None) -> Any:
    """Start a `KubeCluster` from `cluster_spec`, in the Kubernetes cluster that KUBECONFIG names.

    Raises InputError without an image or dask-kubernetes, or if the cluster does not start.
    """
    if not image:
        raise InputError("cluster.kind=kubernetes needs cluster.image, an image with daskpar installed")
    try:
        from dask_kubernetes.operator import KubeCluster
    except ImportError:
        raise InputError(
            "cluster.kind=kubernetes needs dask-kubernetes: pip install 'daskpar[kubernetes]'"
        ) from None
    spec = cluster_spec(f"daskpar-{uuid4().hex[:8]}", image, workers)
    try:
        return KubeCluster(custom_cluster_spec=spec, namespace=namespace)
    except Exception as error:  # kr8s and the API server raise errors of many types
        raise InputError(f"cluster.kind=kubernetes: the cluster did not start ({error})") from None
