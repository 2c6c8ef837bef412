"""Checks of clients: every client of a training, an evaluation or a plan passes through this module.

Accepted values of `client`:

* A distributed `Client` that is open and synchronous, with a scheduler that answers and has workers.
* `"threaded-scheduler"`: Dask's threaded scheduler, which needs no cluster.
* None: the current client, or the threaded scheduler if there is none. Within a task of Dask, None is the
  threaded scheduler: each task trains on its own worker, and the cluster's threads train side by side. With
  `client=get_client()` a task trains on the whole cluster instead.

Everything else is refused in one line before anything starts: asynchronous and closed clients, clients from
before a fork, clients without a scheduler or workers, and objects that are not clients (clusters, addresses,
kinds of clusters, futures, classes).

`current_client` checks the client itself. `known_workers` asks its scheduler, when an executor is made or
lanes are counted. `daskpar.cluster.kinds.address` checks addresses. `daskpar.cluster.patience` decides how
long to wait for a cluster that has lost its workers.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypedDict

from daskpar.backend import blas
from daskpar.cluster.forked import check_own
from daskpar.cluster.kind import CLUSTERS, THREADED
from daskpar.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

_LOOP = (
    "this is the event loop of a Dask worker or client (client.run, or an async task), which must not be "
    "blocked; train in a plain function, with client.submit"
)
_ANSWER = 30  # seconds: time limit for a scheduler's answer
_WORKERS = 120  # seconds: time limit for the first worker of a cluster that is starting


class WorkerInfo(TypedDict, total=False):
    """Scheduler's information on a worker, as far as daskpar uses it."""

    name: object
    host: str
    nthreads: int
    resources: dict[str, float]
    status: str
    metrics: dict[str, float]
    memory_limit: int | None  # bytes


Workers = dict[str, WorkerInfo]
"""Information on workers, by their address."""


def current_client(client: object) -> Client | str:
    """Return the client to use for `client`, which may be None: a usable `Client`, or `THREADED`.

    Raises InputError for a client that cannot be used, and for an object that is not a client.
    """
    _check_event_loop()
    name = "the current client" if client is None else "the client given"
    if client is None:
        client = _current()
    if client is None or client == THREADED:
        return THREADED
    _check(client, name)
    check_own(client)
    return client


def _current() -> Client | None:
    if "distributed" not in sys.modules:
        return None
    from distributed import Client, get_worker

    with suppress(ValueError):
        if not within_task():
            return Client.current()
        client = Client.current(allow_global=False)  # from `worker_client`, or from the worker's starter
        return client if client is getattr(get_worker(), "_client", None) else None
    return None


def within_task() -> bool:
    """Return whether this thread of a worker runs a Dask task or a method of an actor."""
    if "distributed.worker" not in sys.modules:
        return False
    from distributed.worker import thread_state

    return hasattr(thread_state, "execution_state")


def leave_thread_pool() -> Callable[[], None]:
    """Leave the worker's thread pool while a task waits, and return the function that rejoins it.

    Otherwise a task could wait for ever for tasks that need its thread. Outside a task, and in a task that
    has seceded already, nothing happens.
    """
    if not within_task():
        return _stay
    from distributed import rejoin, secede

    try:
        secede()
    except (KeyError, AttributeError):  # it has left already, or runs in no pool
        return _stay
    return rejoin


def _stay() -> None:
    pass


