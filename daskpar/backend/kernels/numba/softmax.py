"""Softmax row by row: of attention scores, and of a classifier's outputs with their cross-entropy."""

from __future__ import annotations

import math

import numpy as np

from daskpar.backend.kernels import reference
from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.simd import exp, first, fma, largest, load, maximum, splat, store, total
from daskpar.backend.kernels.numba.vectors import LANES

_LOW = np.float32(-1e30)  # in lanes beyond a row: its exponential is zero


def softmax_rows(scores: np.ndarray, factor: float, causal: bool, mask: np.ndarray | None) -> np.ndarray:
    """Return softmax(factor · scores) over the last axis of (rows, heads, queries, keys)."""
    if mask is not None:
        return reference.softmax_rows(scores, factor, causal, mask)
    queries, keys = scores.shape[-2:]
    out = np.empty(scores.shape, np.float32)
    flat = np.ascontiguousarray(scores).reshape(-1)
    rows = _softmax_odd_rows if keys % LANES else _softmax_rows
    rows(flat, out.reshape(-1), queries, keys, np.float32(factor), causal)
    return out


def softmax_backward(weights: np.ndarray, dy: np.ndarray, factor: float) -> np.ndarray:
    """Return the gradient of `softmax_rows` with respect to its scores (..., keys)."""
    width = dy.shape[-1]
    if width % LANES:
        return reference.softmax_backward(weights, dy, factor)
    out = np.empty(dy.shape, np.float32)
    flat = (np.ascontiguousarray(weights).reshape(-1), np.ascontiguousarray(dy).reshape(-1), out.reshape(-1))
    _softmax_backward(*flat, width, np.float32(factor))
    return out


