"""What is done to a gradient before the optimizer sees it: penalties and clipping.

All three work in place on a flat gradient that the caller owns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daskpar.backend.array import Array, array_module
from daskpar.errors import NotFiniteError
from daskpar.optim.optimizer import Tensors, chunked, decay_into
from daskpar.settings import Block, setting

_SMALL = 1e-30  # sums of squares below it, and soon numbers, lose digits in float32


@dataclass(frozen=True)
class Penalty(Block):
    """Adds the gradient of l1·|w| + ½·l2·|w|² for the tensors that weight decay applies to.

    The reported loss stays that of the data.
    """

    l1: float = setting(0.0, "factor of the sum of |w|", at_least=0)
    l2: float = setting(0.0, "factor of half the sum of w²", at_least=0)

    def _name_in_messages(self, field: str) -> str:
        return f"regularisation.{field}"

    def apply(self, grads: Array, params: Array, tensors: Tensors) -> None:
        decay_into(grads, params, self.l2, tensors)
        if self.l1:
            xp = array_module(params)
            for start, stop in tensors.decayed:
                for g, p in chunked(grads[start:stop], params[start:stop]):
                    g += self.l1 * xp.sign(p)


@dataclass(frozen=True)
class Clip(Block):
    """Limits each element to ±`value`, and then the norm of the whole gradient to `norm`."""

    value: float | None = setting(None, "the largest size of an element", above=0)
    norm: float | None = setting(None, "the largest norm of the whole gradient", above=0)

    def apply(self, grads: Array, norm: float | None = None) -> None:
        """Limit a gradient in place. `norm`: that of the whole gradient, where `grads` are a part of it.

        Raises NotFiniteError where an element or the norm is NaN or infinite; the gradient is then as it was.
        """
        xp = array_module(grads)
        if self.value is not None:
            if not bool(xp.isfinite(grads).all()):
                raise NotFiniteError("the gradient is not finite")
            xp.clip(grads, -self.value, self.value, out=grads)
        if self.norm is not None:
            size = self.size(grads) if norm is None else norm
            if not math.isfinite(size):
                raise NotFiniteError(f"the norm of the gradient is {size}")
            if size > self.norm:
                _multiply(grads, self.norm, size)

    def size(self, grads: Array) -> float:
        """The norm of a gradient, each element limited to ±`value`.

        Scaled before it is squared where squares overflow or vanish, as BLAS's nrm2 does it.
        """
        xp = array_module(grads)
        if self.value is not None:
            grads = xp.clip(grads, -self.value, self.value)
        with np.errstate(over="ignore"):
            squares = float(xp.sum(grads * grads))
        if _SMALL < squares < math.inf:
            return math.sqrt(squares)
        largest = float(xp.abs(grads).max()) if grads.size else 0.0
        if not 0 < largest < math.inf:
            return largest
        scaled = grads * (1 / largest) if 1 / largest < math.inf else grads / largest
        return largest * math.sqrt(float(xp.sum(scaled * scaled)))


def _multiply(grads: Array, norm: float, size: float) -> None:
    """grads <- grads · norm / size, in two steps where the factor may be too small for float32."""
    if norm / size > _SMALL:
        grads *= norm / size
        return
    root = math.sqrt(norm) / math.sqrt(size)
    grads *= root
    grads *= root
