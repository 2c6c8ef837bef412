"""Chains of dense layers, each optionally followed by ReLU."""

from __future__ import annotations

from collections.abc import Sequence

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels.reference.matrix import product


def dense_chain(
    x: Array, weights: Sequence[Array], biases: Sequence[Array | None], rectify: Sequence[bool]
) -> list[Array]:
    """Return the output (rows, units) of each layer of a chain.

    A layer computes `x @ weight + bias` from the previous output, and ReLU of that if its entry of `rectify`
    is true. `x` is (rows, features), a weight (features, units), a bias (units,) or None.
    """
    outputs: list[Array] = []
    for weight, bias, rectified in zip(weights, biases, rectify, strict=True):
        x = product(x, weight, bias=bias, rectify=rectified)
        outputs.append(x)
    return outputs


def dense_chain_backward(
    dy: Array,
    inputs: Sequence[Array],
    weights: Sequence[Array],
    rectified: Sequence[bool],
    into: Sequence[tuple[Array | None, Array | None]],
    input_gradient: bool,
) -> tuple[Array | None, list[tuple[Array, Array | None]]]:
    """Return the gradients of a chain: of its input, or None, and of each layer's weight and bias.

    Args:
        dy: Gradient of the last output (rows, units).
        inputs: Input of each layer (rows, features).
        weights: Weight of each layer (features, units).
        rectified: True for an input that is an output of ReLU; its gradient is zero where the input is zero.
        into: Arrays for the gradients of weight and bias. None for a weight allocates an array; None for a
            bias means that the layer has no bias.
        input_gradient: Compute the gradient of the first input.
    """
    grads: list[tuple[Array, Array | None]] = []
    for i in reversed(range(len(weights))):
        d_weight, d_bias = into[i]
        d_weight = product(inputs[i].T, dy, out=d_weight)
        if d_bias is not None:
            array_module(dy).sum(dy, axis=0, out=d_bias)
        grads.insert(0, (d_weight, d_bias))
        if i or input_gradient:
            dy = product(dy, weights[i].T, where=inputs[i] if rectified[i] else None)
    return (dy if input_gradient else None), grads
