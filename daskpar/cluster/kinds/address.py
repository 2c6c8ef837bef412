"""Clusters that run already, by the address of their scheduler.

Before a client is made, the scheduler must identify itself within a time limit, so that a wrong address fails
with one line.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from daskpar.cluster.kind import ClusterKind
from daskpar.cluster.loopback import quiet
from daskpar.errors import InputError
from daskpar.registry import register
from daskpar.settings import setting

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

_SECONDS = 10


@register("address")
@dataclass(frozen=True)
class Address(ClusterKind):
    """Cluster that runs already, started by someone else.

    The end of the context closes the client only.

    Args:
        address: Address of the scheduler, with its protocol and port, e.g. "tcp://10.0.0.1:8786". Required,
            although the default is None.

    Raises:
        InputError: From `client`, if no scheduler answers there within 10 seconds or it has no workers.

    Example:
        >>> from daskpar import open_client
        >>> from daskpar.cluster.kinds.address import Address
        >>> with open_client("threads", dashboard_port=0) as first:
        ...     with Address(first.scheduler.address).client() as second:
        ...         second.submit(sum, [1, 2, 3]).result()
        6
    """

    address: str | None = setting(
        None, "address of the scheduler, for kind address, e.g. tcp://10.0.0.1:8786"
    )

    @contextmanager
    def client(self) -> Iterator[Client]:
        with quiet("client"), connect(self.address) as client:
            yield client


def connect(address: str | None) -> Client:
    """Return a client of the scheduler at an address.

    Raises InputError in one line if no scheduler answers within 10 seconds, or if it has no workers.
    """
    from distributed import Client

    if not address:
        raise InputError("cluster.kind=address needs cluster.address, e.g. tcp://10.0.0.1:8786")
    try:
        answer = _run_in_a_thread(_identity, address)
        if answer.get("type") != "Scheduler":
            raise ValueError(f"but a {answer.get('type')} does")
        client = Client(address, timeout=f"{_SECONDS}s")
    except Exception as error:  # each protocol raises other errors if its settings are missing
        raise InputError(
            f"cluster.address={address}: no scheduler answers there ({_reason(error)}); expected the "
            "address of a running scheduler, with the scheduler's port, not that of its dashboard"
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
    thread.join(3 * _SECONDS)
    if errors:
        raise errors[0]
    if not values:
        raise TimeoutError
    return values[0]
