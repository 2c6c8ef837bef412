"""The contract of a kind of cluster."""

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
    """A kind of cluster. Its fields are its keys in the section `cluster` of a config.

    A kind of one's own is registered, and returns a client from `client`:

    >>> from daskpar.registry import register
    >>> @register("doctest-cluster")
    ... @dataclass(frozen=True)
    ... class Toy(ClusterKind):
    ...     rooms: int = setting(1, "rooms of the cluster", at_least=1)
    >>> Toy(rooms=0)
    Traceback (most recent call last):
    daskpar.errors.InputError: cluster.rooms=0 must be at least 1
    """

    kind: ClassVar[str] = "cluster"
    distributed: ClassVar[bool] = True
    """True for a kind with a distributed scheduler."""
    apart: ClassVar[bool] = True
    """True where its workers are processes apart from the client's."""

    def client(self) -> AbstractContextManager[Client | str]:
        """A client as a context: closed at its end, with whatever was started for it.

        Raises InputError, in one line, where the cluster cannot be had.
        """
        raise TypeError(f"{type(self).__name__} has no client")

    def _name_in_messages(self, field: str) -> str:
        return f"cluster.{field}"


CLUSTERS = Table("cluster.kind", ClusterKind, "daskpar.cluster.kinds")


@dataclass(frozen=True)
class WithWorkers(ClusterKind):
    """A kind that starts so many workers."""

    workers: int = setting(2, "workers to start; of threads, threads of one worker", at_least=1)


@dataclass(frozen=True)
class WithDashboard(ClusterKind):
    """A kind whose scheduler runs on this machine, and its dashboard with it."""

    dashboard_port: int | None = setting(
        None, "8787, or any free one if taken", at_least=0, at_most=2**16 - 1
    )
