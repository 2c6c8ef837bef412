"""Clusters that few tests need."""

from __future__ import annotations

from distributed import LocalCluster


def workers_in_this_process(count: int) -> LocalCluster:
    """So many workers of one thread each, between which values are sent, if only from thread to thread."""
    return LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=False,
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
    )
