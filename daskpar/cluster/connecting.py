"""Connections to schedulers that run already, by address, with errors in one line."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

SECONDS = 10
"""Time limit for one answer of a scheduler, in seconds."""


def client_of(address: str) -> Client:
    """Return a client of the scheduler at an address, after the scheduler has identified itself.

    Raises an error of many types if no scheduler answers within 10 seconds; see `reason`.
    """
    from distributed import Client

    identify(address)
    return Client(address, timeout=f"{SECONDS}s")


def identify(address: str) -> None:
    """Ask the server at an address who it is. Raises an error, also where it is no scheduler."""
    answer = _run_in_a_thread(_identity, address)
    if answer.get("type") != "Scheduler":
        raise ValueError(f"but a {answer.get('type')} does")


def reason(error: Exception) -> str:
    """Return in words why no scheduler answers."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, TimeoutError) or text.startswith("Timed out"):
        return "Timed out"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if "ssl_context" in text:
        return "tls:// needs certificates, set as distributed.comm.tls in Dask's configuration"
    if "abstract class" in text:
        return "the package for this protocol is not installed"
    return text[:200]


async def _identity(address: str) -> dict[str, Any]:
    from distributed.core import rpc
    from distributed.security import Security

    arguments = Security().get_connection_args("client")
    remote = rpc(address, timeout=SECONDS, connection_args=arguments)
    try:
        return await asyncio.wait_for(remote.identity(), SECONDS)
    finally:
        await remote.close_rpc()


def _run_in_a_thread(function: Callable[[str], Coroutine[object, object, T]], argument: str) -> T:
    """Run a coroutine to its end in a new thread, because this thread may have a running event loop."""
    values: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            values.append(asyncio.run(function(argument)))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(3 * SECONDS)
    if errors:
        raise errors[0]
    if not values:
        raise TimeoutError
    return values[0]