def _check_event_loop() -> None:
    """Refuse to block an event loop of Dask, in which `client.run` and async tasks call functions."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return
    code = getattr(task.get_coro(), "cr_code", None) if task is not None else None
    if code is not None and code.co_filename.startswith(os.path.dirname(str(distributed.__file__))):
        raise InputError(_LOOP)


def check_type(client: object) -> object:
    """Return `client` unchanged. Raises InputError unless it is a Client, `THREADED` or None."""
    if client is None or (isinstance(client, str) and client == THREADED):
        return client
    if isinstance(client, str):
        raise _not_an_address(client)
    from distributed import Client

    if not isinstance(client, Client):
        raise InputError(f"client: expected a distributed.Client, got {_description(client)}")
    return client


def _check(client: object, name: str) -> None:
    from distributed import Client

    check_type(client)
    assert isinstance(client, Client)
    if client.status in ("closed", "closing"):
        raise InputError(
            f"{name} is closed; set `client` to an open one, to {THREADED!r}, or to None for the current "
            "client"
        )
    if client.asynchronous and not client._asynchronous:
        raise InputError(_LOOP)
    if client.asynchronous or client.status == "newly-created":
        raise InputError(
            f"{name} is asynchronous, and a training cannot wait for it here; pass a Client made without "
            f"asynchronous=True, or client={THREADED!r}, or train in a thread: asyncio.to_thread(...)"
        )
    if client.status != "running":
        raise _gone(client)


def _not_an_address(text: str) -> InputError:
    if "://" in text or text.rpartition(":")[2].isdigit():
        return InputError(f"client={text!r} is an address; pass distributed.Client({text!r})")
    if text in CLUSTERS:
        return InputError(
            f"client={text!r} is a kind of cluster; write `with open_client({text!r}) as client:` and pass "
            "the client"
        )
    return InputError(f"client={text!r}: expected a distributed.Client, None or {THREADED!r}")


def _description(thing: object) -> str:
    """Return text for a message: the type of an object that is not a client, and what to pass instead."""
    from concurrent.futures import Executor

    from distributed import Future, Scheduler, Worker
    from distributed.deploy.cluster import Cluster

    kind = type(thing).__name__
    if isinstance(thing, type):
        return f"the class {thing.__name__}; pass an instance of Client"
    if isinstance(thing, Cluster):
        return f"a {kind}; pass Client(cluster)"
    if isinstance(thing, Scheduler | Worker):
        return f"a {kind}; pass Client({thing.address!r})"
    if isinstance(thing, Future):
        return "a Future; pass its client, future.client"
    if isinstance(thing, Executor) and hasattr(thing, "_client"):
        return f"a {kind}; pass the client that it was made from"
    if hasattr(thing, "__enter__") and kind == "_GeneratorContextManager":
        return "the context manager of open_client; write `with open_client(...) as client:`"
    return f"{kind}; write `with open_client(...) as client:`, or pass None or {THREADED!r}"


def _address(client: Client) -> str:
    return getattr(getattr(client, "scheduler", None), "address", None) or "an unknown address"


def _gone(client: Client) -> InputError:
    return InputError(
        f"client: the scheduler at {_address(client)} does not answer; make a Client of a running cluster"
    )


def known_workers(client: Client) -> Workers:
    """Return the information on its workers that a client's scheduler has, by address.

    Waits for the first worker if the client's cluster is starting workers. Raises InputError if the scheduler
    does not answer or has no workers.
    """
    deadline = time.monotonic() + _WORKERS
    while True:
        workers = _ask(client)
        if workers:
            return workers
        if not _are_coming(client) or time.monotonic() > deadline:
            raise InputError(
                f"client: the scheduler at {_address(client)} has no workers; start some, e.g. with "
                f"cluster.scale(2) or `dask worker {_address(client)}`"
            )
        time.sleep(0.2)


def _ask(client: Client) -> Workers:
    from distributed.comm import CommClosedError

    try:
        answer = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=_ANSWER)
    except (OSError, TimeoutError, CommClosedError, RuntimeError, AttributeError):
        raise _gone(client) from None
    return answer["workers"]


def _are_coming(client: Client) -> bool:
    cluster = getattr(client, "cluster", None)
    return bool(cluster is not None and getattr(cluster, "plan", None))


def worker_count(client: Client | str) -> int:
    """Return the number of lanes for a client's cluster: its workers, or the threads of a single worker."""
    if client == THREADED:
        return blas.cores()
    workers = list(known_workers(client).values())
    return len(workers) if len(workers) != 1 else workers[0]["nthreads"]
