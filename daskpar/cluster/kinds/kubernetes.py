"""A cluster on Kubernetes, through the dask operator and a specification of our own.

dask-kubernetes 2026.3.0 writes `dask-scheduler` and `dask-worker` into its default specification, which
distributed no longer installs since 2026.6.0: its pods cannot start. Quantities and ports of probes must be
strings or names in the custom resource. What was run: the specification, checked against the operator's own
resource definition; no cluster has been started from it yet.
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
    """Pods of a Kubernetes cluster, through the dask operator."""

    image: str | None = setting(None, "an image that has daskpar installed")
    namespace: str | None = setting(None, "where its pods run")

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
    """The `DaskCluster` resource (kubernetes.dask.org/v1) for a scheduler and so many workers."""
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
    """A `KubeCluster` from `cluster_spec`. Needs the operator in the cluster that KUBECONFIG names."""
    if not image:
        raise InputError("cluster.kind=kubernetes needs cluster.image, one that has daskpar installed")
    try:
        from dask_kubernetes.operator import KubeCluster
    except ImportError:
        raise InputError(
            "cluster.kind=kubernetes needs dask-kubernetes: pip install 'daskpar[kubernetes]'"
        ) from None
    spec = cluster_spec(f"daskpar-{uuid4().hex[:8]}", image, workers)
    try:
        return KubeCluster(custom_cluster_spec=spec, namespace=namespace)
    except Exception as error:  # kr8s and the API server fail each in their own way
        raise InputError(f"cluster.kind=kubernetes: the cluster did not start ({error})") from None
