"""The door for clients: every client that a training, an evaluation or a plan uses comes in here.

Taken are
  * a distributed `Client` that is open and synchronous, and whose scheduler answers and has workers;
  * `"threaded-scheduler"`, Dask's own threaded scheduler, which needs no cluster;
  * None: the current client, and the threaded scheduler where there is none. Within a task of Dask it is the
    threaded scheduler, so that each task trains on its own worker, and as many train at once as the cluster
    has threads; with `client=get_client()` a task trains on the whole cluster instead.

Refused in one line, before anything starts, are asynchronous and closed clients, those that a forked child
has from its parent, those whose scheduler is gone or has no workers, and all that is no client: clusters,
addresses, kinds of clusters, futures, classes.

Checked where: `current_client` looks at the client itself, `known_workers` asks its scheduler (whenever an
executor is made, or lanes are counted). `daskpar.cluster.kinds.address` checks addresses before a client is
made of one. `daskpar.cluster.patience` decides how long a cluster that loses its workers is waited for.
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
_ANSWER = 30  # seconds that a scheduler has to answer
_WORKERS = 120  # seconds that the first worker of a cluster which is starting some has to come


class WorkerInfo(TypedDict, total=False):
    """The part of a scheduler's knowledge of a worker that is used here."""

    name: object
    host: str
    nthreads: int
    resources: dict[str, float]
    status: str
    metrics: dict[str, float]
    memory_limit: int | None  # bytes


Workers = dict[str, WorkerInfo]
"""Workers by address."""


def current_client(client: object) -> Client | str:
    """Return the client to use for `client`, which may be None: a usable `Client`, or `THREADED`.

    Raises InputError for a client that cannot be used, and for what is none.
    """
    _check_event_loop()
    given = client is not None
    if not given:
        client = _current()
    if client is None or client == THREADED:
        return THREADED
    _check(client, "the client given" if given else "the current client")
    check_own(client)
    return client


def _current() -> Client | None:
    if "distributed" not in sys.modules:
        return None
    from distributed import Client, get_worker

    with suppress(ValueError):
        if not within_task():
            return Client.current()
        client = Client.current(allow_global=False)  # of `worker_client`, or of whoever started the worker
        return client if client is getattr(get_worker(), "_client", None) else None
    return None


def within_task() -> bool:
    """Return whether this is a worker's thread, in a task of Dask or a method of an actor."""
    if "distributed.worker" not in sys.modules:
        return False
    from distributed.worker import thread_state

    return hasattr(thread_state, "execution_state")


def leave_thread_pool() -> Callable[[], None]:
    """Give the thread of a task back to its worker while the task waits; returns what takes one again.

    Tasks that wait for others on threads that those others need would wait for ever. Does nothing elsewhere,
    nor where the task has seceded already.
    """
    if not within_task():
        return _stay
    from distributed import rejoin, secede

    try:
        secede()
    except (KeyError, AttributeError):  # has left already; runs on no pool
        return _stay
    return rejoin


def _stay() -> None:
    pass


def _check_event_loop() -> None:
    """Refuse to block an event loop of Dask, where `client.run` and async tasks call functions."""
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
    """Return a client as it is. Raises InputError for what is none, nor `THREADED` or None."""
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
            f"{name} is closed; set `client` to one that is open, to {THREADED!r}, or to None, which takes "
            "the current one"
        )
    if client.asynchronous and not client._asynchronous:
        raise InputError(_LOOP)
    if client.asynchronous or client.status == "newly-created":
        raise InputError(
            f"{name} is asynchronous, and a training cannot wait for it here; pass a Client that was made "
            f"without asynchronous=True, or client={THREADED!r}, or train in a thread: asyncio.to_thread(...)"
        )
    if client.status != "running":
        raise _gone(client)


def _not_an_address(text: str) -> InputError:
    if "://" in text or text.rpartition(":")[2].isdigit():
        return InputError(f"client={text!r} is an address; pass distributed.Client({text!r})")
    if text in CLUSTERS:
        return InputError(
            f"client={text!r} is a kind of cluster; pass what `with open_client({text!r}) as client:` gives"
        )
    return InputError(f"client={text!r}: expected a distributed.Client, None or {THREADED!r}")


def _description(thing: object) -> str:
    """Say what something is that is no client, and what to pass instead."""
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
        return "a Future; pass the client that it is of, future.client"
    if isinstance(thing, Executor) and hasattr(thing, "_client"):
        return f"a {kind}; pass the client that it is of"
    if hasattr(thing, "__enter__") and kind == "_GeneratorContextManager":
        return "what open_client returns; write `with open_client(...) as client:`"
    return f"{kind}; write `with open_client(...) as client:`, or pass None or {THREADED!r}"


def _address(client: Client) -> str:
    return getattr(getattr(client, "scheduler", None), "address", None) or "an unknown address"


def _gone(client: Client) -> InputError:
    return InputError(
        f"client: the scheduler at {_address(client)} does not answer; make a Client of a cluster that runs"
    )


def known_workers(client: Client) -> Workers:
    """Return what the scheduler of a client knows of its workers, by address.

    Waits for the first one where the client's cluster is starting some. Raises InputError where the scheduler
    does not answer, and where it has no workers.
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
    """The lanes that suit a client's cluster: one for each worker, or for each thread of a single one."""
    if client == THREADED:
        return blas.cores()
    workers = list(known_workers(client).values())
    return len(workers) if len(workers) != 1 else workers[0]["nthreads"]
