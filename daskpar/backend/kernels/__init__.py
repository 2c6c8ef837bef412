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

    def relu_backward(self, y: Array, dy: Array, /) -> Array:
        """Return the input gradient of `y = max(x, 0)` from its output `y` and the gradient `dy`."""

    def gelu(self, x: Array, /) -> Array:
        """Return GELU in the tanh form, element-wise: ½x(1 + tanh(√(2/π)(x + 0.044715x³)))."""

    def gelu_with_slope(self, x: Array, /) -> tuple[Array, Array]:
        """Return `gelu(x)` and its derivative, both shaped like `x`."""

    def product(
        self,
        a: Array,
        b: Array,
        out: Array | None = None,
        bias: Array | None = None,
        rectify: bool = False,
        where: Array | None = None,
    ) -> Array:
        """Return the matrix product of `a` (rows, inner) and `b` (inner, columns), plus a bias."""

    def dense_chain(
        self,
        x: Array,
        weights: Sequence[Array],
        biases: Sequence[Array | None],
        rectify: Sequence[bool],
        /,
    ) -> list[Array]:
        """Return the output (rows, units) of each layer of a chain."""

    def dense_chain_backward(
        self,
        dy: Array,
        inputs: Sequence[Array],
        weights: Sequence[Array],
        rectified: Sequence[bool],
        into: Sequence[tuple[Array | None, Array | None]],
        input_gradient: bool,
        /,
    ) -> tuple[Array | None, list[tuple[Array, Array | None]]]:
        """Return the gradients of a chain: of its input, or None, and of each layer's weight and bias."""

    def conv2d(
        self, x: Array, weight: Array, bias: Array | None, how: Geometry, rectify: bool = False, /
    ) -> Array:
        """Return the convolution (rows, height', width', out) of images `x` (rows, height, width, in)."""

    def conv2d_backward(
        self,
        x: Array,
        weight: Array,
        dy: Array,
        how: Geometry,
        input_gradient: bool = True,
        rectified: bool = False,
        /,
    ) -> tuple[Array | None, Array, Array]:
        """Return the gradients of a convolution: of `x`, or None, of the weight and of the bias."""

    def conv2d_weight_gradient(self, x: Array, dy: Array, shape: tuple[int, ...], how: Geometry, /) -> Array:
        """Return the gradient of a convolution with respect to its weight, which has shape `shape`."""

    def conv2d_input_gradient(self, dy: Array, weight: Array, image: Pair, how: Geometry, /) -> Array:
        """Return the gradient (rows, *image, in) of a convolution with respect to its input."""

    def max_pool(self, x: Array, size: Pair, how: Geometry, /) -> tuple[Array, Array]:
        """Return the maxima (rows, height', width', channels) and the number of the tap of each (uint8)."""

    def max_pool_backward(self, dy: Array, where: Array, image: Pair, size: Pair, how: Geometry, /) -> Array:
        """Return the input gradient (rows, *image, channels) of max pooling."""

    def layer_norm(
        self, x: Array, scale: Array, shift: Array, epsilon: float, /
    ) -> tuple[Array, Array, Array]:
        """Return the output, the normalised `x` (both shaped like `x`), and 1 / deviation (..., 1)."""

    def layer_norm_backward(
        self, dy: Array, normal: Array, inverse: Array, scale: Array, /
    ) -> tuple[Array, Array, Array]:
        """Return the gradients of `x` (..., features), of the scale and of the shift (features,)."""

    def attention(
        self,
        z: Array,
        factor: float,
        causal: bool,
        mask: Array | None = None,
        drop: Array | None = None,
        /,
    ) -> tuple[Array, Array]:
        """Return the attention weights and the weighted sums of values."""

    def attention_backward(
        self,
        z: Array,
        weights: Array,
        dy: Array,
        factor: float,
        causal: bool,
        drop: Array | None = None,
        /,
    ) -> Array:
        """Return the gradient of `attention` with respect to `z`, shaped like `z`."""

    def softmax_rows(self, scores: Array, factor: float, causal: bool, mask: Array | None, /) -> Array:
        """Return softmax(factor · scores) over the last axis of (rows, heads, queries, keys)."""

    def softmax_backward(self, weights: Array, dy: Array, factor: float, /) -> Array:
        """Return the gradient of `softmax_rows` with respect to `scores`."""

    def cross_entropy(
        self, outputs: Array, classes: Array, smoothing: float, weights: Array | None = None, /
    ) -> tuple[float, Array]:
        """Return the summed cross-entropy of softmax(outputs), and its gradient shaped like `outputs`."""

    def scatter_rows(self, numbers: Array, values: Array, rows: int, /) -> Array:
        """Return a table (rows, features) in which row i is the sum of the values with number i."""

    def to_half(self, x: Array, rest: Array | None = None, /) -> tuple[Array, float]:
        """Return x + rest as float16 (elements,), divided by a power of two, and that power."""

    def add_half(self, half: Array, scale: float, out: Array, /) -> None:
        """Add `half * scale` to `out` (elements,) in place; `half` and `scale` come from `to_half`."""

    def left_by_half(self, x: Array, rest: Array | None = None, /) -> Array:
        """Return the rounding error of `to_half(x, rest)`: x + rest less its rounded value (elements,)."""

    def sgd_update(self, params: Array, grads: Array, lr: float, /) -> None:
        """Update `params` in place: p ← p - lr · g. The contents of `grads` are overwritten."""

    def momentum_update(
        self, params: Array, grads: Array, moved: Array, lr: float, momentum: float, nesterov: bool, /
    ) -> None:
        """Update `params` and the momentum `moved` in place, and overwrite `grads`."""

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
    ) -> None:
        """Update `params` and the moments `mean` and `square` in place, and overwrite `grads`."""


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
