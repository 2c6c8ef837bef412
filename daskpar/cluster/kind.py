"""Interface of a kind of cluster, and the fields that several kinds have."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from daskpar.registry import Table
from daskpar.settings import Block, setting

if TYPE_CHECKING:
    from distributed import Client

THREADED = "threaded-scheduler"


@dataclass(frozen=True)
class ClusterKind(Block):
    """Base class of the kinds of clusters.

    Fields of a subclass are keys of the section `cluster` in a config, and keywords of `open_client`. To add
    a kind, register a frozen dataclass that overrides `client`.

    Example:
        >>> from contextlib import contextmanager
        >>> from dataclasses import dataclass
        >>> from daskpar import open_client, register
        >>> from daskpar.cluster import ClusterKind
        >>> @register("example-cluster")
        ... @dataclass(frozen=True)
        ... class ExampleCluster(ClusterKind):
        ...     rooms: int = setting(1, "number of rooms, for kind example-cluster", at_least=1)
        ...
        ...     @contextmanager
        ...     def client(self):
        ...         yield f"a client of {self.rooms} rooms"
        >>> with open_client("example-cluster", rooms=3) as client:
        ...     print(client)
        a client of 3 rooms
        >>> ExampleCluster(rooms=0)
        Traceback (most recent call last):
        daskpar.errors.InputError: cluster.rooms=0 must be at least 1
    """

    kind: ClassVar[str] = "cluster"
    distributed: ClassVar[bool] = True
    """True if the cluster has a scheduler of `distributed`."""
    apart: ClassVar[bool] = True
    """True if the workers are in other processes than the client."""
    can_return: ClassVar[bool] = False
    """True if a cluster that was lost can be there again when it is opened once more."""

    @property
    def elastic(self) -> bool:
        """True if the number of workers follows the work."""
        return False

    def client(self) -> AbstractContextManager[Client | str]:
        """Return a context manager that opens a client, and at its end closes all that it started.

        Raises InputError, in one line, if the cluster does not start or does not answer.
        """
        raise TypeError(f"{type(self).__name__} has no client")

    def _name_in_messages(self, field: str) -> str:
        return f"cluster.{field}"


CLUSTERS = Table("cluster.kind", ClusterKind, "daskpar.cluster.kinds")


@dataclass(frozen=True)
class WithWorkers(ClusterKind):
    """Base class of kinds that start a number of workers.

    Args:
        workers: Number of workers to start. Default: 2.
    """

    workers: int = setting(
        2,
        "number of workers, for kinds processes and kubernetes; for kind threads, threads of one worker",
        at_least=1,
    )


@dataclass(frozen=True)
class WithDashboard(ClusterKind):
    """Base class of kinds that start a scheduler with a dashboard on this machine.

    Args:
        dashboard_port: Port of the dashboard. 0 is any free port. None is 8787, or any free port if 8787 is
            in use. Default: None.
    """

    dashboard_port: int | None = setting(
        None,
        "port of the dashboard, for kinds threads, processes and cuda; 0: any free port; null: 8787 if free, "
        "else any free port",
        at_least=0,
        at_most=2**16 - 1,
    )
