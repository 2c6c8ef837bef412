"""A cluster on Kubernetes, through the dask operator and a specification of our own.

dask-kubernetes 2026.3.0 writes `dask-scheduler` and `dask-worker` into its default specification, which
distributed no longer installs since 2026.6.0: its pods cannot start. Quantities and ports of probes must be
strings or names in the custom resource. What was run: the specification, checked against the operator's own
resource definition; no cluster has been started from it yet.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from daskpar.errors import InputError


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
