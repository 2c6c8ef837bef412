"""Changes to a gradient before the optimizer uses it: penalties and clipping.

All of them work in place on a flat gradient that the caller owns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from daskpar.backend.array import Array, array_module
from daskpar.backend.norm import SMALL, norm_of
from daskpar.errors import NotFiniteError
from daskpar.optim.optimizer import Tensors, chunked, decay_into
from daskpar.settings import Block, setting


@dataclass(frozen=True)
class Penalty(Block):
    """L1 and L2 regularisation: adds the gradient of `l1·Σ|w| + ½·l2·Σw²` to that of the loss.

    It applies to weights only, not to biases or to the scales of normalisation layers. The reported loss does
    not contain the penalty. With SGD and without `Clip`, `l2` does the same as the optimizer's
    `weight_decay`.

    Args:
        l1: Factor of the sum of |w|. Default: 0.
        l2: Factor of half the sum of w². Default: 0.

    Raises:
        InputError: A factor is negative.

    Example:
        >>> import numpy as np
        >>> from daskpar import Penalty, Tensors
        >>> params, grads = np.array([2.0, -3.0]), np.zeros(2)
        >>> Penalty(l1=0.5, l2=0.1).apply(grads, params, Tensors(ranges=((0, 2),), decayed=((0, 2),)))
        >>> grads
        array([ 0.7, -0.8])
    """

    l1: float = setting(0.0, "factor of the sum of |w|", at_least=0)
    l2: float = setting(0.0, "factor of half the sum of w²", at_least=0)

    def _name_in_messages(self, field: str) -> str:
        return f"regularisation.{field}"

    def apply(self, grads: Array, params: Array, tensors: Tensors) -> None:
        """Add the gradient of the penalty to `grads` in place.

        Args:
            grads: (elements,) flat gradient. It is overwritten.
            params: (elements,) flat parameters.
            tensors: Positions of the tensors. The penalty applies to those in `tensors.decayed`.
        """
        decay_into(grads, params, self.l2, tensors)
        if self.l1:
            xp = array_module(params)
            for start, stop in tensors.decayed:
                for g, p in chunked(grads[start:stop], params[start:stop]):
                    g += self.l1 * xp.sign(p)


@dataclass(frozen=True)
class Clip(Block):
    """Gradient clipping: limits each element to [-value, value], then the norm of the gradient to `norm`.

    The norm is that over all trained parameters of the model, also if they are split into stages or shards. A
    gradient whose norm exceeds the limit keeps its direction: it is multiplied by norm / |g|.

    Args:
        value: Largest absolute value of an element. None does not limit elements. Default: None.
        norm: Largest norm of the whole gradient. None does not limit the norm. Default: None.

    Raises:
        InputError: A limit is not positive.

    Example:
        >>> import numpy as np
        >>> from daskpar import Clip
        >>> grads = np.array([3.0, -4.0])
        >>> Clip(norm=1.0).apply(grads)
        >>> grads
        array([ 0.6, -0.8])

    Reference:
        Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", algorithm 1.
        https://arxiv.org/abs/1211.5063
    """

    value: float | None = setting(None, "largest absolute value of an element", above=0)
    norm: float | None = setting(None, "largest norm of the whole gradient", above=0)

    def apply(self, grads: Array, norm: float | None = None) -> None:
        """Clip a gradient in place.

        Args:
            grads: (elements,) flat gradient. It is overwritten.
            norm: Norm of the whole gradient, if `grads` is a part of it. None computes that of `grads`.
                Default: None.

        Raises:
            NotFiniteError: An element or the norm is NaN or infinite. The gradient is then left as it was.
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
        """Return the norm of a gradient (elements,), after each element is limited to [-value, value]."""
        if self.value is not None:
            grads = array_module(grads).clip(grads, -self.value, self.value)
        return norm_of(grads)


def _multiply(grads: Array, norm: float, size: float) -> None:
    """Multiply `grads` by norm / size in place, in two steps if that factor may be too small for float32."""
    if norm / size > SMALL:
        grads *= norm / size
        return
    root = math.sqrt(norm) / math.sqrt(size)
    grads *= root
    grads *= root