def cross_entropy(
    outputs: np.ndarray, classes: np.ndarray, smoothing: float, weights: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Return the summed cross-entropy and its gradient, for outputs (rows, ..., classes)."""
    count = outputs.shape[-1]
    if classes.size * count != outputs.size:
        raise ValueError(f"classes of shape {classes.shape} for outputs of shape {outputs.shape}")
    gradient = np.empty(outputs.shape, np.float32)
    numbers = np.ascontiguousarray(classes, dtype=np.int64).reshape(-1)  # one dtype, one compilation
    low, even = np.float32(smoothing / count), np.float32(1 - smoothing)
    flat = np.ascontiguousarray(outputs).reshape(-1)
    if weights is None:
        loss = _cross_entropy(flat, numbers, gradient.reshape(-1), count, low, even)
    else:
        if len(weights) != len(classes):
            raise ValueError(f"{len(weights)} weights for {len(classes)} rows")
        of_terms = np.repeat(weights.astype(np.float32), numbers.size // max(1, len(weights)))
        loss = _weighted_cross_entropy(flat, numbers, gradient.reshape(-1), count, low, even, of_terms)
    return float(loss), gradient


@njit(inline="always")
def _softmax_row(row, size):
    """Replace `row` by exp(row - max) and return (max, sum); `size` is a multiple of LANES."""
    top = load(row, 0)
    for c in range(LANES, size, LANES):
        top = maximum(top, load(row, c))
    peak = largest(top)
    sums = splat(np.float32(0))
    for c in range(0, size, LANES):
        value = exp(load(row, c) - splat(peak))
        store(row, c, value)
        sums = sums + value
    return peak, total(sums)


@njit(nogil=True, cache=True)
def _softmax_rows(scores, out, queries, keys, factor, causal):
    """Write softmax(factor · scores) of each row (keys,); `keys` is a multiple of LANES."""
    for at in range(scores.size // max(1, keys)):
        start = at * keys
        seen = min(at % queries + 1, keys) if causal else keys
        _softmax_of(scores, out, start, start + seen, start + keys, factor)


@njit(inline="always")
def _softmax_of(scores, out, start, seen, stop, factor):
    """Write softmax(factor · scores[start:seen]) to `out`, then zeros up to `stop`.

    `stop - start` is a multiple of LANES.
    """
    scale, low, zero = splat(factor), splat(_LOW), splat(np.float32(0))
    top = low
    for c in range(start, seen, LANES):
        value = first(load(scores, c) * scale, seen - c, low)
        store(out, c, value)
        top = maximum(top, value)
    peak = splat(largest(top))
    sums = zero
    for c in range(start, seen, LANES):
        value = first(exp(load(out, c) - peak), seen - c, zero)
        store(out, c, value)
        sums = sums + value
    share = splat(np.float32(1) / total(sums))
    for c in range(start, seen, LANES):
        store(out, c, load(out, c) * share)
    for c in range(start + -(-(seen - start) // LANES) * LANES, stop, LANES):
        store(out, c, zero)


@njit(nogil=True, cache=True)
def _softmax_odd_rows(scores, out, queries, keys, factor, causal):
    """Compute the softmax of rows whose length is not a multiple of LANES, through a padded row."""
    size = -(-keys // LANES) * LANES
    row = np.empty(size, np.float32)
    for at in range(scores.size // max(1, keys)):
        start = at * keys
        seen = min(at % queries + 1, keys) if causal else keys
        row[:keys] = scores[start : start + keys]
        _softmax_of(row, row, 0, seen, size, factor)
        out[start : start + keys] = row[:keys]


@njit(nogil=True, cache=True)
def _softmax_backward(weights, dy, out, width, factor):
    """Write the gradient of the scores of each row (width,)."""
    for start in range(0, dy.size, width):
        _softmax_back(weights, start, dy, out, start, width, factor)


@njit(inline="always")
def _softmax_back(weights, w, dy, out, at, size, factor):
    """Write the gradient of a row's scores to `out[at:]`, from the softmax at `weights[w:]` and `dy[at:]`.

    `out` may be `dy`.
    """
    sums = splat(np.float32(0))
    for c in range(0, size, LANES):
        sums = fma(load(weights, w + c), load(dy, at + c), sums)
    along = splat(total(sums))
    for c in range(0, size, LANES):
        store(out, at + c, load(weights, w + c) * (load(dy, at + c) - along) * splat(factor))


@njit(inline="always")
def _cross_entropy_row(outputs, classes, gradient, row, at, count, size, low, even):
    """Write the gradient of one term, and return its loss."""
    start = at * count
    sums_all = np.float32(0)
    for c in range(count):
        row[c] = outputs[start + c]
        sums_all += outputs[start + c]
    for c in range(count, size):
        row[c] = _LOW
    peak, sums = _softmax_row(row, size)
    norm = np.float64(peak) + math.log(np.float64(sums))
    if classes[at] < 0 or classes[at] >= count:
        raise IndexError("cross_entropy: a class beyond the outputs")
    own = start + classes[at]
    share = np.float32(1) / sums
    for c in range(count):
        gradient[start + c] = row[c] * share - low
    gradient[own] -= even
    return (norm - outputs[own]) * even + (norm * count - sums_all) * low


@njit(nogil=True, cache=True)
def _cross_entropy(outputs, classes, gradient, count, low, even):
    """Return the summed loss of all terms, and write the gradient (terms, count)."""
    size = -(-count // LANES) * LANES
    row = np.empty(size, np.float32)
    loss = 0.0
    for at in range(classes.size):
        loss += _cross_entropy_row(outputs, classes, gradient, row, at, count, size, low, even)
    return loss


@njit(nogil=True, cache=True)
def _weighted_cross_entropy(outputs, classes, gradient, count, low, even, weights):
    """Return the weighted sum of losses, and write the gradient (terms, count); `weights` is (terms,)."""
    size = -(-count // LANES) * LANES
    row = np.empty(size, np.float32)
    loss = 0.0
    for at in range(classes.size):
        term = _cross_entropy_row(outputs, classes, gradient, row, at, count, size, low, even)
        loss += term * np.float64(weights[at])
        for c in range(at * count, (at + 1) * count):
            gradient[c] *= weights[at]
    return loss
