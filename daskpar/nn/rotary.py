"""Rotary positions: queries and keys rotated by an angle that grows with their position.

Reference:
    Su et al. 2021, "RoFormer: Enhanced transformer with rotary position embedding", equation 34.
    https://arxiv.org/abs/2104.09864
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from daskpar.backend.array import Array, array_module


def turn(z: Array, back: bool, start: int = 0) -> None:
    """Rotate queries and keys in place: feature i of a head with feature i + half.

    Args:
        z: (rows, positions, 3, heads, features of a head) queries, keys and values.
        back: Rotate in the opposite direction, as gradients need it.
        start: Number of the first position. Default: 0.
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
    """Return cosine and sine of position · 10000^(-i / half), each (positions, half)."""
    angle = np.arange(positions)[:, None] * 10000.0 ** (-np.arange(half) / half)
    return np.cos(angle), np.sin(angle)
