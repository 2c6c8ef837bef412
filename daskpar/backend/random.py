"""Random numbers from a counter: any task can draw its part of a stream, whatever the cut.

A stream is named by (seed, purpose, step, place) and addressed by row. Rows 3 to 7 of a batch get the same
numbers when they are drawn alone as when the whole batch is drawn, so a network with dropout computes the
same under any layout. The generator is Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", SC'11), whose state is a key and a counter and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_WORD = 2**64
_PER_BLOCK = 16  # one Philox block is 256 bits: sixteen 16-bit numbers

PURPOSES = {"dropout": 1, "order": 2, "split": 3, "augment": 4}


def _philox(seed: int, purpose: str, counter: tuple[int, int, int, int]) -> np.random.Philox:
    key = np.array([seed % _WORD, PURPOSES[purpose]], dtype=np.uint64)
    return np.random.Philox(key=key, counter=np.array([c % _WORD for c in counter], dtype=np.uint64))


def place_id(path: tuple[int, ...]) -> int:
    """A 64-bit number for a place in a network, e.g. `(2, 0)`: first layer within the third."""
    number = 0
    for index in path:
        number = (number * 1_000_003 + index + 1) % _WORD
    return number


def uniform16(seed: int, step: int, path: tuple[int, ...], row: int, rows: int, columns: int) -> np.ndarray:
    """Uniform uint16 numbers, shape (rows, columns), for `rows` rows of a batch from row `row` on."""
    blocks = -(-columns // _PER_BLOCK)
    bits = _philox(seed, "dropout", (row * blocks, 0, place_id(path), step)).random_raw(rows * blocks * 4)
    return bits.view(np.uint16).reshape(rows, blocks * _PER_BLOCK)[:, :columns]


def uniform16_within(
    seed: int, step: int, path: tuple[int, ...], row: int, rows: int, columns: int, parts: Sequence[range]
) -> np.ndarray:
    """The numbers of `uniform16` in some of the columns: those in `parts`, one after the other."""
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
    """Uniform int64 numbers from 0 to below[j] − 1, shape (rows, len(below)), for `rows` rows from `row` on.

    Each is drawn from 32 bits: shares are within 2⁻³² of 1 / below[j]. At most eight a row, as many as a
    block of the generator holds.
    """
    if len(below) > 8:
        raise TypeError(f"at most eight whole numbers are drawn for a row, got {len(below)}")
    bits = _philox(seed, "augment", (row, 0, place_id(path), step)).random_raw(rows * 4)
    draws = bits.view(np.uint32).reshape(rows, 8)[:, : len(below)].astype(np.uint64)
    return ((draws * np.array(below, np.uint64)) >> np.uint64(32)).astype(np.int64)


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """A NumPy generator for one indexed draw, e.g. the order of the rows of (epoch, stream, chunk).

    Raises TypeError for more than three indices: a counter has no room for them.
    """
    if len(index) > 3:
        raise TypeError(f"a generator takes at most three indices, got {index}")
    padded = (0, *index, 0, 0, 0)[:4]
    return np.random.Generator(_philox(seed, purpose, padded))  # type: ignore[arg-type]


def init_rng(seed: int) -> np.random.Generator:
    """A NumPy generator that can spawn others, for initial parameters."""
    return np.random.default_rng(np.random.SeedSequence(seed % _WORD))
