"""Convolutions: Winograd's where it suits, matrix products over gathered patches elsewhere."""

from __future__ import annotations

import numpy as np

from daskpar.backend import reference
from daskpar.backend.compiled import winograd
from daskpar.backend.reference.convolution import Geometry


def conv2d(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, how: Geometry) -> np.ndarray:
    if not winograd.suits(weight, how):
        return reference.conv2d(x, weight, bias, how)
    return winograd.forward(np.ascontiguousarray(x), weight, bias, how)


def conv2d_backward(
    x: np.ndarray, weight: np.ndarray, dy: np.ndarray, how: Geometry, input_gradient: bool = True
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    if not winograd.suits(weight, how):
        return reference.conv2d_backward(x, weight, dy, how, input_gradient)
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    return winograd.backward(x, weight, dy, how, input_gradient)
