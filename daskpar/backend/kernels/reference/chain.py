"""Dense layers in a row, each but the last followed by a rectifier where `rectify` says so."""

from __future__ import annotations

from collections.abc import Sequence

from daskpar.backend.array import Array, array_module
from daskpar.backend.kernels.reference.matrix import product


def dense_chain(
    x: Array, weights: Sequence[Array], biases: Sequence[Array | None], rectify: Sequence[bool]
) -> list[Array]:
    """The output of each layer: x·weight + bias of the output before, and max(0, ·) of that."""
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
    """(dx or None, the gradients of each layer's weight and bias).

    `inputs`: those of each layer; where one is `rectified` its gradient is zero where it is not above zero.
    `into`: where the gradients of weight and bias are written; for None in a bias's place there is none.
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
