"""The executor of one training or evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from daskpar.cluster.clients import current_client, worker_count
from daskpar.cluster.executor import Executor, choose_executor
from daskpar.train.settings import Settings


@contextmanager
def session(settings: Settings) -> Iterator[tuple[Executor, Settings]]:
    """Open an executor for the settings' client, and yield it with the settings, lanes filled in."""
    client = current_client(settings.client)
    layout = settings.fixed_layout
    if layout.lanes == "auto" and layout.data == 1:
        layout = replace(layout, data=worker_count(client))
        settings = replace(settings, layout=layout)
    executor = choose_executor(client, layout.slots, settings.blas_threads)
    try:
        yield executor, settings
    finally:
        executor.close()
