"""The description of a run, as far as its plan depends on it."""

from __future__ import annotations

from typing import Protocol

from daskpar.data.sampler import Sampler
from daskpar.layout.cuts import Cuts
from daskpar.layout.partition import Partition
from daskpar.nn.parameters import ParameterTable
from daskpar.optim.optimizer import Optimizer


class Clipping(Protocol):
    """Limits on gradients."""

    @property
    def norm(self) -> float | None:
        """The limit on the norm of the whole gradient, or None."""


class Described(Protocol):
    """The description of a run, as far as its plan depends on it."""

    @property
    def layout(self) -> Cuts:
        """The layout."""

    @property
    def partition(self) -> Partition:
        """The model, cut by the layout."""

    @property
    def table(self) -> ParameterTable:
        """The place of each parameter in the flat buffer of the whole model."""

    @property
    def order(self) -> Sampler:
        """The order in which rows are drawn."""

    @property
    def clip(self) -> Clipping:
        """The limits on gradients."""

    @property
    def norms_every(self) -> int:
        """Steps between those whose norms by layer are logged; 0 logs none."""

    @property
    def outer(self) -> Optimizer | None:
        """The optimizer that is applied to averages of replicas, or None."""
