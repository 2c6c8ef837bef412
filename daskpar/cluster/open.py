"""Clients of clusters by kind; each kind is a module of `daskpar.cluster.kinds`, or a user's own."""

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
    # What Dask does now and then beside the work, on the same cores: at its own intervals, 20 and 10 ms, it
    # takes 4 ms of each 69 ms of two lanes (the benchmark's CNN), and 6 % of the small MLP's time.
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.interval": "100ms",
    # Else Dask gives up a nanny whose worker is away for 15 s, as it may well be on a busy machine.
    "distributed.deploy.lost-worker-timeout": "365 days",
}


@contextmanager
@checked_arguments("cluster.")
def open_client(
    kind: str = "threads",
    workers: int = 2,
    address: str | None = None,
    dashboard_port: int | None = None,
    image: str | None = None,
    namespace: str | None = None,
    patience: float | str | None = None,
    **more: object,
) -> Iterator[Any]:
    """A client of a cluster of this kind, closed at the end with the cluster it started.

    For `threaded-scheduler`, which needs neither, its name. Local clusters listen on the loopback interface
    only. `dashboard_port`: None takes 8787, or any free port where that is taken; 0 any. `more`: fields of a
    kind of one's own. A kind takes of all these what it has fields for.

    Worker processes run the program's main module again, so a program that uses `processes` or `cuda` keeps
    what it does under `if __name__ == "__main__":`. Those that end are started anew, within bounds. A cluster
    of another kind that has no workers left is waited for as long as `patience` says, in seconds or as a text
    such as "5 minutes"; None: 10 minutes, or what `daskpar.patience` of Dask's configuration says.
    Raises InputError where the cluster cannot be had.
    """
    if kind not in CLUSTERS:
        raise InputError(f"cluster.kind={kind!r} is not known; use one of {', '.join(CLUSTERS)}")
    names = [field.name for field in fields(CLUSTERS[kind])]
    for name in more:
        if name not in names:
            raise unknown(f"argument of cluster.kind={kind}", name, names)
    values: dict[str, object] = {
        "workers": workers,
        "address": address,
        "dashboard_port": dashboard_port,
        "image": image,
        "namespace": namespace,
        **more,
    }
    chosen = CLUSTERS[kind](**{name: value for name, value in values.items() if name in names})
    with open_cluster(chosen, patience) as client:
        yield client


@contextmanager
def open_cluster(cluster: ClusterKind, patience: float | str | None = None) -> Iterator[Client | str]:
    """A client of a cluster, closed at the end with what was started for it; `patience` as in `open_client`.

    Raises InputError where the cluster cannot be had.
    """
    seconds = read_patience(patience)
    if not cluster.distributed:
        with cluster.client() as client:
            yield client
        return
    with dask.config.set({**_SETTINGS, SETTING: seconds}), cluster.client() as client:
        yield client
