"""Dense layers in a row, with nothing but rectifiers between them: computed in one call each way.

    dense ─ relu ─ dense ─ relu ─ dense         a chain: it begins and ends with a dense layer

What is computed, and what is saved for the backward pass, is the same as layer by layer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from daskpar.backend import blas, reference
from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels import kernels
from daskpar.nn.activations import ReLU
from daskpar.nn.dense import Dense
from daskpar.nn.layer import Context, Layer, Params


def chains(layers: Sequence[Layer]) -> dict[int, int]:
    """Of each chain of two dense layers or more, the place of the first layer and that after the last."""
    found, i = {}, 0
    while i < len(layers):
        first = stop = i
        while i < len(layers) and isinstance(layers[i], Dense | ReLU) and isinstance(layers[first], Dense):
            i += 1
            stop = i if isinstance(layers[i - 1], Dense) else stop
        if len(dense(layers, first, stop)) > 1:
            found[first] = stop
        i = max(i, first + 1)
    return found


def dense(layers: Sequence[Layer], first: int, stop: int) -> list[int]:
    """The places of dense layers."""
    return [i for i in range(first, stop) if isinstance(layers[i], Dense)]


def suits(x: Array) -> bool:
    """Whether a chain is worth a call of its own: where lanes share the interpreter, on arrays of rows."""
    return x.ndim == 2 and blas.on_one_core() and kernels(x) is not reference


def forward(
    layers: Sequence[Layer], first: int, stop: int, params: Params, x: Array, children: Sequence[Context]
) -> tuple[Array, list[Any]]:
    """The output of layers `first` to `stop`, and what each saves; `children`: the pass as each sees it."""
    own = dense(layers, first, stop)
    given = [params[str(i)] for i in own]
    rectify = [children[i - first].rectify for i in own]
    biases = [p.get("bias") for p in given]
    outputs = kernels(x).dense_chain(x, [p["weight"] for p in given], biases, rectify)
    inputs = dict(zip(own, [x, *outputs[:-1]], strict=True))
    saved: list[Any] = []
    for i in range(first, stop):  # a rectifier keeps the output of the dense layer before it
        saved.append(inputs[i] if i in inputs else outputs[bisect_left(own, i) - 1])
    return outputs[-1], saved if children[0].backward else [None] * len(saved)


def backward(
    layers: Sequence[Layer],
    first: int,
    stop: int,
    params: Params,
    saved: Sequence[Any],
    dy: Array,
    children: Sequence[Context],
) -> tuple[Array | None, Params]:
    """(dx or None, gradients by the number of the layer) of layers `first` to `stop`."""
    own = dense(layers, first, stop)
    inputs = [saved[i - first] for i in own]
    ctxs = [children[i - first] for i in own]
    weights = [params[str(i)]["weight"] for i in own]
    into = []
    for i, ctx in zip(own, ctxs, strict=True):
        bias, space = params[str(i)].get("bias"), ctx.space("bias")
        if bias is not None and space is None:
            space = array_module(bias).empty_like(bias)
        into.append((ctx.space("weight"), space))
    rectified = [ctx.rectified for ctx in ctxs]
    dx, found = kernels(dy).dense_chain_backward(dy, inputs, weights, rectified, into, ctxs[0].input_gradient)
    grads: Params = {str(i): {} for i in range(first, stop)}
    for i, (weight, bias) in zip(own, found, strict=True):
        grads[str(i)] = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    return dx, grads
