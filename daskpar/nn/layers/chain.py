"""Dense layers in a row, with nothing but ReLUs between them: computed in one call forward and one backward.

    dense ─ relu ─ dense ─ relu ─ dense         a chain: it begins and ends with a dense layer

The bits are those of one layer after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from daskpar.backend import blas
from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels, reference
from daskpar.nn.fusion import FusedLayer
from daskpar.nn.layer import Context, Params
from daskpar.nn.layers.dense import Dense
from daskpar.nn.layers.rectified import Rectified
from daskpar.nn.nested import at, put


class Link(NamedTuple):
    """A dense layer of a chain.

    Args:
        path: Its place in the model.
        output: It applies the ReLU after it.
        input: In the backward pass, it applies the ReLU before it.
    """

    path: tuple[int, ...]
    output: bool
    input: bool


@dataclass(frozen=True)
class DenseChain(FusedLayer):
    """Dense layers, and the ReLUs that they apply."""

    @cached_property
    def links(self) -> tuple[Link | None, ...]:
        """One entry for each operation; None for a ReLU."""
        links: list[Link | None] = []
        for operation in self.operations:
            layer = operation.layer
            if isinstance(layer, Rectified):
                links.append(Link(operation.path, layer.output, layer.input))
            else:
                links.append(Link(operation.path, False, False) if isinstance(layer, Dense) else None)
        return tuple(links)

    @cached_property
    def dense(self) -> tuple[Link, ...]:
        """The dense layers."""
        return tuple(link for link in self.links if link is not None)

    def supports(self, x: Array) -> bool:
        """Return whether one call is faster: arrays of rows, on tasks that share the interpreter."""
        return x.ndim == 2 and blas.on_one_core() and kernels(x) is not reference

    def forward(self, params: Params, x: Array, ctx: Context) -> tuple[Array, list[Array]]:
        inner = [at(params, link.path) for link in self.dense]
        weights, biases = [p["weight"] for p in inner], [p.get("bias") for p in inner]
        outputs = kernels(x).dense_chain(x, weights, biases, [link.output for link in self.dense])
        saved: list[Array] = []
        done = 0  # dense layers so far; a ReLU keeps the output of the one before it
        for link in self.links:
            saved.append(outputs[done - 1] if link is None or done else x)
            done += link is not None
        return outputs[-1], saved

    def backward(
        self, params: Params, saved: Sequence[Array], dy: Array, ctx: Context
    ) -> tuple[Array | None, Params]:
        inputs = [keep for keep, link in zip(saved, self.links, strict=True) if link is not None]
        weights, spaces = [], []
        for link in self.dense:
            inner, out = at(params, link.path), at(ctx.out or {}, link.path)
            bias, space = inner.get("bias"), out.get("bias")
            if bias is not None and space is None:
                space = array_module(bias).empty_like(bias)
            weights.append(inner["weight"])
            spaces.append((out.get("weight"), space))
        rectified = [link.input for link in self.dense]
        dx, gradients = kernels(dy).dense_chain_backward(
            dy, inputs, weights, rectified, spaces, ctx.input_gradient
        )
        grads: Params = {}
        results = iter(gradients)
        for operation, one in zip(self.operations, self.links, strict=True):
            weight, bias = next(results) if one is not None else (None, None)
            named = {"weight": weight, "bias": bias}
            put(grads, operation.path, {name: value for name, value in named.items() if value is not None})
        return dx, grads
