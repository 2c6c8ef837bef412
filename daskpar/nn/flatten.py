"""Flatten."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskpar.backend.array import Array
from daskpar.nn.layer import Context, Layer, Params, Shape


@dataclass(frozen=True)
class Flatten(Layer):
    """(rows, a, b, ...) -> (rows, a·b·...), as a view where it can be one."""

    kind: ClassVar[str] = "flatten"

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        return {}, (math.prod(in_shape),)

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, Any]:
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), x.shape

    def backward(self, params: Params, saved: Any, dy: Array, ctx: Context) -> tuple[Array, Params]:
        return dy.reshape(saved), {}
