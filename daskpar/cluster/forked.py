"""Things that a forked child must not take over from its parent: threads that are gone, and connections.

A child has the thread that forked and no other. Dask's pools of threads are made anew in it; a client's
connections stay the parent's, so clients from before the fork are refused. The child may open one of its own.
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
            "the client belongs to the process that this one was forked from; open one here, give "
            'client="threaded-scheduler", or start processes by spawn'
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
    if utils is not None:  # one thread, which tasks to run are unpacked in
        vars(utils)["_offload_executor"] = ThreadPoolExecutor(1, thread_name_prefix="Dask-Offload")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
