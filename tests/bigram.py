"""The smallest model of a text: the next character goes by the last one alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskpar.nn.layer import Context, Layer, Params, Shape


@dataclass(frozen=True)
class Bigram(Layer):
    """A table: y[row, place] = weight[x[row, place]]: (rows, positions) -> (rows, positions, tokens)."""

    tokens_known: int
    kind: ClassVar[str] = "bigram"
    tokens: ClassVar[bool] = True

    def init(self, rng: np.random.Generator, in_shape: Shape) -> tuple[Params, Shape]:
        n = self.tokens_known
        return {"weight": 0.01 * rng.standard_normal((n, n))}, (*in_shape, n)

    def forward(self, params: Params, x: Any, ctx: Context) -> tuple[Any, Any]:
        return params["weight"][x], x

    def backward(self, params: Params, saved: Any, dy: Any, ctx: Context) -> tuple[Any, Params]:
        weight = np.zeros_like(params["weight"])
        np.add.at(weight, saved, dy)
        return None, {"weight": weight}
