"""A run's description, as far as a plan follows from it."""

from __future__ import annotations

from typing import Protocol

from daskpar.data.sampler import Sampler
from daskpar.layout.cuts import Cuts
from daskpar.layout.partition import Partition
from daskpar.nn.parameters import ParameterTable
from daskpar.optim.optimizer import Optimizer


class Clipping(Protocol):
    """Limits on gradients; `norm`: on the norm of all of them, or None."""

    @property
    def norm(self) -> float | None: ...


class Described(Protocol):
    """A run's description, as far as a plan follows from it."""

    @property
    def layout(self) -> Cuts: ...
    @property
    def partition(self) -> Partition: ...
    @property
    def table(self) -> ParameterTable: ...
    @property
    def order(self) -> Sampler: ...
    @property
    def clip(self) -> Clipping: ...
    @property
    def outer(self) -> Optimizer | None: ...
