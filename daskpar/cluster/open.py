"""Clients of clusters, opened by the kind of the cluster (`daskpar.cluster.kinds`, or a user's own kind)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import dask

from daskpar.cluster.kind import CLUSTERS, ClusterKind
from daskpar.cluster.patience import SETTING, read_patience
from daskpar.errors import InputError, unknown
from daskpar.settings import checked_arguments

if TYPE_CHECKING:
    from distributed import Client

_SETTINGS: dict[str, object] = {
    "distributed.scheduler.allowed-failures": 10,
    # Dask's periodic callbacks share the cores with the training. At the default intervals of 20 and 10 ms
    # they use 4 ms of each 69 ms of two lanes (the benchmark's CNN), and 6 % of the small MLP's time.
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.interval": "100ms",
    # By default Dask drops a nanny whose worker is absent for 15 s, which happens on a busy machine.
    "distributed.deploy.lost-worker-timeout": "365 days",
}


@contextmanager
@checked_arguments("cluster.")
def open_client(
    kind: str = "threads",
    workers: int | None = None,
    address: str | None = None,
    dashboard_port: int | None = None,
    image: str | None = None,
    namespace: str | None = None,
    patience: float | str | None = None,
    **more: object,
) -> Iterator[Any]:
    """Open a client of a cluster as a context manager.

    The end of the `with` block closes the client, and the cluster if it was started here. Local clusters
    listen on the loopback interface only. A kind ignores the arguments that it has no fields for.

    Worker processes import the program's main module again. So a program that uses `processes` or `cuda`
    must keep its work under `if __name__ == "__main__":`. Their workers that end are started again, up to a
    limit.

    Args:
        kind: Kind of the cluster, or the name of a registered `ClusterKind`. Default: "threads".

            - "threads": one worker with several threads in this process.
            - "processes": worker processes of one thread each on this machine.
            - "threaded-scheduler": Dask's threaded scheduler, without a cluster.
            - "address": a cluster that runs already.
            - "env": the cluster whose scheduler `DASK_SCHEDULER_ADDRESS` names.
            - "cuda": one worker process per visible GPU of this machine.
            - "kubernetes": pods, through the Dask operator.
        workers: Number of workers, for `processes` and `kubernetes`. For `threads`, the number of threads.
            For `env`, the number to wait for. Default: None, which is 2, and 1 for `env`.
        address: Address of the scheduler for `address`, e.g. "tcp://10.0.0.1:8786". Default: None.
        dashboard_port: Port of the dashboard for `threads`, `processes` and `cuda`. 0 is any free port. None
            is 8787, or any free port if 8787 is in use. Default: None.
        image: Container image with daskpar installed, for `kubernetes`. Default: None.
        namespace: Kubernetes namespace of the pods; None is that of the Kubernetes context. Default: None.
        patience: Time to wait for workers when a cluster has lost all of them, in seconds or as a text such
            as "5 minutes". None is `daskpar.patience` of Dask's configuration, or else 10 minutes.
            Default: None.
        **more: Fields of a registered `ClusterKind`.

    Returns:
        A context manager with a `distributed.Client`, or the text "threaded-scheduler" for that kind.

    Raises:
        InputError: The kind or an argument is not valid, or the cluster does not start or does not answer.

    Example:
        >>> from daskpar import open_client
        >>> with open_client("threads", workers=2, dashboard_port=0) as client:
        ...     client.submit(sum, [1, 2, 3]).result()
        6
    """
    if kind not in CLUSTERS:
        raise InputError(f"cluster.kind={kind!r} is not known; use one of {', '.join(CLUSTERS)}")
    names = [field.name for field in fields(CLUSTERS[kind])]
    for name in more:
        if name not in names:
            raise unknown(f"argument of cluster.kind={kind}", name, names)
    values: dict[str, object] = {
        "address": address,
        "dashboard_port": dashboard_port,
        "image": image,
        "namespace": namespace,
        **({} if workers is None else {"workers": workers}),
        **more,
    }
    chosen = CLUSTERS[kind](**{name: value for name, value in values.items() if name in names})
    with open_cluster(chosen, patience) as client:
        yield client


@contextmanager
def open_cluster(cluster: ClusterKind, patience: float | str | None = None) -> Iterator[Client | str]:
    """Open a client of a cluster and close both at the end; `patience` is that of `open_client`.

    Raises InputError if the cluster does not start or does not answer.
    """
    seconds = read_patience(patience)
    if not cluster.distributed:
        with cluster.client() as client:
            yield client
        return
    with dask.config.set({**_SETTINGS, SETTING: seconds}), cluster.client() as client:
        yield client
