"""A run's description, as far as a plan follows from it."""

from __future__ import annotations

from typing import Protocol

from daskpar.data.order import Order
from daskpar.layout.partition import Partition
from daskpar.layout.whole import Cuts
from daskpar.nn.parameters import ParameterTable
from daskpar.optim.gradient import Clip
from daskpar.optim.optimizer import Optimizer


class Described(Protocol):
    """A run's description, as far as a plan follows from it."""

    @property
    def layout(self) -> Cuts: ...
    @property
    def partition(self) -> Partition: ...
    @property
    def table(self) -> ParameterTable: ...
    @property
    def order(self) -> Order: ...
    @property
    def clip(self) -> Clip: ...
    @property
    def outer(self) -> Optimizer | None: ...
