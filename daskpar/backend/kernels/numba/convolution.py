"""Convolutions: Winograd's or the direct kernels where they support the shapes, the reference elsewhere."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from daskpar.backend.kernels import reference
from daskpar.backend.kernels.numba import direct, winograd
from daskpar.backend.kernels.reference.convolution import Geometry


def _suited(x: np.ndarray, weight: np.ndarray, how: Geometry) -> ModuleType | None:
    """Return the module whose kernels support a convolution, or None."""
    return next((kernel for kernel in (winograd, direct) if kernel.supports(x.shape[1:3], weight, how)), None)


def conv2d(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, how: Geometry, rectify: bool = False
) -> np.ndarray:
    """Return the convolution (rows, height', width', out) of `x` (rows, height, width, in)."""
    kernel = _suited(x, weight, how)
    if kernel is None:
        return reference.conv2d(x, weight, bias, how, rectify)
    return kernel.forward(np.ascontiguousarray(x), weight, bias, how, rectify)


def conv2d_backward(
    x: np.ndarray,
    weight: np.ndarray,
    dy: np.ndarray,
    how: Geometry,
    input_gradient: bool = True,
    rectified: bool = False,
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Return the gradients of `x`, or None, of the weight and of the bias."""
    kernel = _suited(x, weight, how)
    if kernel is None:
        return reference.conv2d_backward(x, weight, dy, how, input_gradient, rectified)
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    return kernel.backward(x, weight, dy, how, input_gradient, rectified)
