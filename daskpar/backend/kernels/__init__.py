"""Kernels: operations with an own implementation, chosen by the array.

`kernels(x).gelu(x)` runs compiled code for float32 arrays on the host. For all other arrays it runs the
reference in `kernels.reference`, which uses only functions of the array's module. Both agree to about 1e-6.

    kernels(x) ─┬─ float32 on the host, with Numba ──> kernels.numba        compiled
                └─ float64, GPU, without Numba ──────> kernels.reference    array functions
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np

from daskpar.backend.array import Array
from daskpar.backend.compiling import LOADING
from daskpar.backend.kernels import reference
from daskpar.backend.kernels.reference.convolution import Geometry, Pair

logger = logging.getLogger("daskpar")


class Kernels(Protocol):
    """Functions of an implementation of the kernels; `kernels.reference` documents them."""

    def relu_backward(self, y: Array, dy: Array, /) -> Array: ...
    def gelu(self, x: Array, /) -> Array: ...
    def gelu_with_slope(self, x: Array, /) -> tuple[Array, Array]: ...

    def product(
        self,
        a: Array,
        b: Array,
        out: Array | None = None,
        bias: Array | None = None,
        rectify: bool = False,
        where: Array | None = None,
    ) -> Array: ...
    def dense_chain(
        self,
        x: Array,
        weights: Sequence[Array],
        biases: Sequence[Array | None],
        rectify: Sequence[bool],
        /,
    ) -> list[Array]: ...
    def dense_chain_backward(
        self,
        dy: Array,
        inputs: Sequence[Array],
        weights: Sequence[Array],
        rectified: Sequence[bool],
        into: Sequence[tuple[Array | None, Array | None]],
        input_gradient: bool,
        /,
    ) -> tuple[Array | None, list[tuple[Array, Array | None]]]: ...

    def conv2d(
        self, x: Array, weight: Array, bias: Array | None, how: Geometry, rectify: bool = False, /
    ) -> Array: ...
    def conv2d_backward(
        self,
        x: Array,
        weight: Array,
        dy: Array,
        how: Geometry,
        input_gradient: bool = True,
        rectified: bool = False,
        /,
    ) -> tuple[Array | None, Array, Array]: ...
    def conv2d_weight_gradient(
        self, x: Array, dy: Array, shape: tuple[int, ...], how: Geometry, /
    ) -> Array: ...
    def conv2d_input_gradient(self, dy: Array, weight: Array, image: Pair, how: Geometry, /) -> Array: ...
    def max_pool(self, x: Array, size: Pair, how: Geometry, /) -> tuple[Array, Array]: ...
    def max_pool_backward(
        self, dy: Array, where: Array, image: Pair, size: Pair, how: Geometry, /
    ) -> Array: ...

    def layer_norm(
        self, x: Array, scale: Array, shift: Array, epsilon: float, /
    ) -> tuple[Array, Array, Array]: ...
    def layer_norm_backward(
        self, dy: Array, normal: Array, inverse: Array, scale: Array, /
    ) -> tuple[Array, Array, Array]: ...

    def attention(
        self,
        z: Array,
        factor: float,
        causal: bool,
        mask: Array | None = None,
        drop: Array | None = None,
        /,
    ) -> tuple[Array, Array]: ...
    def attention_backward(
        self,
        z: Array,
        weights: Array,
        dy: Array,
        factor: float,
        causal: bool,
        drop: Array | None = None,
        /,
    ) -> Array: ...
    def softmax_rows(self, scores: Array, factor: float, causal: bool, mask: Array | None, /) -> Array: ...
    def softmax_backward(self, weights: Array, dy: Array, factor: float, /) -> Array: ...
    def cross_entropy(
        self, outputs: Array, classes: Array, smoothing: float, weights: Array | None = None, /
    ) -> tuple[float, Array]: ...
    def scatter_rows(self, numbers: Array, values: Array, rows: int, /) -> Array: ...

    def to_half(self, x: Array, rest: Array | None = None, /) -> tuple[Array, float]: ...
    def add_half(self, half: Array, scale: float, out: Array, /) -> None: ...
    def left_by_half(self, x: Array, rest: Array | None = None, /) -> Array: ...

    def sgd_update(self, params: Array, grads: Array, lr: float, /) -> None: ...
    def momentum_update(
        self, params: Array, grads: Array, moved: Array, lr: float, momentum: float, nesterov: bool, /
    ) -> None: ...
    def adam_update(
        self,
        params: Array,
        grads: Array,
        mean: Array,
        square: Array,
        rate: float,
        root: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        /,
    ) -> None: ...


def kernels(x: Array) -> Kernels:
    """Return the module of kernels for arrays like `x`."""
    if type(x) is np.ndarray and x.dtype == np.float32:
        return _compiled()
    return reference


def are_compiled() -> bool:
    """Return whether compiled kernels are available: Numba is installed and not switched off."""
    return _compiled() is not reference


@cache
def _compiled() -> Kernels:
    """Return the compiled kernels, or the reference if Numba is missing or switched off."""
    with LOADING:
        try:
            import numba
        except ImportError:
            return reference
        if numba.config.DISABLE_JIT:
            logger.warning("NUMBA_DISABLE_JIT is set: the reference kernels are used, which are slower")
            return reference
        from daskpar.backend.kernels import numba as compiled

        return compiled
