"""Arrays that flow through a model, from operation to operation."""

from __future__ import annotations

from typing import NamedTuple

from daskpar.backend.array import Array


class Flow(NamedTuple):
    """The values that one operation passes to the next. In the backward pass, `x` is the gradient.

    `held` are the inputs of shortcuts whose residual has not ended.
    """

    x: Array
    mask: Array | None = None
    held: tuple[Array, ...] = ()
