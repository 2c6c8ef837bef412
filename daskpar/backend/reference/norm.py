"""Normalisation over the last axis, and what to do where squares overflow."""

from __future__ import annotations

from daskpar.backend.array import Array, array_module


def layer_norm(x: Array, scale: Array, shift: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """(y, normalised x, 1 / deviation with a last axis of 1) (Ba, Kiros and Hinton 2016, eq. 4)."""
    normal, inverse = _normal(x, epsilon)
    if overflows(inverse):
        size, epsilon = sizes(inverse, array_module(x).abs(x).max(axis=-1, keepdims=True), epsilon)
        normal, inverse = _normal(x / size, epsilon)
        inverse /= size
    return normal * scale + shift, normal, inverse


def layer_norm_backward(dy: Array, normal: Array, inverse: Array, scale: Array) -> tuple[Array, Array, Array]:
    """(dx, gradient of scale, gradient of shift)."""
    xp = array_module(dy)
    axes = tuple(range(dy.ndim - 1))
    d_normal = dy * scale
    mean = xp.mean(d_normal, axis=-1, keepdims=True)
    along = xp.mean(d_normal * normal, axis=-1, keepdims=True)
    dx = (d_normal - mean - normal * along) * inverse
    return dx, xp.sum(dy * normal, axis=axes), xp.sum(dy, axis=axes)


def overflows(inverse: Array) -> bool:
    """Return whether squares overflowed somewhere, so that 1 / deviation is 0 (or NaN)."""
    return not bool((inverse > 0).all())


def sizes(inverse: Array, largest: Array, epsilon: float) -> tuple[Array, Array]:
    """Powers of two to divide values by before they are squared, and `epsilon` divided by their squares.

    `largest`: absolute values, of the same shape as `inverse`. Where squares do not overflow the power is 1.
    """
    xp = array_module(inverse)
    one = xp.ones_like(largest)
    size = xp.where(inverse > 0, one, xp.ldexp(one, xp.frexp(largest)[1] - 1))
    return size, xp.maximum(epsilon / size / size, xp.finfo(largest.dtype).tiny)


def _normal(x: Array, epsilon: float | Array) -> tuple[Array, Array]:
    xp = array_module(x)
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    inverse = 1 / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + epsilon)
    centred *= inverse
    return centred, inverse
