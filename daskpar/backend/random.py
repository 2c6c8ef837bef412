"""Counter-based random numbers: any task can draw its part of a stream, under any layout.

A stream is named by (seed, purpose, step, layer) and addressed by the row of the global batch:

    row of the batch    0   1   2   3   4   5   6   7
    all rows           [a   b   c   d   e   f   g   h]     one lane draws 8 rows
    lanes of 4 rows    [a   b   c   d] [e   f   g   h]     two lanes draw the same numbers

So a network with dropout computes the same under any layout. The generator is Philox4x64-10, whose state is
only a key and a counter.

Reference:
    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_WORD = 2**64
_PER_BLOCK = 16  # a Philox block of 256 bits is sixteen 16-bit numbers

PURPOSES = {"dropout": 1, "order": 2, "split": 3, "augment": 4}


def _philox(seed: int, purpose: str, counter: tuple[int, int, int, int]) -> np.random.Philox:
    key = np.array([seed % _WORD, PURPOSES[purpose]], dtype=np.uint64)
    return np.random.Philox(key=key, counter=np.array([c % _WORD for c in counter], dtype=np.uint64))


def place_id(path: tuple[int, ...]) -> int:
    """Return a 64-bit number for a layer by its path, e.g. `(2, 0)` for the first layer within the third."""
    number = 0
    for index in path:
        number = (number * 1_000_003 + index + 1) % _WORD
    return number


def uniform16(seed: int, step: int, path: tuple[int, ...], row: int, rows: int, columns: int) -> np.ndarray:
    """Return uniform uint16 numbers (rows, columns) for `rows` rows of the global batch from row `row` on."""
    blocks = -(-columns // _PER_BLOCK)
    bits = _philox(seed, "dropout", (row * blocks, 0, place_id(path), step)).random_raw(rows * blocks * 4)
    return bits.view(np.uint16).reshape(rows, blocks * _PER_BLOCK)[:, :columns]


def uniform16_within(
    seed: int, step: int, path: tuple[int, ...], row: int, rows: int, columns: int, parts: Sequence[range]
) -> np.ndarray:
    """Return the numbers of `uniform16` in the columns of `parts`, side by side in the order of `parts`."""
    blocks = -(-columns // _PER_BLOCK)
    out = np.empty((rows, sum(map(len, parts))), np.uint16)
    for i in range(rows):
        place = 0
        for part in parts:
            first, stop = part.start // _PER_BLOCK, -(-part.stop // _PER_BLOCK)
            counter = ((row + i) * blocks + first, 0, place_id(path), step)
            bits = _philox(seed, "dropout", counter).random_raw((stop - first) * 4).view(np.uint16)
            begin = part.start - first * _PER_BLOCK
            out[i, place : place + len(part)] = bits[begin : begin + len(part)]
            place += len(part)
    return out


def whole_numbers(
    seed: int, step: int, path: tuple[int, ...], row: int, rows: int, below: tuple[int, ...]
) -> np.ndarray:
    """Return uniform int64 numbers (rows, len(below)), from 0 to below[j] - 1 in column j.

    They belong to `rows` rows of the global batch from row `row` on. Each is drawn from 32 bits, so that its
    probability is within 2⁻³² of 1 / below[j]. A block of the generator has eight numbers, the maximum for a
    row. Raises TypeError for more than eight columns.
    """
    if len(below) > 8:
        raise TypeError(f"at most eight whole numbers are drawn for a row, got {len(below)}")
    bits = _philox(seed, "augment", (row, 0, place_id(path), step)).random_raw(rows * 4)
    draws = bits.view(np.uint32).reshape(rows, 8)[:, : len(below)].astype(np.uint64)
    return ((draws * np.array(below, np.uint64)) >> np.uint64(32)).astype(np.int64)


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """Return a NumPy generator for one indexed draw, e.g. the row order of (epoch, stream, chunk).

    Raises TypeError for more than three indices, because a counter has room for three.
    """
    if len(index) > 3:
        raise TypeError(f"a generator takes at most three indices, got {index}")
    padded = (0, *index, 0, 0, 0)[:4]
    return np.random.Generator(_philox(seed, purpose, padded))  # type: ignore[arg-type]


def init_rng(seed: int) -> np.random.Generator:
    """Return a NumPy generator that can spawn others, for initial parameters."""
    return np.random.default_rng(np.random.SeedSequence(seed % _WORD))
