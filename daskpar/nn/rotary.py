"""Rotary positions: queries and keys turned by an angle that grows with their position.

Su et al. 2021, "RoFormer: Enhanced transformer with rotary position embedding", eq. 34.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from daskpar.backend.array import Array, array_module


def turn(z: Array, back: bool, start: int = 0) -> None:
    """Turn queries and keys in place: in a head, feature i with i + half.

    `z` (rows, positions, 3, heads, features of a head): queries, keys and values, whose first position is
    number `start`. `back` turns them the other way, as gradients need it.
    """
    half = z.shape[-1] // 2
    xp = array_module(z)
    angles = (table[start:] for table in _angles(start + z.shape[1], half))
    cosine, sine = (xp.asarray(t, dtype=z.dtype)[None, :, None, None] for t in angles)
    if back:
        sine = -sine
    first, second = z[:, :, :2, :, :half], z[:, :, :2, :, half:]
    turned = first * cosine - second * sine
    z[:, :, :2, :, half:] = second * cosine + first * sine
    z[:, :, :2, :, :half] = turned


@lru_cache(maxsize=32)
def _angles(positions: int, half: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of position · 10000^(-i / half), each (positions, half)."""
    angle = np.arange(positions)[:, None] * 10000.0 ** (-np.arange(half) / half)
    return np.cos(angle), np.sin(angle)
