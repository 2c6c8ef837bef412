"""Reset of Dask's threads after a fork, and refusal of clients from before the fork.

A forked child has only the thread that forked. So Dask's thread pools are replaced in the child. The
connections of a client belong to the parent, so its clients are refused. The child may open its own.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import TYPE_CHECKING
from weakref import WeakSet

from daskpar.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

_inherited: WeakSet[Client] = WeakSet()


def check_own(client: Client) -> None:
    """Raise InputError for a client that was made before this process was forked."""
    if client in _inherited:
        raise InputError(
            "the client belongs to the process that this one was forked from; open one here, pass "
            'client="threaded-scheduler", or start processes with the method spawn'
        )


def _renew() -> None:
    dask_threads: ModuleType | None = sys.modules.get("dask.threaded")
    if dask_threads is not None:
        dask_threads.pools.clear()
        vars(dask_threads).update(
            default_pool=None, pools_lock=threading.Lock(), main_thread=threading.current_thread()
        )
    distributed: ModuleType | None = sys.modules.get("distributed.client")
    if distributed is not None:
        _inherited.update(distributed.Client._instances)
    utils: ModuleType | None = sys.modules.get("distributed.utils")
    if utils is not None:  # the thread that unpickles tasks
        vars(utils)["_offload_executor"] = ThreadPoolExecutor(1, thread_name_prefix="Dask-Offload")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
