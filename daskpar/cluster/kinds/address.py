"""Clusters that run already, by the address of their scheduler.

Before a client is made, the scheduler must identify itself within a time limit, so that a wrong address fails
with one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from daskpar.cluster.connecting import client_of, reason
from daskpar.cluster.kind import ClusterKind
from daskpar.cluster.loopback import quiet
from daskpar.errors import InputError
from daskpar.registry import register
from daskpar.settings import setting

if TYPE_CHECKING:
    from distributed import Client


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

    can_return: ClassVar[bool] = True

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
    if not address:
        raise InputError("cluster.kind=address needs cluster.address, e.g. tcp://10.0.0.1:8786")
    try:
        client = client_of(address)
    except Exception as error:  # each protocol raises other errors if its settings are missing
        raise InputError(
            f"cluster.address={address}: no scheduler answers there ({reason(error)}); expected the "
            "address of a running scheduler, with the scheduler's port, not that of its dashboard"
        ) from None
    if not client.scheduler_info(n_workers=-1)["workers"]:
        client.close()
        raise InputError(f"cluster.address={address}: the scheduler has no workers; start some")
    return client
