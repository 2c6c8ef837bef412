"""Addresses of schedulers: asking who answers there, for a bounded time, before a client is made."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from daskpar.errors import InputError

_SECONDS = 10


def connect(address: str | None) -> Any:
    """Return a client of the scheduler at an address.

    Raises InputError in one line where no scheduler answers within 10 s, or where it has no workers.
    """
    from distributed import Client

    if not address:
        raise InputError("cluster.kind=address needs cluster.address, e.g. tcp://10.0.0.1:8786")
    try:
        answer = _run_in_a_thread(_identity, address)
        if answer.get("type") != "Scheduler":
            raise ValueError(f"but a {answer.get('type')} does")
        client = Client(address, timeout=f"{_SECONDS}s")
    except Exception as error:  # each protocol fails in its own way where its settings are missing
        raise InputError(
            f"cluster.address={address}: no scheduler answers there ({_reason(error)}); expected the "
            "address of a scheduler that runs, with the port that it listens at, not that of its dashboard"
        ) from None
    if not client.scheduler_info(n_workers=-1)["workers"]:
        client.close()
        raise InputError(f"cluster.address={address}: the scheduler has no workers; start some")
    return client


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, TimeoutError) or text.startswith("Timed out"):
        return "Timed out"
    if "ssl_context" in text:
        return "tls:// needs certificates, set as distributed.comm.tls in Dask's configuration"
    if "abstract class" in text:
        return "the package for this protocol is not installed"
    return text[:200]


async def _identity(address: str) -> dict[str, Any]:
    from distributed.core import rpc
    from distributed.security import Security

    arguments = Security().get_connection_args("client")
    remote = rpc(address, timeout=_SECONDS, connection_args=arguments)
    try:
        return await asyncio.wait_for(remote.identity(), _SECONDS)
    finally:
        await remote.close_rpc()


def _run_in_a_thread(function: Any, *args: Any) -> Any:
    """Run a coroutine to its end, also where this thread has an event loop that is running."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((True, asyncio.run(function(*args))))
        except BaseException as error:
            outcome.append((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(3 * _SECONDS)
    if not outcome:
        raise TimeoutError
    fine, value = outcome[0]
    if not fine:
        raise value
    return value
