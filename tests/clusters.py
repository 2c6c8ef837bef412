"""Clusters for tests: those that many share, and some that few need."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import dask
from distributed import Client, LocalCluster, client as clients

from daskpar import open_client

_ANSWER = 60  # seconds that the workers of a shared cluster have to answer
_RETURN = {"threads": 0, "processes": 60}  # seconds that lost workers have to come back


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


class SharedCluster:
    """A cluster that is started when it is first used, and anew when it has lost what it consists of."""

    def __init__(self, kind: str):
        self.kind, self.started = kind, 0
        self._workers = 0
        self._client: Any = None
        self._open = ExitStack()

    @contextmanager
    def current(self) -> Iterator[Any]:
        """Its client, which is the current one meanwhile, and only then."""
        client = self.client()
        clients._set_global_client(client)
        try:
            with dask.config.set(scheduler="dask.distributed"):
                yield client
        finally:
            forget_clients()

    def client(self) -> Any:
        """A client whose workers are all there and answer."""
        if self._client is not None and not self._is_whole():
            self.close()
        if self._client is None:
            self._client = self._open.enter_context(open_client(self.kind, workers=2, dashboard_port=0))
            self._workers, self.started = len(self._answers()), self.started + 1
            _go_on_listening()
            forget_clients()
        return self._client

    def close(self) -> None:
        with suppress(Exception):  # whatever is left of it
            self._open.close()
        self._client, self._open = None, ExitStack()

    def _is_whole(self) -> bool:
        deadline = time.monotonic() + _RETURN[self.kind]
        while self._client.status == "running":
            with suppress(OSError, TimeoutError):
                if len(self._answers()) == self._workers:
                    return True
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        return False

    def _answers(self) -> dict[str, int]:
        """An answer of each worker that there is."""
        return self._client.sync(self._client._run, abs, -1, on_error="ignore", callback_timeout=_ANSWER)


def current_client() -> Client | None:
    """The client that a training takes which is given none."""
    return clients._get_global_client()


def forget_clients() -> None:
    """Let no client be the current one, open or not, and none be what dask computes with."""
    clients._global_clients.clear()
    clients._current_client.set(None)
    dask.config.config.pop("scheduler", None)


def _go_on_listening() -> None:
    """Undo what a cluster does to handlers of pytest, which puts them on distributed's logger, too."""
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.NOTSET)
