"""Convolutions: the kernels that suit, and matrix products over gathered patches elsewhere."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from daskpar.backend import reference
from daskpar.backend.compiled import direct, winograd
from daskpar.backend.reference.convolution import Geometry


def _suited(x: np.ndarray, weight: np.ndarray, how: Geometry) -> ModuleType | None:
    """The module for a convolution, or None."""
    return next((kernel for kernel in (winograd, direct) if kernel.supports(x.shape[1:3], weight, how)), None)


def conv2d(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, how: Geometry, rectify: bool = False
) -> np.ndarray:
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
    kernel = _suited(x, weight, how)
    if kernel is None:
        return reference.conv2d_backward(x, weight, dy, how, input_gradient, rectified)
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    return kernel.backward(x, weight, dy, how, input_gradient, rectified)
