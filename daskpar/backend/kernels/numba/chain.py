"""Chains of dense layers in one call for each direction, without the interpreter between the products.

So lanes in threads hardly wait for the interpreter's lock. A table of int64 numbers describes the chain, so
that one compiled function works for any number of layers. It has a line per layer, with addresses of arrays:

    forward    x weight bias y | inner columns | high depth | rectify
    backward   x weight dy d_weight d_bias dx | size of dx, inner columns | high depth high depth | rectified

`high` and `depth` are the block sizes of a product, see `matrix.scratch`. The backward pass has two products.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daskpar.backend import blas
from daskpar.backend.kernels import reference
from daskpar.backend.kernels.numba.atomic import array_at, place_of
from daskpar.backend.kernels.numba.goto import packed_product
from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.matrix import NOTHING, scratch, supports


def dense_chain(
    x: np.ndarray,
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray | None],
    rectify: Sequence[bool],
) -> list[np.ndarray]:
    """Return the output (rows, units) of each layer."""
    if not _takes(x, *weights, *(bias for bias in biases if bias is not None)):
        return reference.dense_chain(x, weights, biases, rectify)
    outputs = [np.empty((len(x), weight.shape[1]), np.float32) for weight in weights]
    inputs = [x, *outputs[:-1]]
    spaces = [scratch(len(x), *weight.shape) for weight in weights]
    lines = [
        (place_of(a), place_of(w), place_of(b), place_of(y), *w.shape, high, depth, r)
        for a, w, b, y, r, (high, depth, _, _) in zip(
            inputs, weights, biases, outputs, rectify, spaces, strict=True
        )
    ]
    _forward(np.array(lines, np.int64), len(x), *_largest(spaces))
    return outputs


def dense_chain_backward(
    dy: np.ndarray,
    inputs: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    rectified: Sequence[bool],
    into: Sequence[tuple[np.ndarray | None, np.ndarray | None]],
    input_gradient: bool,
) -> tuple[np.ndarray | None, list[tuple[np.ndarray, np.ndarray | None]]]:
    """Return the input gradient (rows, features) or None, and each layer's gradients of weight and bias."""
    given = [array for pair in into for array in pair if array is not None]
    if not _takes(dy, *inputs, *weights, *given):
        return reference.dense_chain_backward(dy, inputs, weights, rectified, into, input_gradient)
    rows = len(dy)
    grads = [
        (np.empty(weight.shape, np.float32) if d_weight is None else d_weight, d_bias)
        for weight, (d_weight, d_bias) in zip(weights, into, strict=True)
    ]
    above, lines, spaces, kept = dy, [], [], []
    for i in reversed(range(len(weights))):
        inner, columns = weights[i].shape
        dx = np.empty((rows, inner), np.float32) if i or input_gradient else NOTHING
        own = [scratch(inner, rows, columns), scratch(rows, columns, inner)]
        spaces += own
        sizes = [size for high, depth, _, _ in own for size in (high, depth)]
        d_weight, d_bias = grads[i]
        places = (place_of(inputs[i]), place_of(weights[i]), place_of(above), place_of(d_weight))
        lines.append((*places, place_of(d_bias), place_of(dx), dx.size, inner, columns, *sizes, rectified[i]))
        above = dx
        kept.append(dx)  # a reference until the end, because the table has only addresses
    _backward(np.array(lines, np.int64), rows, *_largest(spaces))
    return (above if input_gradient else None), grads


def _takes(*arrays: np.ndarray) -> bool:
    """Return whether these kernels support a chain with these arrays."""
    plain = all(a.flags.c_contiguous and a.flags.aligned and a.dtype == np.float32 for a in arrays)
    return plain and blas.on_one_core() and supports(arrays[0], arrays[0])


def _largest(spaces: Sequence[tuple[int, int, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return scratch arrays that are large enough for all products."""
    return max((left for _, _, left, _ in spaces), key=len), max((right for *_, right in spaces), key=len)


@njit(nogil=True, cache=True, boundscheck=False)
def _forward(lines, rows, left, right):
    """Compute the outputs of all layers of the table `lines` (layers, 9), in order."""
    nothing = array_at(0, 0)
    for i in range(lines.shape[0]):
        x, weight, bias, y, inner, columns, high, depth, rectify = lines[i]
        packed_product(
            array_at(x, rows * inner),
            inner,
            1,
            array_at(weight, inner * columns),
            columns,
            1,
            array_at(y, rows * columns),
            columns,
            array_at(bias, columns),
            rectify != 0,
            nothing,
            (rows, inner, columns),
            high,
            depth,
            left,
            right,
        )


@njit(nogil=True, cache=True, boundscheck=False)
def _backward(lines, rows, left, right):
    """Compute all gradients of the table `lines` (layers, 14), from the last layer to the first."""
    nothing = array_at(0, 0)
    for i in range(lines.shape[0]):
        x_at, weight_at, dy_at, d_weight, d_bias, dx, given, inner, columns = lines[i, :9]
        high, depth, high_back, depth_back, rectified = lines[i, 9:]
        x, dy = array_at(x_at, rows * inner), array_at(dy_at, rows * columns)
        into = array_at(d_weight, inner * columns)
        shape = (inner, rows, columns)
        packed_product(
            *(x, 1, inner, dy, columns, 1, into, columns, nothing, False, nothing),
            *(shape, high, depth, left, right),
        )
        sums = array_at(d_bias, columns)
        if sums.size > 0:
            sums[:] = np.float32(0)
            for r in range(rows):
                for j in range(columns):
                    sums[j] += dy[r * columns + j]
        if given > 0:
            where = x if rectified else nothing
            weight, out = array_at(weight_at, inner * columns), array_at(dx, rows * inner)
            shape = (rows, columns, inner)
            packed_product(
                *(dy, columns, 1, weight, 1, columns, out, inner, nothing, False, where),
                *(shape, high_back, depth_back, left, right),
            )
