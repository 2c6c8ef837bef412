"""Attention, head by head: products in tiles, and the softmax of a tile's rows while they are in the cache.

Queries, keys and values of all heads are one array `z`; each line of it has three parts:

    z[row, position]:  | q of head 0 | q of head 1 | ... | k of head 0 | ... | v of head 0 | ... |

ROWS queries of a head are one tile of (ROWS, positions) scores. With a causal mask, products with keys that
no query of the tile sees are skipped.
"""

from __future__ import annotations

import numpy as np

from daskpar.backend.kernels import reference
from daskpar.backend.kernels.numba.kernel_cache import njit
from daskpar.backend.kernels.numba.softmax import _softmax_back, _softmax_of, softmax_backward, softmax_rows
from daskpar.backend.kernels.numba.tiles import ROWS, WIDE, multiply_two, turn
from daskpar.backend.kernels.numba.vectors import LANES


def attention(
    z: np.ndarray, factor: float, causal: bool, mask: np.ndarray | None = None, drop: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (rows, heads, positions, positions) and sums (rows, positions, heads * features)."""
    if mask is not None or drop is not None or not _fits(z):
        return reference.attention(z, factor, causal, mask, drop, softmax_rows)
    rows, positions, _, heads, size = z.shape
    weights = np.empty((rows, heads, positions, positions), np.float32)
    merged = np.empty((rows, positions, heads * size), np.float32)
    _attention(z.reshape(-1), weights.reshape(-1), merged.reshape(-1), z.shape, np.float32(factor), causal)
    return weights, merged


def attention_backward(
    z: np.ndarray,
    weights: np.ndarray,
    dy: np.ndarray,
    factor: float,
    causal: bool,
    drop: np.ndarray | None = None,
) -> np.ndarray:
    """Return the gradient of `z` (rows, positions, 3, heads, features)."""
    if drop is not None or not _fits(z, weights, dy):
        return reference.attention_backward(z, weights, dy, factor, causal, drop, softmax_backward)
    dz = np.empty(z.shape, np.float32)
    arrays = (z.reshape(-1), weights.reshape(-1), dy.reshape(-1), dz.reshape(-1))
    _attention_backward(*arrays, z.shape, np.float32(factor), causal)
    return dz


def _fits(z: np.ndarray, *others: np.ndarray) -> bool:
    """Return whether positions and a head's features fill whole tiles, and the arrays are contiguous."""
    plain = all(array.flags.c_contiguous and array.dtype == np.float32 for array in (z, *others))
    return plain and LANES == 16 and z.shape[1] % WIDE == 0 and z.shape[4] % WIDE == 0


@njit(inline="always")
def _turned(z, at, row, positions, size, out):
    """Copy (positions, features) of one head to `out`, transposed to (features, positions)."""
    for t in range(0, positions, ROWS):
        for d in range(0, size, LANES):
            turn(z, at + t * row + d, row, out, d * positions + t, positions)


@njit(inline="always")
def _seen(first, positions, causal):
    """Return the number of keys that at least one of the ROWS queries from `first` on sees."""
    return min(positions, first + ROWS) if causal else positions


@njit(nogil=True, cache=True)
def _attention(z, weights, merged, shape, factor, causal):
    """Write flat weights (rows, heads, positions, positions) and sums (rows, positions, heads * size)."""
    rows, positions, _, heads, size = shape
    width, line = heads * size, 3 * heads * size
    keys = np.empty(size * positions, np.float32)
    for row in range(rows):
        for head in range(heads):
            q = row * positions * line + head * size
            v, w = q + 2 * width, (row * heads + head) * positions * positions
            to = row * positions * width + head * size
            _turned(z, q + width, line, positions, size, keys)
            for r in range(0, positions, ROWS):
                seen, here = _seen(r, positions, causal), w + r * positions
                for c in range(0, seen, WIDE):
                    multiply_two(
                        *(z, q + r * line, line, 1, keys, c, positions),
                        *(weights, here + c, positions, size, False),
                    )
                for i in range(ROWS):
                    start = here + i * positions
                    known = r + i + 1 if causal else positions
                    _softmax_of(weights, weights, start, start + known, start + positions, factor)
                for c in range(0, size, WIDE):
                    multiply_two(
                        *(weights, here, positions, 1, z, v + c, line),
                        *(merged, to + r * width + c, width, seen, False),
                    )


@njit(nogil=True, cache=True)
def _attention_backward(z, weights, dy, dz, shape, factor, causal):
    """Write the gradient of flat `z` (rows, positions, 3, heads, size) to `dz`."""
    rows, positions, _, heads, size = shape
    width, line = heads * size, 3 * heads * size
    values, scores = np.empty(size * positions, np.float32), np.empty(positions * positions, np.float32)
    for row in range(rows):
        for head in range(heads):
            q = row * positions * line + head * size
            k, v, w = q + width, q + 2 * width, (row * heads + head) * positions * positions
            above = row * positions * width + head * size
            _turned(z, v, line, positions, size, values)
            for r in range(0, positions, ROWS):
                seen, here = _seen(r, positions, causal), r * positions
                for c in range(0, seen, WIDE):
                    multiply_two(
                        *(dy, above + r * width, width, 1, values, c, positions),
                        *(scores, here + c, positions, size, False),
                    )
                for i in range(r * positions, (r + ROWS) * positions, positions):
                    _softmax_back(weights, w + i, scores, scores, i, seen, factor)
                for c in range(0, size, WIDE):
                    multiply_two(
                        *(scores, here, positions, 1, z, k + c, line),
                        *(dz, q + r * line + c, line, seen, False),
                    )
            for r in range(0, positions, ROWS):
                first = r if causal else 0  # the first query that sees these keys
                deep = positions - first
                for c in range(0, size, WIDE):
                    multiply_two(
                        *(scores, first * positions + r, 1, positions, z, q + first * line + c, line),
                        *(dz, k + r * line + c, line, deep, False),
                    )
                    multiply_two(
                        *(weights, w + first * positions + r, 1, positions),
                        *(dy, above + first * width + c, width),
                        *(dz, v + r * line + c, line, deep, False),
                    )
